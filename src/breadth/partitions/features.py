"""Cheap features of pairs of answers: what the shipped classifier looks at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from breadth.partitions.overlap_counts import common_subsequences, cosine, dice, jaccard, shared_items
from breadth.partitions.protocol import Answers
from breadth.partitions.short_answers import FUNCTION_WORDS, NEGATIONS
from breadth.partitions.words import number_occurrences, number_words, split_words

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CAPITALISED = re.compile(r"\b[^\W\d_a-z]\w+")
_SENTENCE_START = re.compile(r"(?:^|[.!?:*\n\"“]\s)\W*(\w+)")  # a capital there says nothing
_HEADING = re.compile(r"\*\*(.+?)\*\*|^#+ (.+)$|^\s*(?:[-*•]|\d+[.)])\s+(.{3,60}?)(?:[:.,–-]|$)", re.M)
_OPENING = 30  # words at the beginning and at the end that are compared on their own

FEATURES = (
    "rouge1", "rougeL", "jaccard", "jaccard_trigrams", "cosine_words", "cosine_rare", "cosine_rare_own", "dice_chars",
    "dice_own", "containment_own", "opening", "ending", "entities", "entities_absent", "numbers", "numbers_absent",
    "headings", "log_words", "log_words_difference", "log_prompt_words", "prompt_share", "prompt_share_difference",
    "log_lines_difference",
)  # fmt: skip


@dataclass(frozen=True)
class Rarity:
    """How rare words are: ln((1 + n)/(1 + count)) + 1; a word that is not listed counts ``floor``."""

    n_texts: int
    count: Mapping[str, int]  # texts that hold the word
    floor: float  # count of words that are not listed

    def __call__(self, word: str) -> float:
        return float(np.log((1 + self.n_texts) / (1 + self.count.get(word, self.floor))) + 1)


def count_rarity(texts: Sequence[str], *, least_share: float = 0.01) -> Rarity:
    """Return the rarity of words from a collection of texts; only words in at least ``least_share`` of them are listed.

    Examples
    --------
    >>> rarity = count_rarity(["the cat", "the dog"], least_share=0.9)
    >>> sorted(rarity.count), rarity("the") < rarity("cat")
    (['the'], True)
    """
    count: dict[str, int] = {}
    for text in texts:
        for word in set(split_words(text)):
            count[word] = count.get(word, 0) + 1
    least = least_share * len(texts)
    return Rarity(len(texts), {word: n for word, n in sorted(count.items()) if n >= least}, least / 2)


def pair_features(group: Answers, rarity: Rarity) -> np.ndarray:
    """Return the features of all pairs of a group, (n, n, F) float64, symmetric; F and order as in ``FEATURES``.

    Overlaps are in [0, 1] (0 where neither text has the thing, with a flag of its own for entities and numbers); "own"
    leaves out function words and words of the prompt, which every answer to it shares.

    Parameters
    ----------
    group : Answers
    rarity : Rarity

    Source: ROUGE of Lin 2004; the rest is plain set overlap. Departures: none.

    Examples
    --------
    >>> table = pair_features(Answers("Name a bird", ("A robin", "An owl")), Rarity(1, {}, 0.5))
    >>> table.shape[2] == len(FEATURES), float(table[0, 1, FEATURES.index("rouge1")])
    (True, 0.0)
    """
    texts, n = group.texts, len(group.texts)
    words = [split_words(text) for text in texts]
    asked = set(split_words(group.prompt))
    own = [_own(ws, asked) for ws in words]
    rare = {word: rarity(word) for word in set().union(*map(set, words))} if words else {}
    n_words = np.array([len(ws) for ws in words], dtype=float)
    prompt_share = np.array([len(asked & set(ws)) / max(1, len(asked)) for ws in words])
    n_lines = np.array([text.count("\n") for text in texts], dtype=float)
    entities = [_entities(text) for text in texts]
    numbers = [set(_NUMBER.findall(text)) for text in texts]
    own_bags = _shared(own, multiset=True)
    own_sets = _shared([set(ws) for ws in own])
    smaller = np.minimum.outer(np.diagonal(own_sets), np.diagonal(own_sets))
    plain = [[w for w in ws if w not in FUNCTION_WORDS] for ws in words]
    table = {
        "rouge1": dice(_shared(words, multiset=True)),
        "rougeL": _rouge_l(texts),
        "jaccard": jaccard(_shared([set(ws) for ws in words])),
        "jaccard_trigrams": jaccard(_shared([set(zip(ws, ws[1:], ws[2:], strict=False)) for ws in words])),
        "cosine_words": _cosine(plain, dict.fromkeys(rare, 1.0)),
        "cosine_rare": _cosine(words, rare),
        "cosine_rare_own": _cosine(own, rare),
        "dice_chars": dice(_shared([_trigrams(text) for text in texts], multiset=True)),
        "dice_own": dice(own_bags),
        "containment_own": np.divide(own_sets, smaller, out=np.zeros((n, n)), where=smaller > 0),
        "opening": dice(_shared([ws[:_OPENING] for ws in words], multiset=True)),
        "ending": dice(_shared([ws[-_OPENING:] for ws in words], multiset=True)),
        "entities": jaccard(_shared(entities)),
        "entities_absent": _both([not found for found in entities]),
        "numbers": jaccard(_shared(numbers)),
        "numbers_absent": _both([not found for found in numbers]),
        "headings": jaccard(_shared([_headings(text) for text in texts])),
        "log_words": np.log1p(n_words[:, None] + n_words[None, :]),
        "log_words_difference": _gap(np.log1p(n_words)),
        "log_prompt_words": np.full((n, n), np.log1p(len(split_words(group.prompt)))),
        "prompt_share": (prompt_share[:, None] + prompt_share[None, :]) / 2,
        "prompt_share_difference": _gap(prompt_share),
        "log_lines_difference": _gap(np.log1p(n_lines)),
    }
    return np.stack([table[name] for name in FEATURES], axis=-1)


def rare_word_cosines(group: Answers, rarity: Rarity, *, own: bool = False) -> np.ndarray:
    """Return cosines of (1 + ln count)·rarity vectors of all pairs of a group, (n, n) float64.

    Parameters
    ----------
    group : Answers
    rarity : Rarity
    own : bool
        Leave out function words and words of the prompt.

    Source: Salton and Buckley 1988. Departures: none.

    Examples
    --------
    >>> rare_word_cosines(Answers("", ("a fox", "a fox")), Rarity(1, {}, 0.5)).round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    asked = set(split_words(group.prompt)) if own else set()
    words = [split_words(text) for text in group.texts]
    rare = {word: rarity(word) for word in set().union(*map(set, words))} if words else {}
    return _cosine([_own(ws, asked) for ws in words] if own else words, rare)


