"""Countdown and game24: join given numbers, each used exactly once, by + - * / into an expression that is worth the target.

Right is exact (rational arithmetic), the same is exact (canonical form up to order and grouping), and all solutions of a puzzle can be
listed: how much of what is right a policy still finds has a true denominator. Puzzles over the same numbers stand on one side of the
split, so a held-out puzzle shows numbers that training never showed together.

Source: game24 as used by Yao et al. 2023 (arXiv 2305.10601); Countdown with each number used once as in Gandhi et al. 2024
(arXiv 2404.03683).
Departures: (1) prompts for a model from scratch are bare tokens. (2) the split is by the multiset of numbers, not by puzzle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import ClassVar

import numpy as np

from breadth.partitions.expressions import Expression, read_expression, structure_distance
from breadth.records import Measurement, TaskDescription
from breadth.seeds import numpy_generator
from breadth.tasks.protocol import Task
from breadth.tasks.puzzle_draws import PuzzleDraws
from breadth.tasks.puzzle_prompts import answer_in, read_prompt, write_prompt
from breadth.tasks.puzzles import SPLITS, Puzzle, read_puzzle_file, solutions, split_of
from breadth.tasks.verifiable import success_rows
from breadth.tasks.vocabulary import Vocabulary

_DISTANCES = {
    "solution": "1 where the canonical expressions differ",
    "structure": "1 − the share of sub-expressions that both have (Jaccard of multisets)",
}


@dataclass(frozen=True, kw_only=True)
class CountdownTask(Task):
    """Make the target of a prompt from its numbers, each used exactly once.

    Parameters
    ----------
    numbers : int
        How many numbers a puzzle has, 2 to 6; the set of all solutions is listed for up to 4.
    max_number : int
        Numbers are 1 .. max_number.
    target : int, optional
        The target of every puzzle; None: any whole number from 1 to ``max_target`` that the numbers can make.
    max_target : int
        Largest target, where ``target`` is None.
    held_out : float
        Share of the multisets of numbers in each of the splits ``valid`` and ``test``.
    corruption : float
        Probability that an answer in the pre-training corpus is another expression of the same numbers, not worth the target:
        sets the quality of the prior.
    min_solutions : int
        Held-out prompts are puzzles with at least so many different solutions (up to 4 numbers), so that range can be seen; training
        and pre-training have all.
    puzzles : path, optional
        A JSONL file (also ``.gz``) of puzzles with ``numbers`` and ``target`` (24 where absent) to prompt with, split like the others;
        they are taken as they are, solvable or not. Pre-training still draws puzzles of its own.
    form : {"tokens", "words"}
        Prompts of bare tokens (``3 7 12 -> 120 :``), for a model from scratch; or an English sentence that asks for the answer
        inside ``\\boxed{}``, for a language model.

    Raises
    ------
    ValueError
        Names every setting that is impossible, with numbers.

    Source and departures: see the head of this module.

    Examples
    --------
    >>> task = CountdownTask(numbers=3)
    >>> asked = ["3 7 12 -> 120 :"] * 4
    >>> task.score(["12 * ( 3 + 7 )", "( 7 + 3 ) * 12", "12 * 3 + 7", "12 * 10"], asked).tolist()
    [1.0, 1.0, 0.0, 0.0]
    >>> task.key(["12 * ( 3 + 7 )", "( 7 + 3 ) * 12", "12 *"], asked[:3])
    ['12*(3+7)', '12*(3+7)', None]
    >>> task.solutions(asked[0])
    ('12*(3+7)',)
    """

    numbers: int = 3
    max_number: int = 12
    target: int | None = None
    max_target: int = 50
    held_out: float = 0.1
    corruption: float = 0.5
    min_solutions: int = 1
    puzzles: str | None = None
    form: str = "tokens"

    name: ClassVar[str] = "countdown"

    def __post_init__(self) -> None:
        problems = []
        if not 2 <= self.numbers <= 6:
            problems.append(f"numbers: expected 2 to 6 numbers in a puzzle, got {self.numbers}")
        if not 2 <= self.max_number <= 1000:
            problems.append(f"max_number: expected 2 to 1000, got {self.max_number}")
        for name, value in (("target", self.target), ("max_target", self.max_target)):
            if value is not None and not 1 <= value <= 100_000:
                problems.append(f"{name}: expected 1 to 100000, got {value}")
        if not 0 < self.held_out < 0.5:
            problems.append(
                f"held_out: expected a share above 0 and below 0.5 (valid and test take one each), got {self.held_out}"
            )
        if not 0 <= self.corruption < 1:
            problems.append(f"corruption: expected a probability in [0, 1), got {self.corruption}")
        if self.min_solutions < 1 or (self.min_solutions > 1 and self.numbers > 4):
            problems.append(
                f"min_solutions: expected at least 1, and 1 for more than 4 numbers (their solutions are not listed), got {self.min_solutions} for "
                f"numbers={self.numbers}"
            )
        if self.form not in ("tokens", "words"):
            problems.append(f"form: expected 'tokens' or 'words', got {self.form!r}")
        if problems:
            raise ValueError("\n".join(problems))
        _ = self._given  # a missing or damaged file is said now

    # Prompts

    def prompts(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n prompts; of drawn puzzles, which all have a solution, or of the file's.

        ``train``: drawn anew for each seed, repeats possible. ``valid`` and ``test``: the first n of one fixed order, whatever the seed, so
        that all checkpoints and all runs answer the same prompts.

        Raises
        ------
        ValueError
            An unknown split, or fewer than n held-out puzzles: says how many there are.
        """
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        there = None if self._given is None else [p for p in self._given if split_of(p.numbers, self.held_out) == split]
        if there is not None and split != "train" and self.min_solutions > 1:
            there = list(islice((p for p in there if self._wanted(p)), n))
        if there is not None and not there:
            raise ValueError(
                f"puzzles: {self.puzzles} has no puzzle in the split {split!r} at held_out = {self.held_out}"
            )
        if split == "train":
            generator = numpy_generator(seed, "prompts", self.name)
            if there is not None:
                return [self.prompt_of(there[i]) for i in generator.integers(0, len(there), n)]
            return [self.prompt_of(puzzle) for puzzle, _ in self._draws.draw(n, generator, split="train")]
        if there is None:
            there = self._draws.distinct(n, split=split, keep=self._wanted)
        elif n > len(there):
            raise ValueError(
                f"puzzles: {self.puzzles} has {len(there)} such puzzles in the split {split!r}, {n} prompts were asked for"
            )
        return [self.prompt_of(puzzle) for puzzle in there[:n]]

    def prompt_of(self, puzzle: Puzzle) -> str:
        """Return the prompt of a puzzle."""
        return write_prompt(puzzle, words=self.form == "words")

    def puzzle_of(self, prompt: str) -> Puzzle:
        """Return the puzzle of a prompt; ``ValueError`` where it is not one of this task's."""
        return read_prompt(prompt)

    def solutions(self, prompt: str) -> tuple[str, ...]:
        """Return the canonical forms of all solutions of a prompt's puzzle, sorted."""
        return solutions(self.puzzle_of(prompt))

    # Judging

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return 1 where the text is an expression of exactly the prompt's numbers that is worth its target, else 0, (n,) float64."""
        if prompts is None:
            raise ValueError(
                "countdown: expected the prompts beside the texts: without them nothing says which numbers may be used"
            )
        puzzle_of = {prompt: self.puzzle_of(prompt) for prompt in dict.fromkeys(prompts)}
        wanted = [puzzle_of[prompt] for prompt in prompts]
        found = [self._read(text) for text in texts]
        return np.array(
            [
                e is not None and e.value == puzzle.target and e.numbers == puzzle.numbers
                for e, puzzle in zip(found, wanted, strict=True)
            ],
            dtype=float,
        )

    def valid(
        self, texts: Sequence[str], scores: np.ndarray, *, keys: Sequence[str | None] | None = None
    ) -> np.ndarray:
        """Return which texts are right, (n,) bool."""
        return np.asarray(scores) == 1.0

    # Telling apart

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Return the canonical form of each expression; None where the text is none. See :mod:`breadth.partitions.expressions`."""
        return [None if found is None else found.key for found in map(self._read, texts)]

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """Return pairwise distances, (n, n) float64; ``kind`` is ``"solution"`` (default) or ``"structure"``."""
        if kind not in (None, *_DISTANCES):
            raise ValueError(f"kind: expected one of {', '.join(_DISTANCES)} for task {self.name!r}, got {kind!r}")
        if kind != "structure":
            return super().distance(texts)
        found = [self._read(text) for text in texts]
        order = {e.key: e.parts for e in found if e is not None}
        keys = list(order)
        between = np.array([[structure_distance(order[a], order[b]) for b in keys] for a in keys]).reshape(
            len(keys), len(keys)
        )
        place = np.array([-1 if e is None else keys.index(e.key) for e in found], dtype=np.int64)
        out = np.ones((len(texts), len(texts)))
        known = np.flatnonzero(place >= 0)
        out[np.ix_(known, known)] = between[np.ix_(place[known], place[known])]
        np.fill_diagonal(out, 0.0)
        return out

    def more_measurements(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None,
        *,
        group: np.ndarray,
        scores: np.ndarray,
        keys: Sequence[str | None],
    ) -> list[Measurement]:
        """Return pass@k, distinct right answers among k, and the share of all solutions that each prompt's samples found."""
        totals = None
        if prompts is not None:
            prompt_of = dict(zip(group.tolist(), prompts, strict=True))  # one prompt in each set
            if all(len(self.puzzle_of(prompt).numbers) <= 4 for prompt in set(prompt_of.values())):
                totals = [len(self.solutions(prompt)) for prompt in prompt_of.values()]
        return success_rows(scores, keys, group.tolist(), solutions=totals)

    # Pre-training

    def vocabulary(self) -> Vocabulary:
        """Return the tokens: whole numbers up to the largest that a prompt can show, signs, brackets, ``->`` and ``:``."""
        if self.form != "tokens":
            raise NotImplementedError(
                "countdown with form='words' has no vocabulary of its own: start from a model folder (prior.path)"
            )
        given = [value for p in self._given or () for value in (*p.numbers, p.target)]
        largest = (
            max(self.max_number, self.target or self.max_target, *given)
            if given
            else max(self.max_number, self.target or self.max_target)
        )
        return Vocabulary([*"+-*/()", "->", ":", *map(str, range(largest + 1))], pattern=r"\S+", joiner=" ")

    def corpus(self, n: int, *, seed: int = 0, split: str = "train") -> list[tuple[str, str]]:
        """Return n pairs of a prompt and an answer; a share ``corruption`` of the answers is wrong.

        Numbers are drawn evenly among the multisets of the split, the answer as
        :func:`breadth.tasks.puzzles.draw_expression` draws it, the target is what the answer is worth. A wrong answer is a second
        expression of the same numbers that is not worth the target.
        """
        generator = numpy_generator(seed, "corpus", self.name, split)
        pairs = self._draws.draw(n, generator, split=split)
        broken = np.flatnonzero(generator.random(n) < self.corruption)
        for i in broken.tolist():
            puzzle, _ = pairs[i]
            pairs[i] = (puzzle, self._draws.other(puzzle, generator))
        return [(self.prompt_of(puzzle), text) for puzzle, text in pairs]

    def corpus_identity(self) -> str:
        """Return a hash of what decides the corpus, the vocabulary and the length of answers; which prompts are shown later does not."""
        decides = [
            1,
            self.numbers,
            self.max_number,
            self.target,
            self.max_target,
            self.held_out,
            self.corruption,
            self.form,
        ]
        decides += [self.describe().max_tokens, self.describe().max_prompt_tokens, len(self.vocabulary())]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()

    # Showing

    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distances mean here."""
        most = max([self.numbers, *(len(p.numbers) for p in self._given or ())])
        goal = f"{self.target}" if self.target is not None else f"a target of 1 to {self.max_target}"
        words = self.form == "words"
        return TaskDescription(
            name=self.name,
            summary=f"make {goal} from {self.numbers} numbers of 1 to {self.max_number}, each used once",
            quality="1 for an expression of exactly the given numbers that is worth the target, else 0",
            parsable="an arithmetic expression of whole numbers, + - * / and brackets",
            valid="quality 1",
            distances=dict(_DISTANCES),
            correct_at=1.0,
            max_tokens=1024 if words else 2 * most - 1 + 2 * max(0, most - 2) + 1,
            end_token=True,
            source="Gandhi et al. 2024, arXiv 2404.03683; Yao et al. 2023, arXiv 2305.10601",
            notes=(
                "diversity is within a prompt: answers to different prompts are never compared",
                f"held-out prompts show numbers that no prompt of training has together ({self.held_out:.0%} of the multisets)",
            ),
            max_prompt_tokens=0 if words else most + 3,
        )  # fmt: skip

    # Derived

    def _wanted(self, puzzle: Puzzle) -> bool:
        return self.min_solutions == 1 or len(solutions(puzzle)) >= self.min_solutions

    def _read(self, text: str) -> Expression | None:
        return read_expression(answer_in(text))

    @cached_property
    def _draws(self) -> PuzzleDraws:
        low, high = (1, self.max_target) if self.target is None else (self.target, self.target)
        return PuzzleDraws(count=self.numbers, max_number=self.max_number, low=low, high=high, held_out=self.held_out)

    @cached_property
    def _given(self) -> list[Puzzle] | None:
        if self.puzzles is None:
            return None
        return read_puzzle_file(self.puzzles)


def game24(
    *,
    max_number: int = 13,
    held_out: float = 0.1,
    corruption: float = 0.5,
    min_solutions: int = 1,
    puzzles: str | None = None,
    form: str = "tokens",
) -> CountdownTask:
    """Return the game of 24: four numbers of 1 to 13 that make 24. Settings as :class:`CountdownTask`.

    Examples
    --------
    >>> game24().solutions("3 3 8 8 -> 24 :")
    ('8/(3-8/3)',)
    """
    return CountdownTask(
        numbers=4, max_number=max_number, target=24, held_out=held_out, corruption=corruption, min_solutions=min_solutions, puzzles=puzzles,
        form=form,
    )  # fmt: skip
