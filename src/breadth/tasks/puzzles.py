"""Number puzzles: make a target from given numbers, each used exactly once. Drawing them, splitting them, solving them completely."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from pathlib import Path

import numpy as np

from breadth.partitions.expressions import Expression, combine, number

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, order=True)
class Puzzle:
    """``numbers`` sorted, with repeats; ``target`` is what an expression of them must be worth."""

    numbers: tuple[int, ...]
    target: int


def split_of(numbers: tuple[int, ...], held_out: float) -> str:
    """Return the split of a multiset of numbers: ``valid`` and ``test`` take a share ``held_out`` each, ``train`` the rest.

    By the SHA-256 of the sorted numbers, so all puzzles over the same numbers stand on one side, in every run and on every machine.
    """
    text = " ".join(map(str, sorted(numbers)))
    place = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
    return "valid" if place < held_out else "test" if place < 2 * held_out else "train"


@lru_cache(maxsize=4096)
def all_expressions(numbers: tuple[int, ...]) -> dict[str, Expression]:
    """Return every expression that uses each of the numbers exactly once and never divides by zero, by its canonical form.

    n numbers that satisfy no special relation have 1, 6, 68, 1260 of them for n = 1, 2, 3, 4.

    Source: this project; equivalences as in :mod:`breadth.partitions.expressions`. Departures: none.

    Examples
    --------
    >>> sorted(all_expressions((2, 3)))
    ['2*3', '2+3', '2-3', '2/3', '3-2', '3/2']
    """
    if len(numbers) == 1:
        only = number(numbers[0])
        return {only.key: only}
    found: dict[str, Expression] = {}
    for left, right in _two_parts(numbers):
        for a in all_expressions(left).values():
            for b in all_expressions(right).values():
                for one, operator, other in (
                    (a, "+", b),
                    (a, "*", b),
                    (a, "-", b),
                    (b, "-", a),
                    (a, "/", b),
                    (b, "/", a),
                ):
                    made = combine(one, operator, other)
                    if made.value is not None:
                        found.setdefault(made.key, made)
    return found


def _two_parts(numbers: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield the ways to split a multiset into two non-empty ones, each once, both sorted."""
    n, seen = len(numbers), set()
    for chosen in range(1, 1 << (n - 1)):  # the last number stays on the right: no split comes twice
        left = tuple(sorted(numbers[i] for i in range(n) if chosen >> i & 1))
        right = tuple(sorted(numbers[i] for i in range(n) if not chosen >> i & 1))
        parts = min((left, right), (right, left))
        if parts not in seen:
            seen.add(parts)
            yield parts


@lru_cache(maxsize=1 << 16)
def solutions(puzzle: Puzzle) -> tuple[str, ...]:
    """Return the canonical forms of all solutions of a puzzle, sorted; empty where it has none.

    Examples
    --------
    >>> solutions(Puzzle((3, 3, 8, 8), 24)), solutions(Puzzle((1, 1, 1, 1), 24))
    (('8/(3-8/3)',), ())
    """
    everything = all_expressions(tuple(sorted(puzzle.numbers)))
    return tuple(sorted(key for key, found in everything.items() if found.value == puzzle.target))


@dataclass(frozen=True, slots=True)
class Drawn:
    """An expression as it is written down, white space between its tokens, and its value as a reduced fraction; the bottom is above 0."""

    text: str
    top: int
    bottom: int


def draw_expression(numbers: tuple[int, ...], uniform: np.ndarray) -> Drawn | None:
    """Return a random expression of the numbers: they are joined two at a time, which two and how being drawn evenly.

    Parameters
    ----------
    numbers : n ints
    uniform : (3·(n − 1),) float64 in [0, 1)
        What chance decides.

    Returns
    -------
    Drawn or None
        With only the brackets that it needs; None where it divides by zero.
    """
    parts = [(str(value), value, 1, 3) for value in numbers]  # text, top, bottom, how tightly it holds together
    for step in range(len(numbers) - 1):
        first, second, kind = uniform[3 * step : 3 * step + 3]
        text_a, a, p, hold_a = parts.pop(int(first * len(parts)))
        text_b, b, q, hold_b = parts.pop(int(second * len(parts)))
        operator = "+-*/"[int(kind * 4)]
        if operator in "+-":
            top, bottom, hold = (a * q + b * p if operator == "+" else a * q - b * p), p * q, 1
        elif operator == "*":
            top, bottom, hold = a * b, p * q, 2
        elif b == 0:
            return None
        else:
            top, bottom, hold = a * q, p * b, 2
        if bottom < 0:
            top, bottom = -top, -bottom
        shared = gcd(top, bottom)
        left = f"( {text_a} )" if hold_a < hold else text_a
        # a bracket on the right stays where leaving it out would change the value: a - (b - c), a / (b * c)
        right = f"( {text_b} )" if hold_b < hold or (hold_b == hold and operator in "-/") else text_b
        parts.append((f"{left} {operator} {right}", top // shared, bottom // shared, hold))
    text, top, bottom, _ = parts[0]
    return Drawn(text, top, bottom)


def read_puzzle_file(path: str | Path) -> list[Puzzle]:
    """Return the puzzles of a JSONL file (also ``.gz``): ``numbers``, and ``target`` (24 where it is absent).

    Raises
    ------
    FileNotFoundError
    ValueError
        Names the line that is no puzzle, and what was expected.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"puzzles: no such file: {path}")
    found = []
    for place, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            numbers, target = row["numbers"], row.get("target", 24)
            if not (len(numbers) >= 2 and all(type(v) is int and v >= 0 for v in [*numbers, target])):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError(
                f'{path}, line {place}: expected {{"numbers": [two or more whole numbers], "target": a whole number}}, got {line.strip()[:80]!r}'
            ) from None
        found.append(Puzzle(tuple(sorted(numbers)), target))
    if not found:
        raise ValueError(f"{path}: expected at least one puzzle, found none")
    return list(dict.fromkeys(found))


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else open(path, encoding="utf-8") as lines:
            yield from lines
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text ({error.reason} at byte {error.start}); is it a binary file?") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file ({error})") from None
