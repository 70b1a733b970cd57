"""The inner loops of :mod:`breadth.tasks.pair_sums`, compiled by numba. Import it only where numba is installed."""

from __future__ import annotations

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

BLOCK = 2048  # columns whose intersections are kept beside each other: 16 kB, inside the first cache


@intrinsic
def _ones(typing, word):
    """Return the set bits of a word by the processor's own instruction."""
    del typing, word

    def generate(context, builder, signature, arguments):
        del context, signature
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _compile(function=None, **options):
    """Compile when first called, and keep the machine code on disk where there is a folder for it."""

    def wrap(inner):
        try:
            return numba.njit(inner, cache=True, **options)
        except RuntimeError:  # neither the package's folder nor the user's can be written: compiled once a process
            return numba.njit(inner, **options)

    return wrap if function is None else wrap(function)


@_compile
def frequencies(packed):
    """Return in how many rows each bit is set, (64·words,) int64; bit 0 of a word is its lowest."""
    n, words = packed.shape
    found = np.zeros(words * 64, np.int64)
    for i in range(n):
        for w in range(words):
            left = packed[i, w]
            while left != 0:
                low = left & (~left + np.uint64(1))
                found[w * 64 + np.int64(_ones(low - np.uint64(1)))] += 1
                left ^= low
    return found


@_compile
def reorder(packed, rank):
    """Return the rows with bit b moved to place ``rank[b]``."""
    n, words = packed.shape
    out = np.zeros_like(packed)
    for i in range(n):
        for w in range(words):
            left = packed[i, w]
            while left != 0:
                low = left & (~left + np.uint64(1))
                place = rank[w * 64 + np.int64(_ones(low - np.uint64(1)))]
                out[i, place >> 6] |= np.uint64(1) << np.uint64(place & 63)
                left ^= low
    return out


# Only the sums may be taken in another order (so that they run in vector registers): no other licence of fast-math.
@_compile(fastmath={"reassoc", "contract"}, error_model="numpy")
def weighted_sum(columns, rows, counts, weight):
    """Return Σ_{i<j} w_i·w_j·S(i, j); ``columns`` (words, n) is the transpose of ``rows`` (n, words)."""
    n, words = rows.shape
    both = np.empty(BLOCK, np.uint64)
    total = 0.0
    for first in range(0, n, BLOCK):
        last = min(first + BLOCK, n)
        for i in range(last - 1):
            low = max(first, i + 1)
            m = last - low
            for k in range(m):
                both[k] = 0
            for w in range(words):
                word = rows[i, w]
                if word != 0:
                    column = columns[w, low:last]
                    for k in range(m):
                        both[k] += _ones(word & column[k])
            own = counts[i]
            others, weights = counts[low:last], weight[low:last]
            part = 0.0
            if own == 0:  # a row without any bit is equal to others without any, and shares nothing with the rest
                for k in range(m):
                    part += weights[k] if others[k] == 0 else 0.0
            else:
                for k in range(m):
                    shared = float(np.int64(both[k]))
                    part += weights[k] * shared / (own + others[k] - shared)
            total += weight[i] * part
    return total
