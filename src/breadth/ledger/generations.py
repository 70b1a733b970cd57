"""Generations of any origin as one stream of rows: prompt, response, and what was said of them.

JSON lines, Parquet, CSV and wandb table exports, compressed by gzip or not; one file or a folder of them. Read row by
row: memory stays at one row (Parquet: one batch of 1,024; a wandb table is one JSON value and is read whole, about five
times the file's size).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from breadth.ledger.generation_formats import FIELDS, Format, recognise, spread

SUFFIXES = (".jsonl", ".json", ".parquet", ".csv")
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer. ``None`` means that the file does not say; ``line`` counts from 1 (Parquet and tables: the row)."""

    prompt: str
    response: str
    reward: float | None = None
    correct: float | None = None  # 1, 0
    logprob: float | None = None  # Σ log π, nats
    step: int | None = None
    kind: str | None = None  # class of the answer inside its prompt, where the file has one
    valid: bool | None = None  # whether the tool that wrote the file could parse it
    line: int = 0
    path: str = ""
    index: int = 0  # of the answer in the order of reading, from 0
    sampling: Mapping[str, Any] | None = None  # how it was drawn, where the file says so
    messages: Sequence[Mapping[str, Any]] | None = None  # the prompt as a chat, where it is one


@dataclass(frozen=True, slots=True)
class Source:
    """What :func:`describe_source` found out about a path: its files, its format, and which column feeds which field."""

    files: tuple[Path, ...]
    format: Format

    @property
    def sentence(self) -> str:
        """Say what was recognised and what was read from where."""
        read = ", ".join(f"{name} from {column!r}" for name, column in self.format.fields.items() if name in FIELDS)
        files = f"{len(self.files)} files" if len(self.files) > 1 else "1 file"
        return f"Read as {self.format.title} ({files}): {read}.{' ' + self.format.note if self.format.note else ''}"


class GenerationsError(ValueError):
    """A file of generations that cannot be read; the message names the file, the line and what was expected."""


def describe_source(path: str | Path, *, fields: Mapping[str, str] | None = None, format: str | None = None) -> Source:
    """Return which files stand at a path and how they are to be read, from the columns of the first row.

    Parameters
    ----------
    path : path
        A file, or a folder whose files with the suffixes jsonl, json, parquet or csv (also with .gz) are read in the order
        of the numbers in their names.
    fields : mapping, optional
        Field -> column, for columns with names of their own: ``{"prompt": "q", "response": "a"}``. It goes before what was
        recognised.
    format : str, optional
        Name of a format, where the recognised one is wrong.

    Raises
    ------
    FileNotFoundError
        Nothing at the path, or a folder without such files.
    GenerationsError
        No rows, or columns from which neither a known format nor prompt and response can be told.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> file = Path(folder.name) / "a.jsonl"
    >>> _ = file.write_text('{"input": "p", "output": "r", "score": 1.0, "step": 3}')
    >>> describe_source(file).format.name, next(read_generations(file)).step
    ('verl', 3)
    >>> folder.cleanup()
    """
    files = _files(Path(path))
    for file in files:
        for number, row in _rows(file):
            return Source(files, recognise(row, fields or {}, format, f"{file}, line {number}", GenerationsError))
    raise GenerationsError(f"{path}: expected at least one row, got none in {len(files)} file(s)")


def read_generations(
    path: str | Path | Source, *, fields: Mapping[str, str] | None = None, format: str | None = None
) -> Iterator[Generation]:
    """Yield the answers of a file or folder, in its order, one at a time.

    Parameters
    ----------
    path : path or Source
        See :func:`describe_source`.
    fields, format
        See :func:`describe_source`.

    Yields
    ------
    Generation
        A row that lists several responses gives one for each. An empty response is an answer like any other.

    Raises
    ------
    GenerationsError
        With file and line: bytes that are not UTF-8, a line that is not a JSON object, a field that is missing, a response
        that is not text, a number that is none. NaN and null numbers are None: not scored.
    """
    source = path if isinstance(path, Source) else describe_source(path, fields=fields, format=format)
    state: dict[str, Any] = {}  # what a format remembers from row to row
    index = 0
    for file in source.files:
        for number, row in _rows(file):
            place = f"{file}, line {number}"
            for values in spread(row, source.format, state, place, GenerationsError):
                yield Generation(**values, line=number, path=str(file), index=index)
                index += 1


