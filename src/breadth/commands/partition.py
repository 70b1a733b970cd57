"""``breadth partition``: who says the same thing as whom, in a file of generations; and how good a backend is at it."""

from __future__ import annotations

import dataclasses
import json as json_lines
from pathlib import Path
from typing import Annotated, Any

import typer

from breadth.commands.options import Json
from breadth.commands.output import console, errors, print_json, with_interval
from breadth.commands.partition_fitting import calibrate, train
from breadth.commands.partition_options import (
    Backend,
    Calibrated,
    Clustering,
    Cut,
    DiskCache,
    Encoder,
    Key,
    Model,
    Url,
    are_groups,
    build,
    read_groups,
    read_rows,
    trained_on,
)
from breadth.commands.partition_serving import serve

app = typer.Typer(
    no_args_is_help=True,
    help="Tell which answers say the same thing: label a file, train, calibrate, evaluate or serve a backend.",
)


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Generations: JSONL, Parquet, CSV, or the log of a trainer.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write the labelled answers as JSONL. Default: nothing is written.")
    ] = None,
    backend: Backend = "classifier",
    model: Model = None,
    encoder: Encoder = None,
    url: Url = None,
    key: Key = None,
    threshold: Cut = None,
    calibration: Calibrated = None,
    clustering: Clustering = "greedy",
    screen: Annotated[
        str | None,
        typer.Option(help="Cheap backend that settles the clear pairs before a cross-encoder or endpoint is asked."),
    ] = None,
    disk_cache: DiskCache = None,
    json: Json = False,
) -> None:
    """Label the answers of a file: equal labels inside a prompt say the same thing."""
    from breadth.ledger.generations import read_generations

    rows = list(read_generations(file))
    if not rows:
        raise ValueError(f"{file}: no answers in it")
    numbers: dict[Any, int] = {}
    group = [numbers.setdefault((row.step, row.prompt), len(numbers)) for row in rows]
    tell = build(
        backend, model=model, encoder=encoder, url=url, key=key, threshold=threshold, calibration=calibration,
        clustering=clustering, screen=screen, disk_cache=disk_cache,
    )  # fmt: skip
    kinds = tell([row.response for row in rows], group=group, prompts=[row.prompt for row in rows]).tolist()
    if out is not None:
        with open(out, "w", encoding="utf-8") as written:
            for row, kind in zip(rows, kinds, strict=True):
                found = {"prompt": row.prompt, "response": row.response, "step": row.step, "kind": kind}
                written.write(json_lines.dumps(found, ensure_ascii=False) + "\n")
    classes = len({(g, k) for g, k in zip(group, kinds, strict=True)})
    summary = {
        "answers": len(rows),
        "prompts": len(numbers),
        "classes": classes,
        "classes_per_prompt": classes / len(numbers),
        "threshold": tell.threshold,
        "pairs_asked": None if tell.cost is None else tell.cost.n_asked,
        "pairs_cached": None if tell.cost is None else tell.cost.n_cached,
        "written": None if out is None else str(out),
    }
    if json:
        print_json(summary)
        return
    console.print(
        f"{len(rows)} answers to {len(numbers)} prompts: {classes} classes, {classes / len(numbers):.2f} a prompt "
        f"({backend}, {clustering})" + ("" if out is None else f"\nwritten  {out}"),
        highlight=False,
    )


@app.command("eval")
def evaluate_(
    labelled: Annotated[
        Path,
        typer.Argument(
            help="JSONL, also .gz: pairs (prompt, generation_0, generation_1, similar), or groups with their classes "
            "(prompt, generations, partition)."
        ),
    ],
    backend: Backend = "classifier",
    model: Model = None,
    encoder: Encoder = None,
    url: Url = None,
    key: Key = None,
    threshold: Cut = None,
    calibration: Calibrated = None,
    clustering: Clustering = "greedy",
    disk_cache: DiskCache = None,
    json: Json = False,
) -> None:
    """Say what a backend is worth, with 95 % bootstrap intervals over prompts.

    On pairs: AUROC, accuracy, F1 and calibration error, altogether, by length and by labeller. On groups: adjusted Rand index
    and the error of the number of classes. On the pairs that a classifier was trained on the numbers flatter it, and a line
    says so; its own record holds the cross-validated ones.
    """
    rows = read_rows(labelled)
    tell = build(
        backend, model=model, encoder=encoder, url=url, key=key, threshold=threshold, calibration=calibration,
        clustering=clustering, disk_cache=disk_cache,
    )  # fmt: skip
    if are_groups(rows):
        _on_groups(tell, rows, labelled, json)
    else:
        _on_pairs(tell, rows, json)


