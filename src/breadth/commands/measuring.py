"""``breadth measure``: runs, or files of generations."""

from __future__ import annotations

from pathlib import Path
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
        list[str] | None,
        typer.Option("--metric", help="Files: only this measure; may be given several times. [cyan]all[/cyan]: all that the file allows."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Files: write a page about them that opens offline, for example report.html.")
    ] = None,
    scope: Annotated[
        str, typer.Option(help="Files: within_prompt (spread between answers to a prompt) or pooled (between prompts).")
    ] = "within_prompt",
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
    partition: Annotated[
        str | None,
        typer.Option(help="Files: who says the same thing: classifier, rouge1, canonical, embedding, cross_encoder, endpoint, …"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Files: model of the partition (name or folder; endpoint: the server's name for it).")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Files: of the partition's endpoint, up to /v1.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Files: of the partition. Default: the backend's.")
    ] = None,
    clustering: Annotated[
        str, typer.Option(help="Files: of the partition: greedy, components, average, correlation.")
    ] = "greedy",
    encoder: Annotated[
        str | None, typer.Option(help="Files: folder of a sentence encoder, for semantic diversity and Vendi.")
    ] = None,
    conllu: Annotated[
        Path | None, typer.Option(help="Files: CoNLL-U of the answers ('# newdoc id = 0' …), for syntactic diversity.")
    ] = None,
    parser: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Files: instead of --conllu, your function from a text to CoNLL-U."),
    ] = None,
    order: Annotated[float, typer.Option(min=0, help="Files: q of the Vendi score.")] = 1.0,
    bar: Annotated[
        float | None, typer.Option(help="Files: reward from which on an answer is good; adds diversity among good answers.")
    ] = None,
    patience: Annotated[float, typer.Option(min=0, max=1, help="Files: of utility_k.")] = 0.8,
    vocabulary: Annotated[
        int | None, typer.Option(min=1, help="Files: V of the expectation-adjusted distinct score (ead).")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Files: words, whitespace, characters, wordpunct, smiles. Default: words.")
    ] = None,
    margin: Annotated[float, typer.Option(min=0, help="Files: δ of 'the same within δ'.")] = 0.02,
    seed: Annotated[int, typer.Option(help="Files: of draws and bootstraps.")] = 0,
    json: Json = False,
) -> None:
    """Measure runs or files of generations: quality, diversity, entropy and shares, each with its error.

    Run folders: the checkpoints are sampled again. With the run's own settings the numbers are those of its ledger; with more
    sets the errors shrink.

    Files (JSONL, Parquet, CSV, also .gz; logs of TRL, verl, lm-eval and REINVENT4 are recognised): one table each. A file with
    training steps is told whether its run collapses; each further file is compared with the first.

    Examples:

    [dim]breadth measure runs/circle/runs/darling/seed-0 --step 250 --sets 20
    breadth measure completions/            (a TRL log: is my run collapsing?)
    breadth measure base.jsonl tuned.jsonl --partition classifier --report page.html[/dim]
    """
    from breadth.commands.output import console, measurements_table
    from breadth.experiments.measure import measure_all
    from breadth.ledger.run import find_runs

    if not any(find_runs(path) for path in runs if path.is_dir()) and all(path.exists() for path in runs):
        from breadth.commands.files import measure_files

        settings = {
            "metrics": metric, "k": answers, "token_budget": budget, "scope": scope, "encoder": encoder, "conllu": conllu,
            "order": order, "bar": bar, "patience": patience, "vocabulary": vocabulary, "tokenizer": tokenizer, "seed": seed,
        }  # fmt: skip
        chosen = {"backend": partition, "model": model, "url": url, "threshold": threshold, "clustering": clustering}
        measure_files(
            runs, settings=settings, fields=field, partition=chosen, parser=parser, margin=margin, report=report, json=json
        )
        return
    changes = {k: v for k, v in {"sets": sets, "samples_per_set": samples}.items() if v is not None}
    found = measure_all(runs, steps=step, overrides=changes, write=write)
    if json:
        print_json(found)
        return
    for path, rows in found.items():
        console.print(measurements_table(rows, title=path))
