"""The samples behind a measurement, as Parquet: one row a sample."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from breadth.ledger.rows import write_atomic

SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("set", pa.int32()),
        ("index", pa.int32()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("quality", pa.float64()),  # null = unscored
        ("parsable", pa.bool_()),
        ("valid", pa.bool_()),
        ("key", pa.string()),  # null = unparsable
        ("seq_logp", pa.float64()),  # nats, untempered policy
        ("length", pa.int32()),
    ]
)


def samples_path(run_folder: Path, step: int) -> Path:
    return Path(run_folder) / "samples" / f"step-{step:06d}.parquet"


def write_samples(run_folder: Path, step: int, columns: Mapping[str, Sequence[Any]]) -> Path:
    """Write the samples of one checkpoint; ``columns`` has the names of ``SCHEMA`` but ``step``."""
    n = len(columns["text"])
    table = pa.table({"step": [step] * n, **columns}, schema=SCHEMA)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    path = samples_path(run_folder, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())
    return path


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a samples file; ``ValueError`` that names the file where it is not one."""
    try:
        return pq.read_table(path).to_pylist()
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"{path}: not a readable Parquet file ({error}): measure the run again to rewrite it"
        ) from None
