"""``breadth tilt``: what known chemistry attains at a wanted quality."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json, Overrides
from breadth.commands.output import print_json


def tilt(
    settings: Annotated[
        str | None,
        typer.Argument(
            help="Whose task: a study folder, a run folder, a study's name or a TOML file.",
            show_default="molecules, QED",
        ),
    ] = None,
    corpus: Annotated[Path | None, typer.Option(help="File of known molecules. Default: the task's corpus.")] = None,
    oracle: Annotated[str | None, typer.Option(help="What is scored. Default: the task's oracle.")] = None,
    table: Annotated[Path | None, typer.Option(help="The oracle's activity table, as task.table.")] = None,
    forest: Annotated[Path | None, typer.Option(help="The oracle's forest, as task.forest.")] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(help="Leave out the molecules of this file (the oracle's own table, say), as task.exclude."),
    ] = None,
    target: Annotated[
        list[float] | None, typer.Option("--target", help="Mean score to solve β for; may be given several times.")
    ] = None,
    beta: Annotated[list[float] | None, typer.Option("--beta", help="A further β; may be given several times.")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Keep scores in this CSV (smiles,score); what it holds is not scored again.")
    ] = None,
    most: Annotated[
        int, typer.Option(min=100, help="Molecules up to which D is an exact sum; above, it rests on draws.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the JSON here. Default for a study folder: its tilt.json, which its report draws."),
    ] = None,
    molecules: Annotated[
        Path | None,
        typer.Option(
            help="Write the molecules with --at-least this score here, best first, as JSON Lines of prompt, completion, score: "
            "for train.replay_from, or sft.path."
        ),
    ] = None,
    at_least: Annotated[float | None, typer.Option("--at-least", help="The score that --molecules asks for.")] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Tilt a corpus towards quality and measure what is left of its diversity: the corpus-tilt frontier.

    The corpus is scored by the oracle; among all distributions over it with mean score R the tilt, weights ∝ exp(β·score), stays
    nearest to the corpus. Its diversity at R needs no policy: what a policy falls short of it was lost by the way it was trained.

    Examples:

    [dim]breadth tilt runs/qed
    breadth tilt --corpus chembl.csv.gz --oracle qed --target 0.9 --scores qed-scores.csv.gz
    breadth tilt molecules-jnk3 --exclude jnk3_activity.csv.gz --molecules known.jsonl --at-least 0.5[/dim]
    """
    from breadth.commands.counting import counter
    from breadth.commands.output import console
    from breadth.experiments.tilt import TARGETS, molecules_task, task_table, tilt_frontier
    from breadth.experiments.tilt_trace import FILE
    from breadth.ledger.rows import write_atomic

    if (molecules is None) != (at_least is None):
        raise ValueError(
            "--molecules and --at-least go together: a file, and the score from which molecules are written to it"
        )
    given = {"corpus": corpus, "oracle": oracle, "table": table, "forest": forest, "exclude": exclude}
    extra = [f"task.{name}={str(value)!r}" for name, value in given.items() if value is not None]
    task = molecules_task(task_table(settings, [*extra, *(overrides or [])]))
    with counter("molecules scored", quiet=json) as tell:
        found = tilt_frontier(
            task, targets=target or TARGETS, betas=beta or (), scores=scores, most=most, seed=seed, molecules=molecules,
            at_least=at_least, on_progress=tell,
        )  # fmt: skip
    if out is None and settings is not None and (Path(settings) / "study.json").is_file():
        out = Path(settings) / FILE
    if out is not None:
        from json import dumps

        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, (dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode())
    if json:
        print_json(found)
        return
    from breadth.experiments.tilt_table import tilt_tables

    for part in tilt_tables(found):
        console.print(part)
    if molecules is not None:
        console.print(
            f"written  {molecules}: {found['written']['n']:,} molecules with a score of at least {at_least:g}",
            highlight=False,
            markup=False,
        )
    if out is not None:
        console.print(f"written  {out}", highlight=False, markup=False)