def _own(words: Sequence[str], asked: set[str]) -> list[str]:
    return [w for w in words if w not in asked and (w not in FUNCTION_WORDS or w in NEGATIONS)]


def _shared(collections: Sequence[Any], *, multiset: bool = False) -> np.ndarray:
    """Return sizes of intersections of sets (or of lists, as multisets) of anything hashable, (n, n)."""
    number: dict[Any, int] = {}
    ids = [[number.setdefault(item, len(number)) for item in items] for items in collections]
    flat = np.array([i for row in ids for i in row], dtype=np.int64)
    text = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    if multiset:
        flat = number_occurrences(flat, text) * max(1, len(number)) + flat
    return shared_items(flat, text, len(collections))


def _cosine(words: Sequence[Sequence[str]], weight: Mapping[str, float]) -> np.ndarray:
    """Return cosines of (1 + ln count)·weight vectors, (n, n)."""
    number: dict[str, int] = {}
    items, text, value = [], [], []
    for i, ws in enumerate(words):
        count: dict[str, int] = {}
        for word in ws:
            count[word] = count.get(word, 0) + 1
        items += [number.setdefault(word, len(number)) for word in count]
        text += [i] * len(count)
        value += [(1 + np.log(c)) * weight[word] for word, c in count.items()]
    return cosine(
        shared_items(np.array(items, dtype=np.int64), np.array(text, dtype=np.int64), len(words), np.array(value))
    )


def _rouge_l(texts: Sequence[str]) -> np.ndarray:
    numbered = number_words(texts)
    i, j = np.triu_indices(len(texts), k=1)
    common = np.diag(numbered.n_words.astype(float))
    common[i, j] = common[j, i] = common_subsequences(numbered.ids, numbered.start, i, j)
    return dice(common)


def _trigrams(text: str) -> list[str]:
    flat = " ".join(text.casefold().split())
    return [flat[i : i + 3] for i in range(len(flat) - 2)]


def _entities(text: str) -> set[str]:
    """Return the capitalised words that do not open a sentence."""
    opening = {match.start(1) for match in _SENTENCE_START.finditer(text)}
    return {m.group().casefold() for m in _CAPITALISED.finditer(text) if m.start() not in opening} - FUNCTION_WORDS


def _headings(text: str) -> set[str]:
    found = (word for parts in _HEADING.findall(text) for word in split_words(" ".join(parts)))
    return set(found) - FUNCTION_WORDS


def _both(flags: Sequence[bool]) -> np.ndarray:
    return np.outer(flags, flags).astype(float)


def _gap(values: np.ndarray) -> np.ndarray:
    return np.abs(values[:, None] - values[None, :])
