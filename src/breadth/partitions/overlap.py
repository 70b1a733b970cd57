"""Word overlap: ROUGE-1, ROUGE-L and Jaccard between all answers of a group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breadth.partitions.overlap_counts import common_subsequences, dice, jaccard, shared_items
from breadth.partitions.protocol import Answers
from breadth.partitions.short_answers import SHORT_WORDS, is_short, short_key, short_score
from breadth.partitions.words import number_occurrences, number_words

MEASURES = ("rouge1", "rougeL", "jaccard")
# 0.40: mean number of classes nearest to NoveltyBench's own on 100 prompts × 10 answers (ROUGE-1); the other two are
# the cuts of best balanced accuracy on the 1,000 human pairs of NoveltyBench
THRESHOLDS = {"rouge1": 0.40, "rougeL": 0.29, "jaccard": 0.32}
PAIRS_TO_BATCH = 2_000  # groups are gathered to this many pairs before their common subsequences are computed


class Overlap:
    """Share of words that two answers have in common.

    Parameters
    ----------
    measure : str
        ``rouge1``: F1 of words, each counted as often as it stands in both. ``rougeL``: F1 of the longest common
        subsequence of words. ``jaccard``: common distinct words over all distinct words.
    short_words : int
        Two answers of at most this many words are compared by :func:`short_score`; 0 = never.

    Raises
    ------
    ValueError
        An unknown measure, or a negative ``short_words``.

    Source: Lin 2004 (ROUGE). Departures: no stemming; letters of every alphabet count.

    Examples
    --------
    >>> overlap = Overlap("rouge1", short_words=0)
    >>> overlap.blocks([Answers("", ("the cat sat", "the cat ran"))])[0].round(3).tolist()
    [[1.0, 0.667], [0.667, 1.0]]
    """

    def __init__(self, measure: str = "rouge1", *, short_words: int = SHORT_WORDS) -> None:
        if measure not in MEASURES:
            raise ValueError(f"measure: expected one of {', '.join(MEASURES)}, got {measure!r}")
        if short_words < 0:
            raise ValueError(f"short_words: expected 0 or more, got {short_words}")
        self.name = self.measure = measure
        self.threshold = THRESHOLDS[measure]
        self.short_words = short_words
        self.fingerprint = f"{measure}, short_words={short_words}"

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the scores of all pairs, (n, n) float64; see :class:`BlockBackend`."""
        sets = self.measure != "rougeL"
        found = [_set_overlap(group.texts, self.measure) for group in groups] if sets else _rouge_l(groups)
        for group, block in zip(groups, found, strict=True):
            settle_short(block, group, self.short_words)
        return found


def settle_short(block: np.ndarray, group: Answers, short_words: int) -> None:
    """Overwrite, in place, the scores of pairs of short answers by rule, and the diagonal by 1.

    Parameters
    ----------
    block : (n, n) float64
    group : Answers
    short_words : int
        See :class:`Overlap`.
    """
    words = [text if is_short(text, short_words) else None for text in group.texts]
    keys = {i: short_key(text, group.prompt) for i, text in enumerate(words) if text is not None}
    for i, key in keys.items():
        for j in keys:
            if i < j:
                block[i, j] = block[j, i] = short_score(key, keys[j])
    np.fill_diagonal(block, 1.0)


def _set_overlap(texts: Sequence[str], measure: str) -> np.ndarray:
    """Return ROUGE-1 or Jaccard of all pairs of texts, (n, n)."""
    numbered = number_words(texts)
    occurrence = number_occurrences(numbered.ids, numbered.text)
    if measure == "jaccard":
        first = occurrence == 0
        return jaccard(shared_items(numbered.ids[first], numbered.text[first], len(texts)))
    n_ids = int(numbered.ids.max(initial=0)) + 1
    return dice(shared_items(occurrence * n_ids + numbered.ids, numbered.text, len(texts)))


def _rouge_l(groups: Sequence[Answers]) -> list[np.ndarray]:
    """Return ROUGE-L of all pairs of each group; groups are taken together until there are enough pairs for a batch."""
    found: list[np.ndarray] = []
    waiting: list[Answers] = []
    n_pairs = 0
    for k, group in enumerate(groups):
        waiting.append(group)
        n_pairs += len(group.texts) * (len(group.texts) - 1) // 2
        if n_pairs >= PAIRS_TO_BATCH or k == len(groups) - 1:
            found += _rouge_l_batch(waiting)
            waiting, n_pairs = [], 0
    return found


def _rouge_l_batch(groups: Sequence[Answers]) -> list[np.ndarray]:
    numbered = number_words([text for group in groups for text in group.texts])
    lengths = numbered.n_words
    sizes = [len(group.texts) for group in groups]
    offsets = np.cumsum([0, *sizes])
    upper = [np.triu_indices(size, k=1) for size in sizes]
    first = np.concatenate([i + offset for (i, _), offset in zip(upper, offsets[:-1], strict=True)])
    second = np.concatenate([j + offset for (_, j), offset in zip(upper, offsets[:-1], strict=True)])
    common = np.concatenate(
        [
            common_subsequences(numbered.ids, numbered.start, first[at : at + 20_000], second[at : at + 20_000])
            for at in range(0, max(1, len(first)), 20_000)  # rows of bits of 20,000 pairs: some MB
        ]
    )
    total = lengths[first] + lengths[second]
    score = np.divide(2 * common, total, out=np.zeros(len(common)), where=total > 0)
    found, at = [], 0
    for size, (i, j) in zip(sizes, upper, strict=True):
        block = np.eye(size)
        block[i, j] = block[j, i] = score[at : at + len(i)]
        at += len(i)
        found.append(block)
    return found
