"""Rows of a text column out of a file or a hub data set, with line numbers and errors that say what is wrong."""

from __future__ import annotations

import csv
import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from breadth.tasks.smiles import split_smiles

#: Names under which a column of SMILES is found, in order of preference; case does not count.
SMILES_COLUMNS = ("smiles", "canonical_smiles", "smi", "smile", "structure", "molecule", "mol", "text")
SUFFIXES = (".smi", ".ism", ".txt", ".csv", ".tsv", ".parquet")
MAX_LINE = 100_000  # characters; the longest SMILES of PubChem is below 10,000


class Row(NamedTuple):
    """One row of a corpus: line (or row) number from 1, the text, and the split that the file gives ("" for none)."""

    line: int
    text: str
    split: str


def read_rows(source: str | os.PathLike, *, column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a file, or of a hub data set where ``source`` is no file but looks like ``owner/name``.

    Parameters
    ----------
    source : str or path
        ``.smi``, ``.ism``, ``.txt``: first word of each line, or the column of that name where the first line is a
        header. ``.csv``, ``.tsv``, ``.parquet``: the column ``column``, else one of ``SMILES_COLUMNS``. All but Parquet
        also ``.gz``.
    column : str, optional
        Name of the column.

    Raises
    ------
    FileNotFoundError
        There is no such file, and the name is not that of a hub data set.
    ValueError
        Unknown kind of file, no such column, a damaged or binary file, a line above 100,000 characters; with line
        numbers.
    ImportError
        A hub data set without the package ``datasets``.
    """
    path = Path(source).expanduser()
    if not path.exists():
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) or kind_of(path) in SUFFIXES:
            raise FileNotFoundError(
                f"corpus {str(source)!r}: there is no such file (and a hub data set would be named 'owner/name')"
            )
        return _read_hub(str(source), column)
    kind = kind_of(path)
    if path.is_dir() or kind not in SUFFIXES:
        endings = ", ".join(SUFFIXES)
        raise ValueError(f"corpus {str(source)!r}: expected a file that ends in {endings} (or .gz), got {path.name!r}")
    if kind == ".parquet":
        return _read_parquet(path, column)
    return _read_delimited(path, column, kind)


def kind_of(path: Path) -> str:
    """Return the lower-case suffix of a path, a final ``.gz`` left out."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def text_lines(path: Path) -> Iterator[str]:
    """Yield text lines without line ends; a line that is no text or has no end is an error with its number."""
    number = 0
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as handle:
            while line := handle.readline(MAX_LINE + 1):
                number += 1
                if b"\0" in line:
                    raise ValueError(f"corpus {path}: line {number} holds a zero byte; is it a binary file?")
                if len(line) > MAX_LINE:
                    raise ValueError(
                        f"corpus {path}: line {number} is longer than {MAX_LINE:,} characters: expected a molecule"
                    )
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        what = f"line {number} is not UTF-8 text ({error.reason}); is it a binary file?"
        raise ValueError(f"corpus {path}: {what}") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"corpus {path}: damaged gzip file after line {number} ({error})") from error


def _pick_column(names: Sequence[str], column: str | None, where: str) -> int | None:
    """Return the index of the SMILES column; None where no name fits and none was asked for."""
    lower = [name.strip().lower() for name in names]
    if column is not None:
        if column.lower() not in lower:
            raise ValueError(f"corpus {where}: expected a column {column!r}, got the columns {list(names)}")
        return lower.index(column.lower())
    return next((lower.index(name) for name in SMILES_COLUMNS if name in lower), None)


def _read_delimited(path: Path, column: str | None, kind: str) -> Iterator[Row]:
    separator = {".csv": ",", ".tsv": "\t"}.get(kind)
    lines = text_lines(path)
    words = (re.split(r"[\s,;]+", line.strip()) for line in lines)
    rows = csv.reader(lines, delimiter=separator) if separator else words
    index, split = None, None
    try:
        for number, cells in enumerate(rows, 1):
            line = rows.line_num if separator else number
            if index is None:
                index = _pick_column(cells, column, str(path))
                if index is not None:
                    split = next((i for i, name in enumerate(cells) if name.strip().lower() == "split"), None)
                    continue
                if separator and cells and not split_smiles(cells[0].strip()):
                    raise ValueError(
                        f"corpus {path}: none of the columns {cells} is named like SMILES "
                        f"({', '.join(SMILES_COLUMNS)}); name it with column=..."
                    )
                index = 0  # no header
            text = cells[index].strip() if index < len(cells) else ""
            yield Row(line, text, cells[split].strip() if split is not None and split < len(cells) else "")
    except csv.Error as error:
        raise ValueError(f"corpus {path}: line {rows.line_num} is not a row of a {kind} file ({error})") from error


def _read_parquet(path: Path, column: str | None) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise ValueError(f"corpus {path}: damaged, or not a Parquet file ({error})") from error
    names = file.schema_arrow.names
    index = _pick_column(names, column, str(path))
    if index is None:
        raise ValueError(f"corpus {path}: none of the columns {names} is named like SMILES; name it with column=...")
    wanted = [names[index], *(n for n in names if n.lower() == "split")]
    return _numbered(row for batch in file.iter_batches(columns=wanted) for row in batch.to_pylist())


def _read_hub(name: str, column: str | None) -> Iterator[Row]:
    try:
        import datasets
    except ImportError as error:
        raise ImportError(
            f"corpus {name!r} is no file here, so it is taken as a Hugging Face hub data set; reading one needs the "
            "package datasets:\npip install datasets"
        ) from error
    data = datasets.load_dataset(name, split="train")
    names = list(data.column_names)
    index = _pick_column(names, column, name)
    if index is None:
        raise ValueError(f"corpus {name}: none of the columns {names} is named like SMILES; name it with column=...")
    wanted = [names[index], *(n for n in names if n.lower() == "split")]
    return _numbered({key: row[key] for key in wanted} for row in data)


def _numbered(rows: Iterable[dict]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        text, *split = row.values()
        yield Row(number, str(text or "").strip(), str(split[0] or "").strip() if split else "")
