"""What the partition commands share: their options, the files they read, and the partition made from them."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Annotated, Any

import typer

JUDGES = ("cross_encoder", "endpoint")  # a verdict costs: kept on disk

Backend = Annotated[
    str,
    typer.Option(
        help="classifier, rouge1, rougeL, jaccard, tfidf, canonical, embedding, cross_encoder, endpoint, remote."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Model name or folder (embedding, cross_encoder), the judge's name (endpoint), or the JSON of a trained classifier."
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(help="Classifier: folder of a sentence encoder; the better classifier that reads it is taken."),
]
Url = Annotated[str | None, typer.Option(help="Endpoint, remote: http(s)://host:port/v1.")]
Key = Annotated[
    str | None, typer.Option(help="Canonical: words, final_answer, expression, or package.module:function.")
]
Calibrated = Annotated[Path | None, typer.Option(help="The file that breadth partition calibrate wrote.")]
Cut = Annotated[
    float | None,
    typer.Option(help="Score above which two answers are the same. Default: the calibration's, else the backend's."),
]
Clustering = Annotated[str, typer.Option(help="greedy, components, average, correlation.")]
DiskCache = Annotated[
    bool | None,
    typer.Option(
        "--disk-cache/--no-disk-cache",
        help="Keep verdicts or vectors in the cache folder, so that a broken run goes on. Default: for cross_encoder and endpoint.",
    ),
]


def build(backend: str, *, disk_cache: bool | None = None, **options: Any) -> Any:
    """Return the partition that the options describe; those that are None were not given."""
    from breadth.partitions.front import partition

    if disk_cache is None:
        disk_cache = backend in JUDGES
    return partition(
        backend, disk_cache=disk_cache, **{name: value for name, value in options.items() if value is not None}
    )


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file, plain or gzip; ``ValueError`` names the line that is no JSON object."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file ({error})") from None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, got byte {data[error.start]:#x} at {error.start}") from None
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        wanted = "a JSON object: prompt, generation_0, generation_1, similar; or prompt, generations, partition"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: expected {wanted} ({error})") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}, line {number}: expected {wanted}, got {type(row).__name__}")
        rows.append(row)
    if not rows:
        raise ValueError(f"{path}: no rows in it")
    return rows


def are_groups(rows: list[dict[str, Any]]) -> bool:
    """Return whether the rows are groups of answers with their classes, and not pairs."""
    return "generations" in rows[0]


def read_groups(rows: list[dict[str, Any]], path: Path) -> tuple[list[str], list[list[str]], list[list[int]]]:
    """Return prompts, answers and classes; ``ValueError`` names the row that lacks one."""
    prompts, texts, kinds = [], [], []
    for k, row in enumerate(rows):
        for name in ("prompt", "generations", "partition"):
            if name not in row:
                raise ValueError(f"{path}, row {k + 1}: expected prompt, generations and partition, got no {name!r}")
        if len(row["generations"]) != len(row["partition"]) or not row["generations"]:
            raise ValueError(
                f"{path}, row {k + 1}: expected a class for each answer, got {len(row['partition'])} classes for "
                f"{len(row['generations'])} answers"
            )
        prompts.append(str(row["prompt"]))
        texts.append(list(row["generations"]))
        kinds.append(list(row["partition"]))
    return prompts, texts, kinds


def trained_on(backend: Any) -> str | None:
    """Return the digest of the pairs that a backend was fitted on; None where it does not say."""
    record = getattr(getattr(backend, "model", None), "record", None) or getattr(backend, "record", None) or {}
    return record.get("pairs_digest")
