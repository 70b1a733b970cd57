"""Binary fingerprints as packed 64-bit words: counting bits, taking them apart, ordering them by frequency."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    return np.array([bin(i).count("1") for i in range(1 << 16)], dtype=np.uint8)


def popcount_by_table(words: np.ndarray) -> np.ndarray:
    """Return the set bits of each word, for numpy 1, which has no ``bitwise_count``."""
    quarters = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 4)
    return _table()[quarters].sum(axis=-1, dtype=np.uint8)


popcount = getattr(np, "bitwise_count", popcount_by_table)


def bit_counts(packed: np.ndarray) -> np.ndarray:
    """Return how many bits are set in each row, (n,) int64, for packed (n, words) uint64."""
    return popcount(packed).sum(axis=-1, dtype=np.int64)


def unpack(packed: np.ndarray) -> np.ndarray:
    """Return one byte a bit, (n, 64·words) uint8; every row has the bits in the same order, which is not RDKit's."""
    return np.unpackbits(np.ascontiguousarray(packed).view(np.uint8), axis=1)


def column_counts(packed: np.ndarray, *, block: int = 4096) -> np.ndarray:
    """Return in how many rows each bit is set, (64·words,) int64, in the order of :func:`unpack`."""
    total = np.zeros(packed.shape[1] * 64, dtype=np.int64)
    for low in range(0, len(packed), block):
        total += unpack(packed[low : low + block]).sum(axis=0, dtype=np.int64)
    return total


def similarity_to_rows(one: np.ndarray, n_one: int, packed: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the Tanimoto similarity of one row to many, (n,) float64; two rows without any bit have similarity 1.

    Parameters
    ----------
    one : (words,) uint64
    n_one : int
        Bits that are set in it.
    packed : (n, words) uint64
    counts : (n,) int
        Bits that are set in each row.
    """
    both = popcount(packed & one).sum(axis=-1, dtype=np.int64)
    either = counts + n_one - both
    return np.divide(both, either, out=np.ones(len(packed)), where=either > 0)
