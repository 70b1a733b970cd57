"""Append-only JSON lines: written in whole blocks, read back strictly, a torn last line repaired and said.

A ledger is the record of what was measured. So a reader refuses anything that it does not understand, except the one damage
that a crash can do to an append: half a last line.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from breadth.records import Measurement

COLUMNS = (
    "study",
    "objective",
    "seed",
    "step",
    "checkpoint",
    "metric",
    "value",
    "error",
    "n",
    "n_unscored",
    "unit",
    "sets",
)


class LedgerError(ValueError):
    """A file of rows that is damaged beyond a torn last line; the message names the file and the line."""


def measurement_row(
    m: Measurement, *, study: str, objective: str, seed: int, step: int, checkpoint: str
) -> dict[str, Any]:
    """Return the ledger row of a measurement; keys in the order of ``COLUMNS``."""
    return {
        "study": study,
        "objective": objective,
        "seed": seed,
        "step": step,
        "checkpoint": checkpoint,
        "metric": m.metric,
        "value": finite(m.value),
        "error": finite(m.error),
        "n": m.n,
        "n_unscored": m.n_unscored,
        "unit": m.unit,
        "sets": [finite(v) for v in m.sets],
    }


def finite(value: float | None) -> float | None:
    """Return the value as a plain float, or None where it is not a finite number: files never hold NaN."""
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else None


def append_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Append rows in one write and force them to the disk."""
    text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    with open(path, "ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path, *, on_repair: Callable[[str], None] | None = None) -> list[dict[str, Any]]:
    """Return all rows of a file.

    A last line without its newline is the trace of a write that was cut off: it is left out, and with ``on_repair`` given the
    file is cut back to its last whole line and ``on_repair`` is told so. Any other line that is not a JSON object is refused.

    Raises
    ------
    LedgerError
        Names the file, the line and what stands there.
    FileNotFoundError
        Where there is no such file.
    """
    data = Path(path).read_bytes()
    whole, newline, torn = data.rpartition(b"\n")
    if torn and on_repair is not None:
        with open(path, "r+b") as file:
            file.truncate(len(whole) + len(newline))
            file.flush()
            os.fsync(file.fileno())
        on_repair(
            f"{path}: the last line was cut off after {len(torn)} bytes by an interrupted write and was removed; it is written again"
        )
    rows = []
    for number, line in enumerate(whole.split(b"\n") if whole else [], start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # also a number or brackets beyond what Python takes
            shown = line[:60].decode(errors="replace")
            raise LedgerError(
                f"{path}, line {number}: expected a JSON object, got {shown!r} ({error}). The file was changed or damaged: restore "
                "it, or delete the run folder and run again"
            ) from None
        if not isinstance(row, dict):
            raise LedgerError(f"{path}, line {number}: expected a JSON object, got {type(row).__name__}")
        rows.append(row)
    return rows


def check_ledger(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Refuse ledger rows that lack a column or hold the same (step, metric) twice."""
    seen: set[tuple[Any, ...]] = set()
    for number, row in enumerate(rows, start=1):
        missing = [c for c in COLUMNS if c not in row]
        if missing:
            raise LedgerError(
                f"{path}, line {number}: expected the columns {', '.join(COLUMNS)}; missing {', '.join(missing)}"
            )
        key = (row["study"], row["objective"], row["seed"], row["step"], row["metric"])
        if not all(isinstance(part, str | int) for part in key):
            raise LedgerError(
                f"{path}, line {number}: expected names and whole numbers for study, objective, seed, step and metric, got {str(key):.120}"
            )
        if key in seen:
            raise LedgerError(
                f"{path}, line {number}: step {row['step']}, metric {row['metric']!r} stands here a second time"
            )
        seen.add(key)


def keep_rows(path: Path, keep: Callable[[dict[str, Any]], bool], *, on_repair: Callable[[str], None]) -> int:
    """Rewrite a file with the rows that ``keep`` accepts, atomically; return how many were dropped."""
    if not path.exists():
        return 0
    rows = read_rows(path, on_repair=on_repair)
    kept = [row for row in rows if keep(row)]
    if len(kept) < len(rows):
        write_atomic(path, "".join(json.dumps(r, ensure_ascii=False, allow_nan=False) + "\n" for r in kept).encode())
    return len(rows) - len(kept)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part: temporary file, fsync, rename."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    clear_leftovers(path.parent, re.escape(path.name))
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def commit_folder(temporary: Path, target: Path) -> None:
    """Force a folder's files to the disk, then give it its name: ``target`` appears whole or not at all, also after a power cut.

    Raises
    ------
    OSError
        Where ``target`` is there already and is not empty.
    """
    for path in temporary.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    sync_folder(temporary)
    os.rename(temporary, target)
    sync_folder(target.parent)


def clear_leftovers(folder: Path, name: str) -> None:
    """Remove what killed processes left half-written: ``.NAME.PID.tmp`` and ``.NAME.PID-old.tmp`` of processes that are gone.

    ``name`` is a regular expression; what processes that live are writing is left alone.
    """
    if not folder.is_dir():
        return
    form = re.compile(rf"\.{name}\.(\d+)(-old)?\.tmp")
    for entry in os.listdir(folder):
        match = form.fullmatch(entry)
        if match is None or _lives(int(match.group(1))):
            continue
        path = folder / entry
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, so that a rename in it survives a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
