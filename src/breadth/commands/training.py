"""``breadth study`` and ``breadth train``."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json, Overrides
from breadth.commands.output import print_json


def study(
    name: Annotated[
        str, typer.Argument(help="A study that comes with breadth (circle, line, qed), or the path of a TOML file.")
    ],
    objectives: Annotated[
        str | None,
        typer.Option(
            help="Only these, separated by commas; the first is the baseline unless the study's own is among them."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds, counted from 0.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of each run.")] = None,
    out: Annotated[Path | None, typer.Option(help="The study's folder. Default: runs/NAME.")] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Run a whole study: prior, training runs, measurements, laws, frontier, report.

    Stopped with Ctrl-C, killed or out of power, the same command goes on where it was. A prior is trained once and kept in the
    cache ([cyan]BREADTH_CACHE[/cyan], else your user cache folder).

    Examples:

    [dim]breadth study circle
    breadth study circle --objectives dr_grpo,darling --seeds 5
    breadth study qed --set task.corpus=molecules.smi --out runs/mine[/dim]
    """
    from breadth.commands.progress import study_watcher
    from breadth.experiments.assemble import load_study

    extra = [] if steps is None else [f"train.steps={steps}"]
    chosen = None if objectives is None else [o.strip() for o in objectives.split(",") if o.strip()]
    settings = load_study(name, [*(overrides or []), *extra], objectives=chosen, seeds=seeds)
    folder = out or Path("runs") / settings.name
    from breadth.experiments.study import run_study

    with study_watcher(settings, folder, quiet=json) as watcher:
        result = run_study(settings, folder, watcher=watcher)
    if json:
        print_json(result.summary)
        return
    from breadth.commands.output import console
    from breadth.experiments.table import study_table

    console.print(study_table(result.summary))
    console.print(result.summary["verdict"])
    console.print(f"\nreport   {result.report}\nsummary  {result.folder / 'summary.json'}", highlight=False)


def train(
    config: Annotated[
        Path,
        typer.Argument(help="A TOML file with \\[task], \\[objective], \\[train], ...; see docs/configuration.md."),
    ],
    out: Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/ and the name of the file.")] = None,
    target_quality: Annotated[
        float | None,
        typer.Option(
            help="Train with the quality_target objective: the most entropy at this mean quality; replaces \\[objective]."
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="native: breadth's own loop; trl: TRL's trainer on a transformers model, with the arguments in \\[trl].")
    ] = "native",
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train one policy with one objective, measuring it at every checkpoint.

    The same command on the same folder continues an interrupted run, bit for bit on the CPU.

    Examples:

    [dim]breadth train examples/circle_darling.toml
    breadth train examples/circle_darling.toml --set objective.floor=0.2 --set train.steps=500 --out runs/floor02
    accelerate launch -m breadth train examples/trl/one_gpu.toml --engine trl[/dim]
    """
    from breadth.commands.progress import train_watcher
    from breadth.config import RunSettings, apply_overrides, build_settings, read_toml
    from breadth.experiments.assemble import CHECKS, quality_target_settings

    data = apply_overrides(read_toml(config), overrides or [])
    if target_quality is not None:
        data["objective"] = quality_target_settings(data, target_quality, where=str(config))
    settings = build_settings(RunSettings, data, where=str(config), checks=CHECKS)
    folder = out or Path("runs") / config.stem
    if engine not in ("native", "trl"):
        raise ValueError(f"--engine: expected native or trl, got {engine!r}")
    if engine == "trl":
        from breadth.plugins.trl import train_with_trl

        with redirect_stdout(sys.stderr) if json else nullcontext():  # TRL prints its log
            run = train_with_trl(settings, folder, given=data, on_note=(lambda text: None) if json else print)
    else:
        from breadth.experiments.front import train_settings

        with train_watcher(settings, folder, quiet=json) as watcher:
            run = train_settings(settings, folder, watcher=watcher)
    last = run.at(run.steps[-1])
    if json:
        print_json(
            {
                "path": str(folder),
                "step": run.steps[-1],
                "metrics": {k: {"value": r["value"], "error": r["error"], "n": r["n"]} for k, r in last.items()},
            }
        )
        return
    from breadth.commands.output import console, measurements_table

    console.print(measurements_table({run.steps[-1]: last}, title=f"{run.label}, seed {run.seed}"))
    console.print(f"run  {folder}", highlight=False)
