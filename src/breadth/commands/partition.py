"""``breadth partition``: who says the same thing as whom, in a file of generations; and the classifier behind it."""

from __future__ import annotations

import gzip
import json as json_lines
from pathlib import Path
from typing import Annotated, Any

import typer

from breadth.commands.output import console, print_json, with_interval

app = typer.Typer(
    no_args_is_help=True, help="Tell which answers say the same thing: label a file, train a classifier, evaluate one."
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Backend = Annotated[
    str, typer.Option(help="classifier, rouge1, rougeL, jaccard, tfidf, canonical, embedding, cross_encoder, endpoint.")
]
Model = Annotated[
    str | None,
    typer.Option(help="Model name or folder (embedding, cross_encoder), or the JSON of a trained classifier."),
]


def _build(backend: str, model: str | None, **options: Any) -> Any:
    from breadth.partitions.classifier import load_classifier
    from breadth.partitions.front import partition

    settings: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
    if model is not None:
        settings["model"] = load_classifier(model) if backend == "classifier" else model
    return partition(backend, **settings)


def read_pairs_file(path: Path) -> list[dict[str, Any]]:
    """Return the pairs of a JSONL file, plain or gzip; ``ValueError`` names the line that is no JSON object."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    pairs = []
    for number, line in enumerate(text.decode("utf-8").splitlines(), start=1):
        try:
            pairs.append(json_lines.loads(line))
        except json_lines.JSONDecodeError as error:
            wanted = "a JSON object with prompt, generation_0, generation_1 and similar"
            raise ValueError(f"{path}, line {number}: expected {wanted} ({error})") from None
    return pairs


@app.command()
def run(
    file: Annotated[Path, typer.Argument(help="Generations: JSONL, Parquet, CSV, or the log of a trainer.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write the labelled answers as JSONL. Default: nothing is written.")
    ] = None,
    backend: Backend = "classifier",
    model: Model = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score above which two answers are the same. Default: the backend's.")
    ] = None,
    clustering: Annotated[str, typer.Option(help="greedy, components, average, correlation.")] = "greedy",
    json: Json = False,
) -> None:
    """Label the answers of a file: equal labels inside a prompt say the same thing."""
    from breadth.ledger.generations import read_generations

    rows = list(read_generations(file))
    if not rows:
        raise ValueError(f"{file}: no answers in it")
    numbers: dict[Any, int] = {}
    group = [numbers.setdefault((row.step, row.prompt), len(numbers)) for row in rows]
    tell = _build(backend, model, threshold=threshold, clustering=clustering)
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
        "pairs_asked": None if tell.cost is None else tell.cost.n_asked,
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


@app.command()
def train(
    pairs: Annotated[
        Path, typer.Argument(help="JSONL of prompt, generation_0, generation_1, similar (0 or 1); also .gz.")
    ],
    out: Annotated[Path, typer.Option(help="Where to write the classifier, a JSON file.")],
    licence: Annotated[str, typer.Option(help="Of the data, for the training record.")] = "",
    json: Json = False,
) -> None:
    """Fit the word-feature classifier on labelled pairs: seconds on a CPU, cross-validated by prompt."""
    from breadth.partitions.training import train_classifier

    model = train_classifier(read_pairs_file(pairs), data=pairs.name, licence=licence)
    model.save(out)
    if json:
        print_json({"written": str(out), "threshold": model.threshold, "record": dict(model.record)})
        return
    console.print(f"threshold {model.threshold:.3f}", highlight=False)
    for name, value in model.record.items():
        console.print(f"{name}  {value}", highlight=False, soft_wrap=True)
    console.print(f"written  {out}", highlight=False)


@app.command("eval")
def evaluate_(
    pairs: Annotated[
        Path, typer.Argument(help="JSONL of prompt, generation_0, generation_1, similar (0 or 1); also .gz.")
    ],
    backend: Backend = "classifier",
    model: Model = None,
    threshold: Annotated[float | None, typer.Option(help="Default: the backend's.")] = None,
    json: Json = False,
) -> None:
    """Say what a backend is worth on labelled pairs: AUROC, accuracy, F1 and calibration, with intervals over prompts.

    On the pairs that a classifier was trained on these numbers flatter it; its own record holds the cross-validated ones.
    """
    import numpy as np

    from breadth.partitions.evaluation import evaluate
    from breadth.partitions.training import read_pairs

    rows = read_pairs_file(pairs)
    same = read_pairs(rows)[1]  # refuses rows that are no labelled pairs
    tell = _build(backend, model, threshold=threshold)
    scores = np.array([tell.probability(prompt=p["prompt"], a=p["generation_0"], b=p["generation_1"]) for p in rows])
    found = evaluate(scores, same, threshold=tell.threshold, prompts=[p["prompt"] for p in rows])
    if json:
        print_json(found)
        return
    console.print(
        f"{found.n} pairs, {found.share_same:.1%} the same; {backend} at threshold {found.threshold:.3f}",
        highlight=False,
    )
    for name in ("auroc", "accuracy", "balanced_accuracy", "f1", "ece"):
        value = getattr(found, name)
        console.print(f"  {name:<18} {with_interval(value.value, value.low, value.high)}", highlight=False)
