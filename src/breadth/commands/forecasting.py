"""``breadth forecast``: what the first checkpoints of a run say about the rest of it; and how good such forecasts were."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from breadth.commands.output import console, print_json


def forecast(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN…", help="Run folders, or study folders (all runs below them).", show_default=False),
    ],
    target_quality: Annotated[float, typer.Option(help="Quality R at which the diversity left is asked for.")] = 0.9,
    at_step: Annotated[
        int | None, typer.Option(help="Look at checkpoints up to this step only. Default: all there are.")
    ] = None,
    final_step: Annotated[
        int | None, typer.Option(help="The end of training. Default: train.steps of the run's settings.")
    ] = None,
    diversity: Annotated[str, typer.Option(help="Metric read as D.")] = "diversity",
    score: Annotated[
        bool, typer.Option(help="Finished runs: hold forecasts at 10, 20, 30 and 50 % against what happened.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
) -> None:
    """Forecast the diversity left at a target quality, and the end of training, from a run's checkpoints so far.

    Intervals are 80 %; --json holds the 95 % ones too. Each line says whether it rests on the fitted law, where that holds at
    this point of the run, on the entropy, which moves before diversity does, or on the monotone model.
    How far such forecasts can be trusted: docs/forecasts.md.

    Examples:

    [dim]breadth forecast runs/mine --target-quality 0.95
    breadth forecast runs/circle --at-step 75
    breadth forecast runs/circle runs/qed --score[/dim]
    """
    from breadth.experiments.compare import load_runs

    found = [run for members in load_runs(runs).values() for run in members]
    if score:
        _score(found, diversity, json)
        return
    from breadth.laws.forecast import forecast as forecast_run

    made = [(run, forecast_run(run, target_quality, at_step, final_step, metric=diversity)) for run in found]
    if json:
        print_json([{"path": str(run.path), **dataclasses.asdict(f)} for run, f in made])
        return
    for _, f in made:
        console.print(f.sentence, highlight=False, soft_wrap=True, markup=False)
        console.print(f"  {f.model}: {f.reason}", style="dim", highlight=False, soft_wrap=True, markup=False)


def _score(runs: list[Any], diversity: str, json: bool) -> None:
    from breadth.laws.forecast_score import score_forecasts, tabulate, tabulate_reach

    finished = [run for run in runs if run.complete]
    if not finished:
        raise ValueError(f"forecast --score: none of these {len(runs)} runs is finished, so nothing can be scored")
    cases, reaches = score_forecasts(finished, metric=diversity)
    scores, reached = tabulate(cases), tabulate_reach(reaches)
    if json:
        print_json(
            {"n_runs": len(finished), "n_unfinished": len(runs) - len(finished), "scores": scores, "reach": reached}
        )
        return
    from rich import box
    from rich.table import Table

    for quantity in dict.fromkeys(s.quantity for s in scores):
        table = Table(
            title=f"{quantity}: absolute errors, median / mean; coverage",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            pad_edge=False,
        )
        for name in ("seen", "runs", "law", "forecast", "persistence", "spline", "80 %", "95 %"):
            table.add_column(name, justify="right", no_wrap=True)
        for s in scores:
            if s.quantity != quantity:
                continue
            errors = (
                (s.median, s.mean),
                (s.median_persistence, s.mean_persistence),
                (s.median_spline, s.mean_spline),
            )
            table.add_row(
                f"{s.share:.0%}",
                f"{s.n}" + (f" of {s.n + s.n_untold}" if s.n_untold else ""),
                str(s.n_law),
                *("–" if m is None or a is None else f"{m:.3f} / {a:.3f}" for m, a in errors),
                *("–" if c is None else f"{c:.0%}" for c in (s.coverage80, s.coverage95)),
            )
        console.print(table)
    for r in reached:
        console.print(
            f"target reached? at {r.share:.0%}: {r.n} asked, {r.happened:.0%} were; Brier {r.brier:.3f} (base rate "
            f"{r.brier_base:.3f}); yes {r.n_yes_right} of {r.n_yes} right, no {r.n_no_right} of {r.n_no} right",
            highlight=False,
            soft_wrap=True,
        )
    left = len(runs) - len(finished)
    console.print(f"{len(finished)} finished runs" + (f"; {left} unfinished left out" if left else ""), highlight=False)
