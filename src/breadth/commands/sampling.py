"""``breadth sample``: fresh answers of a checkpoint as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json
from breadth.commands.output import print_json


def sample(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN[@STEP]",
            help="A run folder; @300, @last (default) or @prior says which checkpoint.",
            show_default=False,
        ),
    ],
    n: Annotated[int, typer.Option("-n", "--samples", min=1, help="How many samples.")] = 1000,
    sdf: Annotated[Path | None, typer.Option(help="Molecules: write an SDF with properties here.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a table here, one line a sample.")] = None,
    smi: Annotated[Path | None, typer.Option(help="Molecules: write SMILES and names here.")] = None,
    jsonl: Annotated[Path | None, typer.Option(help="Write JSON lines here, one object a sample.")] = None,
    unique: Annotated[
        bool, typer.Option(help="Only valid answers, each once; draws on until there are n (at most 20·n draws).")
    ] = False,
    at_least: Annotated[
        float | None, typer.Option(help="Write only samples of this quality or more.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal samples.")] = 0,
    temperature: Annotated[float | None, typer.Option(min=0.01, help="Default: as the run is measured.")] = None,
    top_k: Annotated[int | None, typer.Option(min=0, help="Default: as the run is measured; 0: all tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(min=0.01, max=1.0, help="Default: as the run is measured.")] = None,
    min_p: Annotated[float | None, typer.Option(min=0.0, max=0.999, help="Least share of the likeliest token's probability.")] = None,
    json: Json = False,
) -> None:
    """Sample a checkpoint and write what it says, with quality and properties, for use outside breadth.

    Nothing of the run is changed. Any task: CSV and JSON lines. Molecules also as SDF (flat layout, properties as data fields)
    and as a SMILES list; these two hold what can be parsed. Without a file the first samples are printed.

    Examples:

    [dim]breadth sample runs/qed/runs/darling/seed-0 -n 1000 --unique --sdf hits.sdf --at-least 0.8
    breadth sample runs/circle/runs/darling/seed-0@100 --csv circles.csv[/dim]
    """
    from breadth.commands.output import console
    from breadth.experiments.drawing import draw_samples, split_run
    from breadth.experiments.sample_files import facts_of, refuse_files, sample_table, write_sample_files

    folder, step = split_run(run)
    files = {"sdf": sdf, "csv": csv, "smi": smi, "jsonl": jsonl}
    wanted = {kind: path for kind, path in files.items() if path is not None}
    refuse_files(folder, wanted)
    drawn = draw_samples(
        folder, step=step, n=n, seed=seed, unique=unique,
        sampling={"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p},
    )  # fmt: skip
    table = sample_table(drawn, at_least=at_least)
    written = write_sample_files(drawn, table, wanted)
    facts = facts_of(drawn, table)
    if json:
        print_json(
            {**facts, "files": {k: str(v) for k, v in written.items()}, **({} if written else {"samples": table})}
        )
        return
    console.print(" · ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()), highlight=False)
    if not written:
        for text, quality in list(zip(table["text"], table["quality"], strict=True))[:20]:
            shown = "–" if quality is None else f"{quality:.3f}"
            console.print(f"{shown:>8}  {text}", markup=False, highlight=False)
    for kind, path in written.items():
        console.print(f"{kind:<6} {path}", highlight=False, markup=False)
