"""Mean pairwise distance between texts by shared words, common subsequences or directions of vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from breadth.metrics.conditions import TextMeasurement
from breadth.metrics.tokens import Tokenizer, numbered, tokenize, tokenizer_name

_BLOCK = 512  # texts compared at once with all: bounds memory at _BLOCK × n numbers
_DENSE = 2_000_000  # cells up to which the texts × tokens table is a dense one


def mean_pairwise_jaccard(texts: Sequence[str], *, tokenizer: Tokenizer = "words") -> TextMeasurement:
    """Return the mean over unordered pairs of 1 − |A∩B| / |A∪B|, A and B the sets of tokens of two texts.

    Parameters
    ----------
    texts : n strings
    tokenizer : str or callable

    Returns
    -------
    TextMeasurement
        In [0, 1]. ``value`` None for n < 2; ``error`` is the jackknife over texts, None for n < 3. Two empty texts have
        distance 0. An unbiased mean over pairs: blind to n in expectation, not to the length of the texts.

    Raises
    ------
    ValueError
        An unknown tokenizer.

    Source: Jaccard 1912. Departures: none.

    Examples
    --------
    >>> mean_pairwise_jaccard(["a b", "b c"]).value  # 1 shared of 3
    0.6666666666666667
    """
    tokens = [sorted(set(text)) for text in tokenize(texts, tokenizer)]
    sizes = np.array([len(text) for text in tokens], dtype=float)

    def similarity(shared: np.ndarray, here: slice) -> np.ndarray:
        union = sizes[here, None] + sizes[None, :] - shared
        return np.divide(shared, union, out=np.ones_like(shared), where=union > 0)

    return _shared_tokens("jaccard_distance", texts, tokens, similarity, tokenizer)


def mean_pairwise_rouge1(texts: Sequence[str], *, tokenizer: Tokenizer = "words") -> TextMeasurement:
    """Return the mean over unordered pairs of 1 − ROUGE-1 F, F = 2·Σ_w min(count_a, count_b) / (length_a + length_b).

    Parameters, degenerate cases and errors as :func:`mean_pairwise_jaccard`.

    Source: Lin 2004, ROUGE-N with n = 1, F1. Departures: tokenizer by choice, no stemming.

    Examples
    --------
    >>> mean_pairwise_rouge1(["a a b", "a b c"]).value  # 2 of 3 shared both ways
    0.33333333333333337
    """
    cut = tokenize(texts, tokenizer)
    lengths = np.array([len(text) for text in cut], dtype=float)
    # the k-th "a" of a text becomes its own token: the overlap of counts is then the overlap of sets
    tokens = []
    for text in cut:
        seen: dict[str, int] = {}
        marked = []
        for token in text:
            seen[token] = seen.get(token, 0) + 1
            marked.append(f"{seen[token]}\0{token}")
        tokens.append(marked)

    def similarity(shared: np.ndarray, here: slice) -> np.ndarray:
        both = lengths[here, None] + lengths[None, :]
        return np.divide(2 * shared, both, out=np.ones_like(shared), where=both > 0)

    return _shared_tokens("rouge1_distance", texts, tokens, similarity, tokenizer)


def mean_pairwise_rouge_l(texts: Sequence[str], *, tokenizer: Tokenizer = "words") -> TextMeasurement:
    """Return the mean over unordered pairs of 1 − ROUGE-L F, F = 2·LCS / (length_a + length_b).

    LCS is the length of the longest common subsequence of tokens. About 3 µs a pair of 90 tokens.

    Parameters, degenerate cases and errors as :func:`mean_pairwise_jaccard`.

    Raises
    ------
    ImportError
        rapidfuzz is missing: ``pip install 'breadth[text]'``.

    Source: Lin 2004, ROUGE-L, F1. Departures: tokenizer by choice, no stemming.

    Examples
    --------
    >>> mean_pairwise_rouge_l(["a b c", "c a b"]).value  # "a b" is common
    0.33333333333333337
    """
    try:
        from rapidfuzz.distance import LCSseq
        from rapidfuzz.process import cdist
    except ImportError as error:
        raise ImportError("mean_pairwise_rouge_l needs rapidfuzz: pip install 'breadth[text]'") from error
    cut = tokenize(texts, tokenizer)
    ids, lengths, _ = numbered(cut)
    parts = [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])] if lengths.size else []
    sizes = lengths.astype(float)

    def rows(here: slice) -> np.ndarray:
        common = cdist(parts[here], parts, scorer=LCSseq.similarity, dtype=np.int32).astype(float)
        both = sizes[here, None] + sizes[None, :]
        return np.divide(2 * common, both, out=np.ones_like(common), where=both > 0)

    return _finish("rouge_l_distance", texts, rows, tokenizer, int(ids.size))


def mean_pairwise_cosine(features: Any) -> TextMeasurement:
    """Return the mean over unordered pairs of 1 − cos(x_i, x_j), in time linear in n.

    With φ = x/‖x‖ and S = Σφ, the mean cosine over ordered pairs is (‖S‖² − n) / (n(n−1)).

    Parameters
    ----------
    features : (n, d) array or scipy sparse matrix
        Embeddings, TF-IDF rows or counts; any scale.

    Returns
    -------
    TextMeasurement
        In [0, 2]. ``value`` None for n < 2; ``error`` is the jackknife over rows, None for n < 3.

    Raises
    ------
    ValueError
        Not two-dimensional, numbers that are not finite, or a row of zeros (it has no direction).

    Source: the identity is elementary. Departures: none.

    Examples
    --------
    >>> mean_pairwise_cosine(np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0]])).value
    0.6666666666666667
    """
    similarity, error = mean_cosine(features)
    return TextMeasurement(
        "cosine_distance", None if similarity is None else 1 - similarity, error, features.shape[0], 0, "distance"
    )


def mean_cosine(features: Any) -> tuple[float | None, float | None]:
    """Return the mean cosine over pairs of rows and its jackknife error; see :func:`mean_pairwise_cosine`.

    Examples
    --------
    >>> mean_cosine(np.eye(2))
    (0.0, None)
    """
    if getattr(features, "ndim", 0) != 2:
        raise ValueError(f"features: expected shape (n, d), got {getattr(features, 'shape', type(features).__name__)}")
    dense = features if isinstance(features, np.ndarray) else features.tocsr().astype(float)
    squares = (dense.astype(float) ** 2).sum(axis=1) if isinstance(dense, np.ndarray) else dense.multiply(dense).sum(axis=1)
    norm = np.sqrt(np.asarray(squares, dtype=float).ravel())  # (n,)
    if not np.isfinite(norm).all():
        wrong = np.flatnonzero(~np.isfinite(norm))
        raise ValueError(f"features: expected finite numbers, got {wrong.size} rows that are not, first at {wrong[0]}")
    if (norm == 0).any():
        wrong = np.flatnonzero(norm == 0)
        raise ValueError(f"features: expected rows with a direction, got {wrong.size} rows of zeros, first at {wrong[0]}")
    total = np.asarray(dense.T @ (1 / norm), dtype=float).ravel()  # (d,) Σφ
    row = np.asarray(dense @ total, dtype=float).ravel() / norm - 1  # (n,) Σ_j≠i cos
    return mean_from_row_sums(row)


def mean_from_row_sums(row: np.ndarray) -> tuple[float | None, float | None]:
    """Return the mean over unordered pairs from the (n,) sums over each member's pairs, and its jackknife error.

    The mean without member i needs no second look at the pairs: (total − row_i) over the pairs that are left. None for
    n < 2, the error for n < 3.

    Examples
    --------
    >>> mean_from_row_sums(np.array([1.0, 1.0]))
    (1.0, None)
    """
    n = row.size
    if n < 2:
        return None, None
    total = row.sum() / 2
    value = float(total / (n * (n - 1) / 2))
    if n < 3:
        return value, None
    left_out = (total - row) / ((n - 1) * (n - 2) / 2)
    return value, float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))


def _shared_tokens(
    metric: str,
    texts: Sequence[str],
    tokens: Sequence[Sequence[str]],
    similarity: Callable[[np.ndarray, slice], np.ndarray],
    tokenizer: Tokenizer,
) -> TextMeasurement:
    """Return the mean distance where the similarity of two texts follows from the number of tokens that they share."""
    ids, lengths, width = numbered(tokens)
    n = lengths.size
    if n * width <= _DENSE:  # a prompt's answers: a dense product is quicker than setting up a sparse one
        table = np.zeros((n, width), dtype=np.float32)
        table[np.repeat(np.arange(n), lengths), ids] = 1.0

        def shared(here: slice) -> np.ndarray:
            return (table[here] @ table.T).astype(float)

    else:
        from scipy.sparse import csr_matrix

        pointer = np.r_[0, np.cumsum(lengths)]
        sparse = csr_matrix((np.ones(ids.size), ids, pointer), shape=(n, width))
        turned = sparse.T.tocsr()

        def shared(here: slice) -> np.ndarray:
            return (sparse[here] @ turned).toarray()

    return _finish(metric, texts, lambda here: similarity(shared(here), here), tokenizer, int(ids.size))


def _finish(
    metric: str, texts: Sequence[str], rows: Callable[[slice], np.ndarray], tokenizer: Tokenizer, n_tokens: int
) -> TextMeasurement:
    """Return the measurement from a function that gives rows of the (n, n) similarity matrix."""
    n = len(texts)
    row = np.zeros(n)
    for start in range(0, n, _BLOCK):
        here = slice(start, min(start + _BLOCK, n))
        distance = 1 - rows(here)
        row[here] = distance.sum(axis=1) - distance[np.arange(here.stop - start), np.arange(start, here.stop)]
    value, error = mean_from_row_sums(row)
    return TextMeasurement(
        metric, value, error, n, 0, "distance", (), tokenizer=tokenizer_name(tokenizer), n_tokens=n_tokens
    )
