"""Exact weighted sums of Tanimoto similarities over all pairs of a set: numpy, or compiled where numba is installed."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

import numpy as np

from breadth.tasks.packed_bits import bit_counts, unpack

RARE = 0.05  # bits set in a smaller share of the rows are added pair by pair; the fastest share at n = 10,000
COMPILED_FROM = 1_500  # rows; below that loading the compiled sum costs more than it saves


def similarity_sum(
    packed: np.ndarray, weight: np.ndarray | None = None, *, block: int = 512, engine: str = "auto"
) -> float:
    """Return Σ_{i<j} w_i·w_j·S(i, j), S = |f_i ∧ f_j| / |f_i ∨ f_j|, over unordered pairs of different rows.

    Parameters
    ----------
    packed : (n, words) uint64
        Fingerprints. Two rows without any bit have similarity 1.
    weight : (n,) float, optional
        Default 1 each.
    block : int
        Rows that numpy handles at once; memory is 16·block·n bytes.
    engine : {"auto", "numpy", "numba"}
        ``"auto"`` takes numba for 1,500 rows or more where it is installed. They agree to rounding (1e-13 of the mean).

    Raises
    ------
    ValueError
        An unknown engine, or weights of another length.
    ImportError
        ``engine="numba"`` without numba.

    Notes
    -----
    Intersections are whole numbers and exact in both. numpy: frequent bits by a matrix product, rare ones pair by pair.
    numba: the bits are ordered by frequency, so that the rare ones share words that are empty in most rows and are
    skipped; the others are counted word by word.

    Examples
    --------
    >>> rows = np.array([[7], [14], [0]], dtype=np.uint64)  # {0, 1, 2}, {1, 2, 3}, {}
    >>> similarity_sum(rows)
    0.5
    """
    if engine not in ("auto", "numpy", "numba"):
        raise ValueError(f"engine: expected 'auto', 'numpy' or 'numba', got {engine!r}")
    packed = np.ascontiguousarray(packed, dtype=np.uint64)
    weight = np.ones(len(packed)) if weight is None else np.ascontiguousarray(weight, dtype=np.float64)
    if weight.shape != (len(packed),):
        raise ValueError(f"weight: expected one number for each of {len(packed)} rows, got shape {weight.shape}")
    if engine == "numba" or (engine == "auto" and len(packed) >= COMPILED_FROM and _has_numba()):
        return _compiled_sum(packed, weight)
    return _numpy_sum(packed, weight, block)


@lru_cache(maxsize=1)
def _has_numba() -> bool:
    return find_spec("numba") is not None


def _compiled_sum(packed: np.ndarray, weight: np.ndarray) -> float:
    try:
        from breadth.tasks.pair_sums_compiled import frequencies, reorder, weighted_sum
    except ImportError as error:
        raise ImportError(
            'engine="numba" needs numba, which is not installed:\npip install "breadth[numba]"'
        ) from error
    rank = np.empty(packed.shape[1] * 64, dtype=np.int64)
    rank[np.argsort(-frequencies(packed), kind="stable")] = np.arange(len(rank))
    ordered = reorder(packed, rank)
    counts = bit_counts(packed).astype(np.float64)
    return float(weighted_sum(np.ascontiguousarray(ordered.T), ordered, counts, weight))


def _numpy_sum(packed: np.ndarray, weight: np.ndarray, block: int) -> float:
    n = len(packed)
    count = bit_counts(packed).astype(np.float32)
    no_bits = bool((count == 0).any())
    dense, sparse = _split_bits(unpack(packed), rare=RARE)
    similarity = 0.0
    for low in range(0, n, block):
        high = min(low + block, n)
        both = dense[low:high] @ dense[low:].T  # (b, n - low) whole numbers far below 2**24: exact
        for rows in sparse:
            first, last = np.searchsorted(rows, (low, high))
            if last > first:
                both[np.ix_(rows[first:last] - low, rows[first:] - low)] += 1.0
        either = count[low:high, None] + count[None, low:] - both
        if no_bits:
            empty = either == 0
            both[empty], either[empty] = 1.0, 1.0
        ratio = np.divide(both, either, dtype=np.float64)
        similarity += _pairs_in_block(ratio, weight[low:high], weight[low:])
    return similarity


def _split_bits(bits: np.ndarray, rare: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Part the columns: frequent ones as a float32 matrix, rare ones (of two rows or more) as lists of rows."""
    count = bits.sum(axis=0, dtype=np.int64)  # (64·words,)
    frequent = count > max(1, rare * len(bits))
    dense = bits[:, frequent].astype(np.float32)  # (n, F)
    sparse = [np.flatnonzero(bits[:, j]) for j in np.flatnonzero(~frequent & (count > 1))]
    return dense, sparse


def _pairs_in_block(similarity: np.ndarray, weight_rows: np.ndarray, weight_columns: np.ndarray) -> float:
    """Sum weighted similarities over pairs i < j; the block's columns start at its first row."""
    b = len(weight_rows)
    inside = weight_rows @ np.triu(similarity[:, :b], k=1) @ weight_columns[:b]
    beyond = weight_rows @ (similarity[:, b:] @ weight_columns[b:])
    return float(inside + beyond)