def _on_groups(tell: Any, rows: list[dict[str, Any]], path: Path, json: bool) -> None:
    import numpy as np

    from breadth.partitions.agreement import evaluate_partitions

    prompts, texts, truth = read_groups(rows, path)
    sizes = [len(group) for group in texts]
    kinds = tell(
        [text for group in texts for text in group],
        group=np.repeat(np.arange(len(sizes)), sizes),
        prompts=[p for p, n in zip(prompts, sizes, strict=True) for _ in range(n)],
    )
    found = evaluate_partitions(np.split(kinds, np.cumsum(sizes)[:-1]), truth, prompts=prompts)
    if json:
        print_json(
            {
                "backend": tell.backend.name,
                "clustering": tell.clustering,
                "threshold": tell.threshold,
                "partitions": found,
            }
        )
        return
    console.print(
        f"{found.n_answers} answers in {found.n_groups} groups; {tell.backend.name} at threshold {tell.threshold:.3f}, "
        f"{tell.clustering}",
        highlight=False,
    )
    for name, title in (
        ("ari", "adjusted Rand index"), ("distinct", "classes found"), ("distinct_true", "classes given"),
        ("distinct_error", "found − given"), ("distinct_absolute_error", "|found − given|"),
    ):  # fmt: skip
        value = getattr(found, name)
        console.print(f"  {title:<20} {with_interval(value.value, value.low, value.high)}", highlight=False)


def _on_pairs(tell: Any, rows: list[dict[str, Any]], json: bool) -> None:
    from rich.table import Table

    from breadth.partitions.evaluation import evaluate, length_parts
    from breadth.partitions.training import pairs_digest, read_pairs

    groups, same = read_pairs(rows)  # refuses rows that are no labelled pairs
    a, b = [group.texts[0] for group in groups], [group.texts[1] for group in groups]
    prompts = [group.prompt for group in groups]
    raw = tell.pair_scores(a, b, prompts=prompts, calibrated=False)
    parts: dict[str, list[str]] = {"length": length_parts(a, b)}
    named = [row.get("labeller", row.get("labeler")) for row in rows]
    if any(name is not None for name in named):
        parts["labeller"] = [str(name) if name is not None else "–" for name in named]
    curve = tell.calibration
    found = evaluate(
        raw,
        same,
        threshold=tell.threshold,
        prompts=prompts,
        parts=parts,
        probability=None if curve is None else curve(raw),
    )
    seen = trained_on(tell.backend) == pairs_digest(rows)
    if json:
        print_json({"backend": tell.backend.name, "trained_on_these_pairs": seen, **dataclasses.asdict(found)})
        return
    console.print(
        f"{found.n} pairs, {found.share_same:.1%} the same; {tell.backend.name} at threshold {found.threshold:.3f}",
        highlight=False,
    )
    if seen:
        errors.print(
            "note: the model was trained on these very pairs; its record holds the cross-validated numbers",
            highlight=False,
        )
    names = ("auroc", "accuracy", "balanced_accuracy", "f1", "ece")
    for name in names:
        value = getattr(found, name)
        console.print(f"  {name:<18} {with_interval(value.value, value.low, value.high)}", highlight=False)
    table = Table(title="by part; intervals of all: --json", title_justify="left")
    table.add_column("pairs", overflow="fold")
    for name in ("n", "same", "auroc [95 %]", "accuracy", "f1", "ece"):
        table.add_column(name, justify="right", no_wrap=True)
    for title, one in found.parts.items():
        cells = [_three(getattr(one, name).value) for name in ("accuracy", "f1", "ece")]
        spread = f"{_three(one.auroc.value)} [{_three(one.auroc.low)}, {_three(one.auroc.high)}]"
        table.add_row(title, str(one.n), f"{one.share_same:.0%}", spread, *cells)
    console.print(table)


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


app.command()(train)
app.command()(calibrate)
app.command()(serve)
