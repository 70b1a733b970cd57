"""Drawing puzzles that have a solution, with the solution they were drawn by; fast enough for a corpus of a million."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb

import numpy as np

from breadth.seeds import numpy_generator
from breadth.tasks.puzzles import Drawn, Puzzle, draw_expression, split_of

_LISTED = 500_000  # multisets up to which all are listed; above, they are drawn and kept where the split fits
_BLOCK = 4096  # draws that share a call of the generator
_IN_VAIN = 100_000  # draws in a row without a puzzle after which there is taken to be none


@dataclass(frozen=True)
class PuzzleDraws:
    """Puzzles of ``count`` numbers in 1 .. ``max_number`` with a target in ``low`` .. ``high``, by split."""

    count: int
    max_number: int
    low: int
    high: int
    held_out: float

    def draw(
        self,
        n: int,
        generator: np.random.Generator,
        *,
        split: str,
        keep: Callable[[Puzzle], bool] = lambda puzzle: True,
    ) -> list[tuple[Puzzle, str]]:
        """Return n puzzles of a split that ``keep`` takes, each with the expression that it was made from; repeats are possible.

        Raises
        ------
        ValueError
            Where 100,000 draws in a row gave no puzzle: no numbers of this split make such a target.
        """
        found: list[tuple[Puzzle, str]] = []
        vain = 0
        while len(found) < n:
            for numbers, uniform in self._block(generator, split):
                drawn = draw_expression(numbers, uniform)
                fits = drawn is not None and drawn.bottom == 1 and self.low <= drawn.top <= self.high
                if not fits or not keep(Puzzle(numbers, drawn.top)):
                    vain += 1
                    if vain >= _IN_VAIN:
                        raise ValueError(
                            f"countdown: {vain} draws of {self.count} numbers of 1 to {self.max_number} (split {split!r}) made no puzzle with a "
                            f"target of {self.low} to {self.high}: raise max_number or max_target, change the target, or ask for fewer solutions"
                        )
                    continue
                vain = 0
                found.append((Puzzle(numbers, drawn.top), drawn.text))
                if len(found) == n:
                    break
        return found

    def distinct(self, n: int, *, split: str, keep: Callable[[Puzzle], bool] = lambda puzzle: True) -> list[Puzzle]:
        """Return the first n different puzzles of a split in one fixed random order; the first m of them are those of ``distinct(m)``.

        Raises
        ------
        ValueError
            Where there seem to be fewer than n: says how many were found.
        """
        generator = numpy_generator(0, "held out", split, self.count, self.max_number, self.low, self.high)
        seen: dict[Puzzle, None] = {}
        vain = 0
        while len(seen) < n:
            before = len(seen)
            for puzzle, _ in self.draw(64, generator, split=split, keep=keep):
                seen.setdefault(puzzle)
            vain = vain + 1 if len(seen) == before else 0
            if vain == 100:
                raise ValueError(
                    f"countdown: {n} different prompts of the split {split!r} were asked for, {len(seen)} were found: ask for fewer, or raise "
                    "max_number, max_target or held_out"
                )
        return list(seen)[:n]

    def other(self, puzzle: Puzzle, generator: np.random.Generator) -> str:
        """Return a random expression of a puzzle's numbers that is not worth its target."""
        while True:
            drawn: Drawn | None = draw_expression(puzzle.numbers, generator.random(3 * (self.count - 1)))
            if drawn is not None and (drawn.bottom != 1 or drawn.top != puzzle.target):
                return drawn.text

    def _block(self, generator: np.random.Generator, split: str) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """Return numbers of the split and the chance for an expression of each."""
        uniform = generator.random((_BLOCK, 3 * (self.count - 1)))
        listed = self._multisets
        if listed is not None:
            if not listed[split]:
                raise ValueError(
                    f"countdown: no {self.count} numbers of 1 to {self.max_number} fall into the split {split!r}: raise max_number or held_out"
                )
            places = generator.integers(0, len(listed[split]), _BLOCK)
            return [(listed[split][i], row) for i, row in zip(places.tolist(), uniform, strict=True)]
        rows = np.sort(generator.integers(1, self.max_number + 1, (_BLOCK, self.count)), axis=1).tolist()
        drawn = [(tuple(row), chance) for row, chance in zip(rows, uniform, strict=True)]
        return [(numbers, chance) for numbers, chance in drawn if split_of(numbers, self.held_out) == split]

    @cached_property
    def _multisets(self) -> dict[str, list[tuple[int, ...]]] | None:
        if comb(self.max_number + self.count - 1, self.count) > _LISTED:
            return None
        out: dict[str, list[tuple[int, ...]]] = {"train": [], "valid": [], "test": []}
        for numbers in combinations_with_replacement(range(1, self.max_number + 1), self.count):
            out[split_of(numbers, self.held_out)].append(numbers)
        return out
