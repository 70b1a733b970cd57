"""Where cleaned corpora are kept: one Parquet file each in the user's cache folder, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path

from breadth.cache import cache_folder

VERSION = 1  # of the cleaning rules: a new number makes every corpus anew


def file_sha256(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with Path(path).expanduser().open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def store_place(settings: dict) -> Path:
    """Return where the corpus of these settings is kept; RDKit's version counts: it decides the canonical form."""
    from rdkit import rdBase

    text = json.dumps({**settings, "version": VERSION, "rdkit": rdBase.rdkitVersion}, sort_keys=True)
    return cache_folder() / "corpora" / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.parquet"


def read_store(place: Path) -> tuple[list[str], dict] | None:
    """Return the molecules and the report kept at ``place``; None where there are none, or the file is damaged."""
    import pyarrow
    import pyarrow.parquet

    if not place.is_file():
        return None
    try:
        table = pyarrow.parquet.read_table(place)
        return table.column("smiles").to_pylist(), json.loads(table.schema.metadata[b"report"])
    except (pyarrow.ArrowInvalid, OSError, KeyError, TypeError, ValueError):
        return None  # it is made again


def write_store(place: Path, smiles: list[str], report: dict) -> None:
    """Keep molecules and their report at ``place``: a temporary file, synced to disk, then renamed."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"smiles": smiles}).replace_schema_metadata({"report": json.dumps(report)})
    number, name = tempfile.mkstemp(dir=place.parent, prefix=place.stem, suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as handle:
            pyarrow.parquet.write_table(table, handle, compression="zstd")
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(name, place)
    finally:
        Path(name).unlink(missing_ok=True)  # left over where writing failed (a full disk, Ctrl-C)
