"""``breadth where``: where a run's diversity went, token by token and answer by answer."""

from __future__ import annotations

from typing import Annotated

import typer

from breadth.commands.options import Json
from breadth.commands.output import print_json


def where(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="Run folders, or study folders (all runs below them).", show_default=False),
    ],
    step: Annotated[
        list[int] | None,
        typer.Option("--step", help="Checkpoints; may be given several times. Default: seven, both ends among them."),
    ] = None,
    prompts: Annotated[int | None, typer.Option(min=1, help="Prompts, for tasks that have them. Default: 24.")] = None,
    answers: Annotated[
        int | None, typer.Option(min=2, help="Answers a prompt. Default: 32; 512 where a task has one prompt.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal numbers.")] = 0,
    json: Json = False,
) -> None:
    """Tell where the diversity of a run went: token entropy and answer diversity apart, forking tokens, formats, KL, lost modes.

    Checkpoints are sampled and scored under the prior; nothing is trained. The numbers go to where.json beside the run's ledger, and
    [cyan]breadth report[/cyan] shows them.

    Examples:

    [dim]breadth where runs/circle/runs/dr_grpo/seed-0
    breadth where runs/countdown --prompts 40 --answers 32[/dim]
    """
    from pathlib import Path

    from breadth.commands.output import console
    from breadth.experiments.where import where_run
    from breadth.ledger.run import find_runs

    out = []
    for text in runs:
        found = find_runs(Path(text))
        if not found:
            raise FileNotFoundError(f"{text}: no run folder there (a run folder holds config.json and ledger.jsonl)")
        for path in found:
            note = (
                (lambda s: None)
                if json
                else (lambda s, p=path: console.print(f"{p}: step {s}", style="dim", highlight=False, soft_wrap=True))
            )
            out.append(
                {
                    "path": str(path),
                    **where_run(path, steps=step, n_prompts=prompts, n_answers=answers, seed=seed, on_step=note),
                }
            )
    if json:
        print_json(out)
        return
    for one in out:
        _show(one)


def _show(found: dict) -> None:
    from rich.table import Table

    from breadth.commands.output import console

    title = (
        f"{found['objective']}, seed {found['seed']}: {found['prompts']} prompts × {found['answers']} answers (nats)"
    )
    table = Table(title=title, title_justify="left")
    for name in ("step", "R", "token H", "forks H", "rest H", "answer H", "likeliest", "distinct", "top format", "KL"):
        table.add_column(name, justify="right")
    for row in found["steps"]:
        numbers = (
            row["quality"], row["token_entropy"], row["forks"]["mean"], row["forks"]["mean_rest"], row["answer_entropy"],
            row["top_mass"], row["distinct_answers"], row["formats"]["top"][0]["share"], row["kl"],
        )  # fmt: skip
        table.add_row(str(row["step"]), *("–" if n is None else f"{n:.3f}" for n in numbers))
    console.print(table)
    last = found["steps"][-1]
    if last["by_solved"]:
        for name, side in last["by_solved"].items():
            if side["change"] is not None:
                error = "" if side["error"] is None else f" ± {side['error']:.3f}"
                text = f"{name} prompts: {side['n']}, answer entropy {side['before']:.3f} → {side['after']:.3f} ({side['change']:+.3f}{error})"
                console.print(text, highlight=False)
    for lost in found["lost"]:
        console.print(
            f"lost {lost['lost_mass']:.0%} of its answers: {lost['prompt'] or '(the one prompt)'}",
            markup=False,
            highlight=False,
        )
        for side in ("before", "after"):
            words = "; ".join(f"{a['text']!r} {a['share']:.0%}" for a in lost[side])
            console.print(f"  {side}: {words}", markup=False, highlight=False, soft_wrap=True)
