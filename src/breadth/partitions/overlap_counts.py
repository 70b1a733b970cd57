"""How much every two texts of a group share: intersections of word sets by matrix product, common subsequences by bits."""

from __future__ import annotations

import numpy as np
from scipy import sparse

DENSE_CELLS = 4_000_000  # above it the texts × items matrix is kept sparse: 16 MB of float32
FEW_PAIRS = 64  # below it, one pair after the other is faster than all together


def shared_items(items: np.ndarray, text: np.ndarray, n: int, weight: np.ndarray | None = None) -> np.ndarray:
    """Return for every two texts the sum of products of weights over the items that both hold, (n, n) float64.

    Parameters
    ----------
    items : (W,) int64
        Item numbers; an item stands at most once in a text.
    text : (W,) int64
        Which of the n texts each stands in.
    n : int
    weight : (W,) float, optional
        1 where absent: the result is the size of the intersection.

    Returns
    -------
    (n, n) float64
        The diagonal holds each text's own sum (its number of items).

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> shared_items(np.array([3, 9, 9]), np.array([0, 0, 1]), 2).tolist()
    [[2.0, 1.0], [1.0, 1.0]]
    """
    columns, column = np.unique(items, return_inverse=True)
    value = np.ones(len(items), dtype=np.float32) if weight is None else np.asarray(weight, dtype=np.float32)
    if n * len(columns) <= DENSE_CELLS:
        table = np.zeros((n, len(columns)), dtype=np.float32)
        table[text, column] = value
        return (table @ table.T).astype(np.float64)  # counts below 2**24 are exact in float32
    held = sparse.csr_matrix((value, (text, column)), shape=(n, len(columns)))
    return np.asarray((held @ held.T).todense(), dtype=np.float64)


def dice(shared: np.ndarray) -> np.ndarray:
    """Return 2·|A∩B| / (|A| + |B|) from a matrix of intersections with the sizes on its diagonal; 0 for two empty sets.

    Examples
    --------
    >>> dice(np.array([[2.0, 1.0], [1.0, 1.0]])).round(3).tolist()
    [[1.0, 0.667], [0.667, 1.0]]
    """
    size = np.diagonal(shared)
    total = size[:, None] + size[None, :]
    return np.divide(2 * shared, total, out=np.zeros_like(shared), where=total > 0)


def jaccard(shared: np.ndarray) -> np.ndarray:
    """Return |A∩B| / |A∪B| from a matrix of intersections with the sizes on its diagonal; 0 for two empty sets.

    Examples
    --------
    >>> jaccard(np.array([[2.0, 1.0], [1.0, 1.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    size = np.diagonal(shared)
    union = size[:, None] + size[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def cosine(products: np.ndarray) -> np.ndarray:
    """Return cosines from a matrix of inner products with the squared lengths on its diagonal; 0 with a zero vector.

    Examples
    --------
    >>> cosine(np.array([[4.0, 2.0], [2.0, 4.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    length = np.sqrt(np.diagonal(products))
    total = length[:, None] * length[None, :]
    return np.divide(products, total, out=np.zeros_like(products), where=total > 0)


def common_subsequences(ids: np.ndarray, start: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the length of the longest common subsequence of words of each pair of texts, (M,) int64.

    All pairs advance together, one word of the second text at a time; a row of the dynamic programme is a row of bits.

    Parameters
    ----------
    ids : (W,) int64
        Word numbers of all texts, end to end, from 0.
    start : (n + 1,) int64
        Where each text begins.
    first, second : (M,) int64
        The texts of each pair.

    Source: Hyyrö 2004, "Bit-parallel LCS-length computation revisited". Departures: none.

    Examples
    --------
    >>> ids = np.array([0, 1, 2, 3, 1, 3, 0])
    >>> common_subsequences(ids, np.array([0, 4, 7]), np.array([0]), np.array([1])).tolist()
    [2]
    """
    n, lengths = len(start) - 1, np.diff(start)
    if not len(first) or not len(ids):
        return np.zeros(len(first), dtype=np.int64)
    if len(first) < FEW_PAIRS:
        return np.array([_common_subsequence(ids[start[i] : start[i + 1]], ids[start[j] : start[j + 1]]) for i, j in
                         zip(first.tolist(), second.tolist(), strict=True)], dtype=np.int64)  # fmt: skip
    text = np.repeat(np.arange(n), lengths)
    position = np.arange(len(ids)) - start[text]
    n_limbs = int(lengths.max() + 63) // 64
    vocabulary, word = np.unique(ids, return_inverse=True)
    cells, cell = np.unique(text * len(vocabulary) + word, return_inverse=True)
    row_of = np.zeros((n, len(vocabulary) + 1), dtype=np.int32)  # 0: a word that the text does not hold, and padding
    row_of.reshape(-1)[cells // len(vocabulary) * (len(vocabulary) + 1) + cells % len(vocabulary)] = (
        np.arange(len(cells)) + 1
    )
    table = np.zeros((n_limbs, len(cells) + 1), dtype=np.uint64)
    bit = np.left_shift(np.uint64(1), (position % 64).astype(np.uint64))
    np.bitwise_or.at(table, (position // 64, cell + 1), bit)
    padded = np.full((int(lengths.max()), n), len(vocabulary), dtype=np.int64)  # (T, n)
    padded[position, text] = word

    longer = lengths[second] > lengths[first]  # fewer steps: walk through the shorter text
    held, walked = np.where(longer, second, first), np.where(longer, first, second)
    state = np.full((n_limbs, len(first)), np.uint64(2**64 - 1))  # (limbs, M)
    for step in range(int(lengths[walked].max())):
        row = row_of[held, padded[step, walked]]  # (M,)
        carry = np.zeros(len(first), dtype=np.uint64)
        for limb in range(n_limbs):
            old, match = state[limb], table[limb, row]
            both = old & match
            total = old + both
            overflow = total < old
            total += carry
            carry = (overflow | (total < carry)).astype(np.uint64)
            state[limb] = total | (old & ~match)
    bits = np.unpackbits(np.ascontiguousarray(~state).view(np.uint8), axis=1)  # (limbs, 64·M)
    return bits.reshape(n_limbs, len(first), 64).sum(axis=(0, 2), dtype=np.int64)


def _common_subsequence(a: np.ndarray, b: np.ndarray) -> int:
    """Return the length of one longest common subsequence, with Python's long integers as rows of bits."""
    held: dict[int, int] = {}
    for position, word in enumerate(a.tolist()):
        held[word] = held.get(word, 0) | (1 << position)
    full = (1 << len(a)) - 1
    state = full
    for word in b.tolist():
        both = state & held.get(word, 0)
        state = ((state + both) | (state - both)) & full
    return len(a) - state.bit_count()
