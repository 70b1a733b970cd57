"""One group of answers, with what several measures ask of them worked out once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from breadth import metrics
from breadth.experiments.generation_groups import Group
from breadth.ledger.generations import Generation
from breadth.metrics.dependency_trees import DependencyTree
from breadth.metrics.tokens import Tokenizer, tokenize

MOST_PAIRED = 500  # answers of one group whose pairs are all compared; of more, so many are drawn
_BATCH = 64  # texts that an encoder gets at once
_AT_ONCE = (64, 4096)  # groups, or answers, that a partition gets at once
_SENTENCE_END = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"'”’)\]]))\s+|\n+")

Encode = Callable[[list[str]], np.ndarray]
Trees = Callable[[Generation], Sequence[DependencyTree]]


@dataclass(frozen=True, slots=True)
class Setup:
    """What all groups are measured with. ``budget`` 0: too little text for measures at a token budget."""

    k: int
    budget: int
    tokenizer: Tokenizer
    seed: int
    partition: Callable[..., Any] | None = None
    encode: Encode | None = None
    trees: Trees | None = None
    order: float = 1.0  # q of the Vendi score
    bar: float | None = None  # quality from which on an answer counts as good
    patience: float = 0.8
    vocabulary: int | None = None


class Answers:
    """The answers of a group. ``kind``: their classes, or None where nobody gave any."""

    def __init__(self, group: Group, setup: Setup, kind: Sequence[Any] | None = None) -> None:
        self.rows, self.setup = group.rows, setup
        self.texts = [row.response for row in group.rows]
        self.tokens = tokenize(self.texts, setup.tokenizer)
        self.reward = numbers([row.reward for row in group.rows])
        self.correct = numbers([row.correct for row in group.rows])
        self.logprob = numbers([row.logprob for row in group.rows])
        self.kind: list[Any] | None = None if kind is None else list(kind)
        if kind is None and all(row.kind is not None for row in group.rows):
            self.kind = [row.kind for row in group.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def good(self) -> np.ndarray:
        """(n,) 1, 0 or NaN: correct where the file says so, else at or above the bar, else valid."""
        if not np.isnan(self.correct).all():
            return self.correct
        if self.setup.bar is not None:
            return self.above_bar
        return numbers([row.valid for row in self.rows])

    @cached_property
    def above_bar(self) -> np.ndarray:
        """(n,) 1 where the reward is at least the bar, 0 where it is not, NaN where there is none."""
        return np.where(np.isnan(self.reward), np.nan, (self.reward >= (self.setup.bar or 0.0)).astype(float))

    @cached_property
    def places(self) -> np.ndarray | None:
        """The places of k answers drawn with the seed, ascending; None where there are fewer."""
        if len(self) < self.setup.k:
            return None
        return np.sort(np.random.default_rng(self.setup.seed).permutation(len(self))[: self.setup.k])

    @cached_property
    def drawn(self) -> list[str] | None:
        """Those k answers."""
        return None if self.places is None else [self.texts[i] for i in self.places.tolist()]

    @cached_property
    def cut(self) -> list[str] | None:
        """Answers in random order up to the token budget, tokens joined by blanks; None where there are fewer."""
        if not self.setup.budget:
            return None
        return metrics.within_budget(
            self.texts, self.setup.budget, seed=self.setup.seed, tokenizer=self.setup.tokenizer
        )

    @cached_property
    def paired(self) -> list[str]:
        """All answers, or a draw of 500 where there are more: the pairs of more would take long and say the same."""
        if len(self) <= MOST_PAIRED:
            return self.texts
        chosen = np.sort(np.random.default_rng(self.setup.seed).permutation(len(self))[:MOST_PAIRED])
        return [self.texts[i] for i in chosen.tolist()]

    @cached_property
    def vectors(self) -> np.ndarray:
        """(n, d): an embedding of each answer as a whole."""
        return embed(self.texts, self.setup.encode)

    @cached_property
    def sentence_vectors(self) -> np.ndarray:
        """(S, d): an embedding of each sentence of all answers."""
        return embed([sentence for text in self.texts for sentence in sentences(text)], self.setup.encode)

    @cached_property
    def word_vectors(self) -> np.ndarray:
        """(k, V): word counts of the k drawn answers; an answer without words is a word of its own."""
        assert self.places is not None
        counts = [Counter(self.tokens[i]) or Counter([""]) for i in self.places.tolist()]
        names = {word: column for column, word in enumerate(dict.fromkeys(w for count in counts for w in count))}
        table = np.zeros((len(counts), len(names)))
        for row, count in zip(table, counts, strict=True):
            row[[names[word] for word in count]] = list(count.values())
        return table


def with_classes(groups: Iterable[Group], setup: Setup, *, one_prompt: bool) -> Iterator[tuple[Group, Answers]]:
    """Yield each group with its answers; classes come from the partition, asked about many groups at once.

    ``one_prompt``: every group answers one prompt, which the partition is told.
    """
    if setup.partition is None:
        for group in groups:
            yield group, Answers(group, setup)
        return
    waiting: list[Group] = []
    for group in groups:
        waiting.append(group)
        if len(waiting) == _AT_ONCE[0] or sum(len(g.rows) for g in waiting) >= _AT_ONCE[1]:
            yield from _classified(waiting, setup, one_prompt)
            waiting = []
    yield from _classified(waiting, setup, one_prompt)


def _classified(groups: Sequence[Group], setup: Setup, one_prompt: bool) -> Iterator[tuple[Group, Answers]]:
    if not groups:
        return
    assert setup.partition is not None
    rows = [row for group in groups for row in group.rows]
    sizes = [len(group.rows) for group in groups]
    prompts = [row.prompt for row in rows] if one_prompt else None
    found = setup.partition(
        [row.response for row in rows], group=np.repeat(np.arange(len(groups)), sizes), prompts=prompts
    )
    labels = np.asarray(found).tolist()
    if len(labels) != len(rows):
        raise ValueError(f"partition: expected {len(rows)} classes, one for each text, got {len(labels)}")
    start = 0
    for group, size in zip(groups, sizes, strict=True):
        yield group, Answers(group, setup, labels[start : start + size])
        start += size


def sentences(text: str) -> list[str]:
    """Return the sentences of a text: cut after . ! ? … and a blank, and at line ends.

    Examples
    --------
    >>> sentences("One. Two (or so.) Three!\\n- four")
    ['One.', 'Two (or so.)', 'Three!', '- four']
    """
    return [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]


def embed(texts: Sequence[str], encode: Encode | None) -> np.ndarray:
    """Return (n, d) vectors; equal texts are encoded once, short ones with short ones; an empty text is encoded like any."""
    if encode is None:
        raise ValueError("encoder: expected a folder or a function, got none")
    names = {text: i for i, text in enumerate(sorted(set(texts), key=lambda text: (len(text), text)))}
    if not names:
        return np.zeros((0, 1))
    listed = list(names)
    parts = []
    for at in range(0, len(listed), _BATCH):
        made = np.asarray(encode(listed[at : at + _BATCH]), dtype=float)
        if made.ndim != 2 or len(made) != len(listed[at : at + _BATCH]) or not np.isfinite(made).all():
            raise ValueError(
                f"encoder: expected ({len(listed[at : at + _BATCH])}, d) finite numbers, got shape {made.shape}"
            )
        parts.append(made)
    return np.concatenate(parts)[[names[text] for text in texts]]


def numbers(values: Sequence[float | None]) -> np.ndarray:
    """Return (n,) floats with NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=float)
