"""``breadth measure``: runs, or files of generations."""

from __future__ import annotations

from typing import Annotated

import typer

from breadth.commands.options import Json, RunPaths
from breadth.commands.output import print_json


def measure(
    runs: RunPaths,
    step: Annotated[
        list[int] | None, typer.Option("--step", help="Only this checkpoint; may be given several times. Default: all.")
    ] = None,
    sets: Annotated[int | None, typer.Option(min=1, help="Independent sample sets per checkpoint.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Samples per set.")] = None,
    write: Annotated[
        bool, typer.Option(help="Replace the run's ledger with what was measured (all checkpoints only).")
    ] = False,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Files: only this measure; may be given several times.")
    ] = None,
    answers: Annotated[
        int | None,
        typer.Option(min=2, help="Files: answers per prompt that are measured (k). Default: as many as all have."),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="Files: tokens per answer group, so that length does not count as diversity."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field", metavar="NAME=COLUMN", help="Files: where prompt, response, reward, correct or step stand."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure runs or files of generations: quality, diversity, entropy and shares, each with its error.

    Run folders: the checkpoints are sampled again. With the run's own settings the numbers are those of its ledger; with more
    sets the errors shrink.

    Files (JSONL, Parquet, CSV, also .gz; logs of TRL, verl, lm-eval and REINVENT4 are recognised): one table each. A file with
    training steps is told whether its run collapses; two files are compared.

    Examples:

    [dim]breadth measure runs/circle/runs/darling/seed-0 --step 250 --sets 20
    breadth measure completions/            (a TRL log: is my run collapsing?)
    breadth measure base.jsonl tuned.jsonl[/dim]
    """
    from breadth.commands.output import console, measurements_table
    from breadth.experiments.measure import measure_all
    from breadth.ledger.run import find_runs

    if not any(find_runs(path) for path in runs if path.is_dir()) and all(path.exists() for path in runs):
        from breadth.commands.files import measure_files

        measure_files(runs, metrics=metric, answers=answers, budget=budget, fields=field, json=json)
        return
    changes = {k: v for k, v in {"sets": sets, "samples_per_set": samples}.items() if v is not None}
    found = measure_all(runs, steps=step, overrides=changes, write=write)
    if json:
        print_json(found)
        return
    for path, rows in found.items():
        console.print(measurements_table(rows, title=path))
