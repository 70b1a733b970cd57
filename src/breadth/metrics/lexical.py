"""Counts over n-grams of a set of texts: distinct-n, EAD, compression ratio, Guo's lexical diversity, novelty."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import numpy as np

from breadth.metrics.conditions import TextMeasurement
from breadth.metrics.tokens import Tokenizer, ngrams, numbered, tokenize, tokenizer_name


def distinct_n(texts: Sequence[str], *, n: int = 2, tokenizer: Tokenizer = "words") -> TextMeasurement:
    """Return distinct n-grams / all n-grams over all texts together, in (0, 1]; higher is more diverse.

    Parameters
    ----------
    texts : sequence of str
    n : int
        Order of the n-grams; none crosses from one text into the next.
    tokenizer : str or callable
        See :func:`breadth.metrics.tokens.tokenize`.

    Returns
    -------
    TextMeasurement
        ``value`` None where no text has ``n`` tokens. ``n`` counts texts. Falls as texts are added: compare at a fixed
        token budget (:func:`breadth.metrics.budget.within_budget`).

    Raises
    ------
    ValueError
        ``n`` below 1, or an unknown tokenizer.

    Source: Li et al. 2016, arXiv 1510.03055, distinct-1 and distinct-2.
    Departures: none. (DARLING's evaluation script overwrites the ratio for n = 4 by the raw count; this is the ratio.)

    Examples
    --------
    >>> distinct_n(["a b a b", "a b"], n=2).value
    0.5
    """
    ids, lengths, _ = numbered(tokenize(texts, tokenizer))
    gram, _ = ngrams(ids, lengths, n)
    value = np.unique(gram).size / gram.size if gram.size else None
    return _row(f"distinct_{n}", value, texts, tokenizer, ids.size, "share")


def ead(texts: Sequence[str], *, vocabulary: int, n: int = 1, tokenizer: Tokenizer = "words") -> TextMeasurement:
    """Return the expectation-adjusted distinct score, distinct / (V·(1 − ((V−1)/V)^C)).

    C is the number of n-gram occurrences. The denominator is the number of distinct ones that C uniform draws from V
    would show; about 1 for uniform draws, whatever C.

    Parameters
    ----------
    texts : sequence of str
    vocabulary : int
        V, fixed beforehand and equal for all that is compared (the model's vocabulary, say). Counting it in the texts
        would make every score for n = 1 at least 1.
    n : int
    tokenizer : str or callable

    Returns
    -------
    TextMeasurement
        ``value`` None without any n-gram. Still not blind to the number of texts: words are not drawn uniformly.

    Raises
    ------
    ValueError
        ``vocabulary`` below 1, or below the number of distinct tokens that the texts show.

    Source: Liu et al. 2022, arXiv 2202.13587, eq. 2. Departures: none.

    Examples
    --------
    >>> round(ead(["a b c d"], vocabulary=4).value, 4)  # 4 / (4·(1 − (3/4)^4))
    1.4629
    """
    ids, lengths, n_distinct = numbered(tokenize(texts, tokenizer))
    if vocabulary < max(n_distinct, 1):
        raise ValueError(f"vocabulary: expected at least the {n_distinct} distinct tokens of the texts, got {vocabulary}")
    gram, _ = ngrams(ids, lengths, n)
    value = None
    if gram.size:
        # expm1 and log1p: V may be 1e5 and C 10, where 1 − (1 − 1/V)^C loses its digits
        expected = vocabulary * -np.expm1(gram.size * np.log1p(-1 / vocabulary)) if vocabulary > 1 else 1.0
        value = float(np.unique(gram).size / expected)
    return _row(f"ead_{n}", value, texts, tokenizer, ids.size, "ratio")


def compression_ratio(texts: Sequence[str]) -> TextMeasurement:
    """Return bytes / gzip bytes of the texts joined by newlines; LOWER is more diverse.

    Returns
    -------
    TextMeasurement
        ``value`` None where all texts are empty. Grows with the amount of text; sees repeats within 32 kB only, so the
        order of the texts matters. No tokenizer; ``unit`` is "ratio".

    Source: Shaib et al. 2024, arXiv 2403.00553, compression ratio. Departures: the texts are joined by a newline (there
    a blank), compressed once, and the file's time stamp is 0.

    Examples
    --------
    >>> compression_ratio(["the same words"] * 50).value > 10
    True
    """
    data = "\n".join(texts).encode("utf-8", "surrogatepass")
    value = len(data) / len(gzip.compress(data, 9, mtime=0)) if data.strip() else None
    return TextMeasurement("compression_ratio", value, None, len(texts), unit="ratio")


def lexical_diversity(
    texts: Sequence[str], *, sample: int = 40_000, seed: int = 0, tokenizer: Tokenizer = "wordpunct"
) -> TextMeasurement:
    """Return the mean of the type/token ratios of 1-, 2- and 3-grams in equally large samples, in (0, 1].

    Parameters
    ----------
    texts : sequence of str
        All of them together are the pool: for a value per prompt, call it for each prompt (with a ``sample`` that each
        prompt has) or use :func:`breadth.metrics.guo.guo_diversity`.
    sample : int
        n-gram occurrences drawn of each order, without replacement.
    seed : int
    tokenizer : str or callable

    Returns
    -------
    TextMeasurement
        ``budget`` is the sample that was really drawn: where an order has fewer than ``sample`` occurrences, that many of
        every order, so that the three ratios rest on equal counts; ``note`` says so. ``value`` None without a 3-gram.

    Raises
    ------
    ValueError
        ``sample`` below 1.

    Source: Guo, Shang and Clavel 2024, arXiv 2412.10271, lexical diversity.
    Departures: 1. with fewer n-grams than ``sample`` the sample shrinks (there the code stops). 2. The draw is seeded.

    Examples
    --------
    >>> lexical_diversity(["a b c d", "a b c d"], sample=4).budget
    4
    """
    if sample < 1:
        raise ValueError(f"sample: expected at least 1 n-gram, got {sample}")
    ids, lengths, _ = numbered(tokenize(texts, tokenizer))
    grams = [ngrams(ids, lengths, order)[0] for order in (1, 2, 3)]
    drawn = min(sample, *(gram.size for gram in grams))
    value, note = None, ""
    if drawn:
        generator = np.random.default_rng(seed)
        shares = [np.unique(generator.choice(gram, drawn, replace=False)).size / drawn for gram in grams]
        value = float(np.mean(shares))
        note = f"only {drawn} of {sample} n-grams: not comparable with larger samples" if drawn < sample else ""
    row = _row("lexical_diversity", value, texts, tokenizer, ids.size, "share")
    return TextMeasurement(
        row.metric, value, None, row.n, 0, "share", (), row.tokenizer, row.n_tokens, drawn, seed, note=note
    )


def ngram_novelty(
    texts: Sequence[str], *, group: np.ndarray | None = None, n: int = 4, tokenizer: Tokenizer = "whitespace"
) -> np.ndarray:
    """Return for each text the number of n-gram types that no sibling has, over its number of n-grams.

    Parameters
    ----------
    texts : N strings
    group : (N,) array, optional
        Labels; siblings are the texts with the same label. None: all texts are siblings.
    n : int
    tokenizer : str or callable

    Returns
    -------
    (N,) float64
        In [0, 1]. NaN for a text with fewer than ``n`` tokens (it has no n-gram, neither new nor old). A text without
        siblings gets its own types over its n-grams.

    Raises
    ------
    ValueError
        ``group`` of another length.

    Source: Li et al. 2025 (DARLING), arXiv 2509.02534, the 4-gram reward of the released code
    (``diversity_rewards.py``: types unique to the text / (words − 3)).
    Departures: 1. within groups, whatever their order. 2. NaN where a text is too short.

    Examples
    --------
    >>> ngram_novelty(["a b c d e", "a b c d f", "x"]).tolist()
    [0.5, 0.5, nan]
    """
    label = np.zeros(len(texts), dtype=np.int64) if group is None else np.asarray(group)
    if label.shape != (len(texts),):
        raise ValueError(f"group: expected shape ({len(texts)},), one label for each text, got {label.shape}")
    label = np.unique(label, return_inverse=True)[1]
    ids, lengths, _ = numbered(tokenize(texts, tokenizer))
    gram, text = ngrams(ids, lengths, n)
    total = np.maximum(lengths - n + 1, 0)
    new = np.zeros(len(texts))
    if gram.size:
        # one row for each (gram, text): types, not occurrences; then those whose (gram, group) stands there once
        types = np.unique(np.stack([gram, text]), axis=1)
        _, place, count = np.unique(
            np.stack([types[0], label[types[1]]]), axis=1, return_inverse=True, return_counts=True
        )
        new = np.bincount(types[1][count[place.ravel()] == 1], minlength=len(texts)).astype(float)
    return np.divide(new, total, out=np.full(len(texts), np.nan), where=total > 0)


def mean_ngram_novelty(
    texts: Sequence[str], *, group: np.ndarray | None = None, n: int = 4, tokenizer: Tokenizer = "whitespace"
) -> TextMeasurement:
    """Return the mean of :func:`ngram_novelty` over the texts that have an n-gram; ``n_unscored`` counts the others.

    Examples
    --------
    >>> row = mean_ngram_novelty(["a b c d e", "a b c d f", "x"])
    >>> row.value, row.n, row.n_unscored
    (0.5, 2, 1)
    """
    novelty = ngram_novelty(texts, group=group, n=n, tokenizer=tokenizer)
    known = novelty[~np.isnan(novelty)]
    scope = "pooled" if group is None else "within_prompt"
    value = float(known.mean()) if known.size else None
    n_missing = int(novelty.size - known.size)
    return TextMeasurement(
        f"ngram_novelty_{n}", value, None, known.size, n_missing, "share", (), tokenizer_name(tokenizer), scope=scope
    )


def _row(
    metric: str, value: float | None, texts: Sequence[str], tokenizer: Tokenizer, n_tokens: int, unit: str
) -> TextMeasurement:
    name = tokenizer_name(tokenizer)
    return TextMeasurement(metric, value, None, len(texts), 0, unit, (), tokenizer=name, n_tokens=int(n_tokens))
