"""``breadth audit``: whether a checkpoint's molecules are memory, and whether a second forest agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json, Overrides
from breadth.commands.output import print_json


def audit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@STEP] or FILE",
            help="A run folder (@300, @last, @prior), or a file of generations.",
            show_default=False,
        ),
    ],
    table: Annotated[
        Path | None, typer.Option(help="The oracle's activity table. Default: the one that the task names.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="What the prior learned from. Default: the task's corpus.")
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(
            "--task", help="For a file: whose task judges it (study or run folder, study, TOML).", show_default=False
        ),
    ] = None,
    samples: Annotated[int, typer.Option("-n", "--samples", min=2, help="Samples drawn from a checkpoint.")] = 1000,
    hit: Annotated[
        float | None, typer.Option(help="Score of a hit. Default: the task's correct_at.", show_default=False)
    ] = None,
    split: Annotated[
        str, typer.Option(help="How the table is halved for the second forests: scaffold or random.")
    ] = "scaffold",
    seed: Annotated[int, typer.Option(help="Of samples and forests.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the JSON here.")] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Audit molecules: what is left of R, D and hits once known molecules are put aside, and what a second forest says.

    Beside the raw figures stand those on molecules that are in neither the prior's corpus nor the oracle's table; the share that
    was memorised; the similarity to the nearest known active; the scores of two forests fitted to disjoint halves of the table;
    synthetic accessibility and structural alerts beside the corpus's own.

    Examples:

    [dim]breadth audit runs/jnk3/runs/darling/seed-0@1000 --table jnk3_activity.csv.gz
    breadth audit generations.jsonl --task runs/jnk3 --out audit.json[/dim]
    """
    from breadth.commands.output import console, errors
    from breadth.experiments.audit import audit as run_audit
    from breadth.experiments.audit import verdict_of
    from breadth.ledger.rows import write_atomic

    extra = [] if corpus is None else [f"task.corpus={str(corpus)!r}"]

    def phase(text: str) -> None:
        if not json:
            errors.print(f"{text} …", highlight=False)

    found = run_audit(
        source, settings=settings, overrides=(*extra, *(overrides or ())), table=table, n=samples, at_score=hit, split=split,
        seed=seed, on_phase=phase,
    )  # fmt: skip
    if out is not None:
        from json import dumps

        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, (dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode())
    if json:
        print_json(found)
        return
    from breadth.experiments.audit_table import audit_tables

    for part in audit_tables(found):
        console.print(part)
    for line in verdict_of(found):
        console.print(line, highlight=False, markup=False)
    if out is not None:
        console.print(f"written  {out}", highlight=False, markup=False)
