"""Rows with named columns out of a file or a hub data set: questions with answers, chat prompts."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def read_records(source: str | os.PathLike, *, config: str | None = None, split: str = "train") -> list[dict[str, Any]]:
    """Return the rows of a file, or of a hub data set where ``source`` is no file but looks like ``owner/name``.

    Parameters
    ----------
    source : str or path
        ``.jsonl``, ``.json`` (a list of objects), ``.csv`` (the three also ``.gz``), ``.parquet``.
    config, split : str
        Of a hub data set only.

    Raises
    ------
    FileNotFoundError
        There is no such file, and the name is not that of a hub data set.
    ValueError
        Unknown kind of file, a line that is no JSON object (with its number), a damaged file, no rows.
    ImportError
        A hub data set without the package ``datasets``; with the pip line.
    ConnectionError
        A hub data set that cannot be reached: says how to use a file.
    """
    path = Path(source).expanduser()
    kind = Path(path.name.lower().removesuffix(".gz")).suffix
    if not path.exists():
        if kind in SUFFIXES or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)):
            raise FileNotFoundError(
                f"data {str(source)!r}: there is no such file (and a hub data set would be named 'owner/name')"
            )
        return _hub(str(source), config, split)
    if path.is_dir() or kind not in SUFFIXES:
        raise ValueError(
            f"data {str(source)!r}: expected a file that ends in {', '.join(SUFFIXES)} (or .gz), got {path.name!r}"
        )
    rows = list(_parquet(path) if kind == ".parquet" else _text(path, kind))
    if not rows:
        raise ValueError(f"data {path}: expected at least one row, found none")
    return rows


def column_of(
    rows: Sequence[dict[str, Any]], wanted: str | None, usual: Sequence[str], *, what: str, where: str
) -> str:
    """Return the name of a column: the one that was asked for, else the first usual one that is there.

    Raises
    ------
    ValueError
        Names the columns that are there and the setting that chooses one.
    """
    names = list(rows[0])
    if wanted is not None:
        if wanted not in names:
            raise ValueError(f"data {where}: expected a column {wanted!r} for {what}, got the columns {names}")
        return wanted
    found = next((name for name in usual if name in names), None)
    if found is None:
        raise ValueError(
            f"data {where}: none of the columns {names} is named like {what} ({', '.join(usual)}); name it with {what}=..."
        )
    return found


def _text(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.name.lower().endswith(".gz")
            else open(path, encoding="utf-8-sig") as lines
        ):
            if kind == ".csv":
                yield from csv.DictReader(lines)
                return
            if kind == ".json":
                try:
                    rows = json.load(lines)
                except UnicodeDecodeError:
                    raise
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"data {path}: not JSON: {error}") from None
                if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                    raise ValueError(f"data {path}: expected a list of objects")
                yield from rows
                return
            for place, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(path, place, line)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"data {path}: expected UTF-8 text ({error.reason} at byte {error.start}); is it a binary file?"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"data {path}: damaged gzip file ({error})") from None
    except csv.Error as error:
        raise ValueError(f"data {path}: not readable as CSV ({error})") from None


def _row(path: Path, place: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"data {path}, line {place}: expected one JSON object a line: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"data {path}, line {place}: expected a JSON object, got {line.strip()[:80]!r}")
    return row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        yield from pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"data {path}: damaged, or not a Parquet file ({error})") from error


def _hub(name: str, config: str | None, split: str) -> list[dict[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            f"data {name!r} is no file here, so it is taken as a Hugging Face hub data set; reading one needs the package datasets:\n"
            "pip install datasets"
        ) from error
    try:
        return list(datasets.load_dataset(name, config, split=split))
    except (ConnectionError, OSError) as error:  # also datasets' own "could not find it, and there is no network"
        raise ConnectionError(
            f"data {name!r}: the hub data set cannot be had ({type(error).__name__}: {str(error)[:200]}): check the name and the network, or save "
            "it where there is one (datasets.load_dataset(...).to_json('file.jsonl')) and give the file's path"
        ) from error