def read_rows(path: str | Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (file and line, row) of a file or folder as the rows stand there, whatever their columns.

    Raises
    ------
    GenerationsError, FileNotFoundError
        As :func:`read_generations`.
    """
    for file in _files(Path(path)):
        for number, row in _rows(file):
            yield f"{file}, line {number}", row


def _files(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: expected a file of generations or a folder of them, got nothing there")
    found = [file for file in path.iterdir() if file.is_file() and _suffix(file) in SUFFIXES]
    if not found:
        raise FileNotFoundError(f"{path}: expected files ending in {', '.join(SUFFIXES)} (or .gz) in the folder, got none")
    return tuple(sorted(found, key=_by_numbers))


def _by_numbers(file: Path) -> list[tuple[int, int | str]]:
    """Return a sorting key by which 9.jsonl stands before 10.jsonl."""
    parts: list[tuple[int, int | str]] = []
    digits = text = ""
    for sign in file.name + "\0":
        if sign.isdigit():
            if text:
                parts.append((1, text))
            digits, text = digits + sign, ""
        else:
            if digits:
                parts.append((0, int(digits)))
            digits, text = "", text + sign
    return [*parts, (1, text)]


def _suffix(file: Path) -> str:
    """Return the suffix below a possible .gz, lower case."""
    return (file.with_suffix("") if file.suffix.lower() == ".gz" else file).suffix.lower()


@contextmanager
def _open(file: Path) -> Iterator[BinaryIO]:
    """Open a file, through gzip where its first bytes say so: a name may be wrong."""
    with open(file, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped:
            yield raw
            return
        with gzip.open(raw, "rb") as inside:
            try:
                yield inside  # type: ignore[misc]
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise GenerationsError(f"{file}: the gzip file is cut off or damaged ({error})") from None


def _rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a file as mappings, with their number."""
    suffix = _suffix(file)
    if suffix == ".parquet":
        yield from _parquet_rows(file)
        return
    if suffix not in SUFFIXES:
        raise GenerationsError(f"{file}: expected a name ending in {', '.join(SUFFIXES)} (or .gz), got {file.name!r}")
    with _open(file) as stream:
        if suffix == ".csv":
            yield from _csv_rows(file, stream)
        elif suffix == ".json":
            yield from _json_rows(file, stream)
        else:
            yield from _jsonl_rows(file, stream)


def _jsonl_rows(file: Path, stream: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise GenerationsError(_not_utf8(file, number, error)) from None
        except (ValueError, RecursionError) as error:  # also a number or brackets beyond what Python takes
            shown = line[:60].decode(errors="replace").strip()
            raise GenerationsError(f"{file}, line {number}: expected a JSON object, got {shown!r} ({error})") from None
        if not isinstance(row, dict):
            raise GenerationsError(f"{file}, line {number}: expected a JSON object, got {type(row).__name__}")
        yield number, row


def _json_rows(file: Path, stream: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the rows of a wandb table export or of a list of objects; else the file is taken for JSON lines."""
    data = stream.read()
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise GenerationsError(_not_utf8(file, data.count(b"\n", 0, error.start) + 1, error)) from None
    except (ValueError, RecursionError):
        yield from _jsonl_rows(file, io.BytesIO(data))
        return
    if isinstance(value, dict) and isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        columns = [str(column) for column in value["columns"]]
        for number, cells in enumerate(value["data"], start=1):
            if not isinstance(cells, list) or len(cells) != len(columns):
                count = len(cells) if isinstance(cells, list) else type(cells).__name__
                raise GenerationsError(f"{file}, line {number}: expected {len(columns)} cells in row {number}, got {count}")
            yield number, {**dict(zip(columns, cells, strict=True)), "\0table": True}
        return
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise GenerationsError(f"{file}, line {number}: expected a JSON object, got {type(row).__name__}")
        yield number, row


def _csv_rows(file: Path, stream: BinaryIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    def lines() -> Iterator[str]:
        for number, line in enumerate(stream, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise GenerationsError(_not_utf8(file, number, error)) from None

    csv.field_size_limit(1 << 27)  # a response may be longer than the default of 128 kB
    reader = csv.reader(lines())
    try:
        header = next(reader, None)
        if header is None:
            return
        for cells in reader:
            if not cells or cells == header:  # REINVENT repeats its header where a run was continued
                continue
            if len(cells) != len(header):
                raise GenerationsError(
                    f"{file}, line {reader.line_num}: expected {len(header)} cells, as in the header, got {len(cells)}"
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise GenerationsError(f"{file}, line {reader.line_num}: not readable as CSV ({error})") from None


def _parquet_rows(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        table = pq.ParquetFile(file)
        plain = [f.name for f in table.schema_arrow if not pa.types.is_binary(f.type) and f.name not in ("image", "images")]
        for batch in table.iter_batches(batch_size=_BATCH, columns=plain):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        raise GenerationsError(f"{file}, after row {number}: not a readable Parquet file ({error})") from None
    except UnicodeDecodeError as error:
        raise GenerationsError(_not_utf8(file, number + 1, error)) from None


def _not_utf8(file: Path, number: int, error: UnicodeDecodeError) -> str:
    wrong = error.object[error.start : error.start + 1].hex()
    return (
        f"{file}, line {number}: expected UTF-8, got the byte 0x{wrong} ({error.reason}); convert the file, "
        "e.g. iconv -f latin1 -t utf-8"
    )


def count_rows(path: str | Path | Source) -> int:
    """Return the number of answers at a path; reads it once.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.jsonl"
    ...     _ = file.write_text('{"prompt": "p", "response": ["a", "b"]}')
    ...     count_rows(file)
    2
    """
    return sum(1 for _ in read_generations(path))


def known_fields(rows: Sequence[Generation]) -> tuple[str, ...]:
    """Return which of the optional fields any of these rows has.

    Examples
    --------
    >>> known_fields([Generation("p", "r", reward=1.0)])
    ('reward',)
    """
    names = ("reward", "correct", "logprob", "step", "kind")
    return tuple(name for name in names if any(getattr(row, name) is not None for row in rows))
