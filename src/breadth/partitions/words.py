"""Texts as numbered words: what every word-overlap score is computed from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# a Chinese or Japanese character is a word of its own; else a run of letters and digits (the underscore separates)
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_WIDE}]|[^\W_{_WIDE}]+")


def split_words(text: str) -> list[str]:
    """Return the words of a text, in order: case folded, runs of letters and digits.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Empty for a text of punctuation only.

    Source: the tokeniser of the package rouge-score (lower case, ``[a-z0-9]+``), to which this is equal on ASCII text.
    Departures: letters of every alphabet count, and a Chinese or Japanese character is a word.

    Examples
    --------
    >>> split_words("Quokka! It's 3.5 km")
    ['quokka', 'it', 's', '3', '5', 'km']
    """
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class NumberedWords:
    """The words of M texts as numbers, laid end to end.

    ``ids`` (W,) int64 word numbers; ``text`` (W,) int64 which text each stands in; ``start`` (M + 1,) int64 offsets.
    """

    ids: np.ndarray
    text: np.ndarray
    start: np.ndarray

    @property
    def n_words(self) -> np.ndarray:
        """(M,) int64 words of each text."""
        return np.diff(self.start)


def number_words(texts: Sequence[str]) -> NumberedWords:
    """Return the words of all texts as numbers from one vocabulary.

    Parameters
    ----------
    texts : (M,) sequence of str

    Returns
    -------
    NumberedWords

    Examples
    --------
    >>> numbered = number_words(["a b a", "", "b c"])
    >>> numbered.ids.tolist(), numbered.n_words.tolist()
    ([0, 1, 0, 1, 2], [3, 0, 2])
    """
    vocabulary: dict[str, int] = {}
    ids: list[int] = []
    start = np.zeros(len(texts) + 1, dtype=np.int64)
    for i, text in enumerate(texts):
        ids.extend([vocabulary.setdefault(word, len(vocabulary)) for word in split_words(text)])
        start[i + 1] = len(ids)
    lengths = np.diff(start)
    return NumberedWords(np.array(ids, dtype=np.int64), np.repeat(np.arange(len(texts)), lengths), start)


def number_occurrences(ids: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Return for each word how many equal words stand before it in its text.

    Two texts share ``Σ_w min(count_a(w), count_b(w))`` words; that is the size of the intersection of their *sets* of
    (word, occurrence number), which a matrix product gives for all pairs at once.

    Parameters
    ----------
    ids, text : (W,) int64

    Returns
    -------
    (W,) int64

    Examples
    --------
    >>> number_occurrences(np.array([5, 7, 5, 5]), np.array([0, 0, 0, 1])).tolist()
    [0, 0, 1, 0]
    """
    if not len(ids):
        return np.empty(0, dtype=np.int64)
    key = text * (ids.max() + 1) + ids
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    position = np.arange(len(key))
    rank = np.empty(len(key), dtype=np.int64)
    rank[order] = position - np.maximum.accumulate(np.where(first, position, 0))
    return rank
