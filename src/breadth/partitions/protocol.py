"""What a backend of a partition is: something that says how alike two answers to a prompt are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, slots=True)
class Answers:
    """The distinct answers to one prompt; ``prompt`` is empty where it is not known."""

    prompt: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt."""

    prompt: str
    a: str
    b: str


@runtime_checkable
class BlockBackend(Protocol):
    """Scores all pairs of a group at once, cheaply: word overlap, TF-IDF, embeddings, the classifier, keys.

    ``name`` for messages, ``threshold`` the score above which two answers are the same unless the user says otherwise.
    """

    name: str
    threshold: float

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the scores of all pairs, (n, n) float64 in [0, 1], symmetric, 1 on the diagonal."""


@runtime_checkable
class PairBackend(Protocol):
    """Scores single pairs at a price: a cross-encoder, a judge behind an endpoint.

    ``name`` and ``threshold`` as above.
    """

    name: str
    threshold: float

    def score_pairs(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield (position in ``pairs``, probability of being equivalent), in any order, each position once.

        What is yielded before an exception is kept, so that only the rest is asked again.
        """
