"""Prompts from a file: one turn, or several as MT-Bench has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.ledger.generations import GenerationsError, read_rows

_PROMPTS = ("turns", "prompt", "question", "instruction", "input", "query", "text")
_IDS = ("id", "question_id", "prompt_id")


@dataclass(frozen=True, slots=True)
class Prompt:
    """``turns``: what the user says, first to last; ``id`` as the file has it, else empty."""

    turns: tuple[str, ...]
    id: str = ""


def read_prompts(path: str | Path, *, column: str | None = None, limit: int | None = None) -> list[Prompt]:
    """Return the prompts of a file.

    Parameters
    ----------
    path : path
        JSON lines, JSON, Parquet or CSV (also .gz); or .txt with one prompt a line.
    column : str, optional
        Where they stand; None: the first there is of turns, prompt, question, instruction, input, query, text. A list of texts
        is a conversation's turns of the user; a list of messages gives those of the user.
    limit : int, optional
        Only the first so many.

    Raises
    ------
    GenerationsError
        A row without the column, or with something else than text in it (names the line); a file without prompts.
    FileNotFoundError

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "p.jsonl").write_text('{"id": 7, "turns": ["Name an animal.", "Another one."]}')
    ...     read_prompts(Path(folder) / "p.jsonl")
    [Prompt(turns=('Name an animal.', 'Another one.'), id='7')]
    """
    path = Path(path)
    if path.suffix.lower() == ".txt":
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise GenerationsError(f"{path}: expected UTF-8, got the byte 0x{error.object[error.start]:02x}") from None
        found = [Prompt((line.strip(),)) for line in lines if line.strip()]
        found = found if limit is None else found[:limit]
    else:
        found = []
        for place, row in read_rows(path):
            if limit is not None and len(found) == limit:
                break
            found.append(_prompt(place, row, column))
    if not found:
        raise GenerationsError(f"{path}: expected at least one prompt, got none")
    return found


def _prompt(place: str, row: Mapping[str, Any], column: str | None) -> Prompt:
    name = column or next((name for name in _PROMPTS if name in row), None)
    if name is None or name not in row:
        wanted = repr(column) if column else f"one of {', '.join(_PROMPTS)}"
        raise GenerationsError(
            f"{place}: expected a column {wanted}, got {', '.join(row) or 'nothing'}; name it with --column"
        )
    value = row[name]
    turns = value if isinstance(value, list) else [value]
    if turns and all(isinstance(turn, Mapping) for turn in turns):
        turns = [turn.get("content") for turn in turns if turn.get("role", "user") == "user"]
    if not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise GenerationsError(f"{place}: expected text, or a list of texts, in {name!r}, got {value!r:.60}")
    number = next((row[key] for key in _IDS if row.get(key) is not None), "")
    return Prompt(tuple(turns), str(number))
