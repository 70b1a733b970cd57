"""Self-BLEU, exactly, in time linear in the number of tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breadth.metrics.conditions import TextMeasurement
from breadth.metrics.tokens import Tokenizer, ngrams, numbered, tokenize, tokenizer_name


def self_bleu(
    texts: Sequence[str], *, order: int = 4, smooth: str = "exp", tokenizer: Tokenizer = "words"
) -> TextMeasurement:
    """Return the mean over texts of the BLEU of each text against all the others, 0 to 100; LOWER is more diverse.

    A text's clipped counts need, for each n-gram, the largest count in any *other* text: the largest of all, or the second
    largest where the text itself holds the largest. Those two numbers for each n-gram make all n scores, without n² work.

    Parameters
    ----------
    texts : n strings
    order : int
        Longest n-gram; a text with fewer tokens is scored with those orders that it has ("effective order").
    smooth : "exp" or "none"
        What stands for a precision of 0: 1/(2^i · total) for the i-th such order, or 0 (the text's score is then 0).
    tokenizer : str or callable

    Returns
    -------
    TextMeasurement
        ``value`` None for fewer than two texts. An empty text scores 0. ``error`` None: the scores share their
        references. Rises with n: compare equal numbers of texts.

    Raises
    ------
    ValueError
        ``order`` below 1, an unknown ``smooth``.

    Source: Zhu et al. 2018 (Texygen), arXiv 1802.01886; BLEU as sacrebleu's ``sentence_bleu`` computes it (Post 2018,
    arXiv 1804.08771): closest reference length (the shorter one on a tie), exponential smoothing, effective order.
    Departures: none; equal to the loop over sacrebleu.

    Examples
    --------
    >>> round(self_bleu(["the cat sat on the mat"] * 3).value, 6)
    100.0
    >>> self_bleu(["a b c d", "e f g h"]).value
    0.0
    """
    per_text, n_tokens = _scores(texts, order, smooth, tokenizer)
    value = float(per_text.mean()) if per_text.size > 1 else None
    return TextMeasurement(
        "self_bleu", value, None, len(texts), 0, "BLEU", (), tokenizer_name(tokenizer), n_tokens, note=f"smooth={smooth}"
    )


def _scores(texts: Sequence[str], order: int, smooth: str, tokenizer: Tokenizer) -> tuple[np.ndarray, int]:
    """Return the (n,) BLEU scores and the number of tokens."""
    if smooth not in ("exp", "none"):
        raise ValueError(f"smooth: unknown {smooth!r}; known: exp, none")
    ids, lengths, _ = numbered(tokenize(texts, tokenizer))
    n = lengths.size
    if n < 2 or not ids.size:
        return np.zeros(n), int(ids.size)
    matched, total = np.zeros((order, n)), np.zeros((order, n))
    for place in range(order):
        gram, text = ngrams(ids, lengths, place + 1)
        matched[place] = _matches(gram, text, n)
        total[place] = np.maximum(lengths - place, 0)
    log_sum, factor, used = np.zeros(n), np.ones(n), np.zeros(n)
    for place in range(order):
        there = total[place] > 0
        none = there & (matched[place] == 0)
        factor[none] *= 2
        precision = np.divide(matched[place], total[place], out=np.ones(n), where=there)
        precision[none] = 1 / (factor[none] * total[place][none]) if smooth == "exp" else 0.0
        with np.errstate(divide="ignore"):  # log 0 is −∞ and makes the score 0, as it should be
            log_sum += np.where(there, np.log(precision), 0.0)
        used += there
    reference = _closest_lengths(lengths)
    length = np.maximum(lengths, 1)
    penalty = np.where(lengths < reference, np.exp(1 - reference / length), 1.0)
    score = 100 * penalty * np.exp(log_sum / np.maximum(used, 1))
    score[(matched.sum(axis=0) == 0) | (lengths == 0)] = 0.0
    return score, int(ids.size)


def _matches(gram: np.ndarray, text: np.ndarray, n: int) -> np.ndarray:
    """Return for each text Σ over its n-grams of min(its count, the largest count in another text), (n,)."""
    if not gram.size:
        return np.zeros(n)
    pair, count = np.unique(gram * n + text, return_counts=True)
    of_gram, of_text = pair // n, pair % n
    by_count = np.lexsort((-count, of_gram))  # within a gram, the largest count first
    first = np.flatnonzero(np.r_[True, np.diff(of_gram[by_count]) > 0])
    n_holders = np.diff(np.r_[first, by_count.size])
    largest, holder = count[by_count[first]], of_text[by_count[first]]
    # where only one text holds the gram, no other has it
    after = by_count[np.minimum(first + 1, by_count.size - 1)]
    second = np.where(n_holders > 1, count[after], 0)
    place = np.cumsum(np.r_[0, np.diff(of_gram) > 0])  # index of each pair's gram
    others = np.where(holder[place] == of_text, second[place], largest[place])
    return np.bincount(of_text, weights=np.minimum(count, others), minlength=n)


def _closest_lengths(lengths: np.ndarray) -> np.ndarray:
    """Return for each text the length of another text that is closest to its own, the shorter one on a tie, (n,)."""
    order = np.argsort(lengths, kind="stable")
    by_size = lengths[order]
    gap_below = np.r_[np.inf, np.diff(by_size)]
    gap_above = np.r_[np.diff(by_size), np.inf]
    closest = np.where(gap_below <= gap_above, np.r_[0, by_size[:-1]], np.r_[by_size[1:], 0])
    found = np.empty_like(lengths)
    found[order] = closest
    return found
