"""The walk of many fingerprints through many trees: numpy, or numba where it is installed, with the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from breadth.tasks.fingerprints import N_BITS

BLOCK = 128  # fingerprints walked at once: their bits and positions stay in the processor's cache
LEVELS = 6  # steps between two looks at which walks have ended


def as_bits(fingerprints: np.ndarray) -> np.ndarray:
    """Return fingerprints as one byte a bit, (n, 2048) uint8, bit i in column i.

    Parameters
    ----------
    fingerprints : (n, 2048) bool or 0/1, (n, 256) uint8 or (n, 32) uint64 packed, lowest bit first

    Raises
    ------
    ValueError
        Another shape or dtype, or values other than 0 and 1.
    """
    given = np.asarray(fingerprints)
    if given.ndim == 2 and given.shape[1] == N_BITS:
        bits = given.astype(np.uint8)
        if given.dtype != bool and (bits != given).any() | (bits > 1).any():
            raise ValueError("fingerprints: expected bits 0 and 1, got other numbers: counts have no place here")
        return np.ascontiguousarray(bits)
    packed = given.ndim == 2 and (given.shape[1], given.dtype) in ((N_BITS // 8, np.uint8), (N_BITS // 64, np.uint64))
    if not packed:
        raise ValueError(
            f"fingerprints: expected (n, {N_BITS}) bits, or packed (n, {N_BITS // 8}) uint8 or (n, {N_BITS // 64}) uint64, "
            f"got {given.dtype} {given.shape}"
        )
    return np.unpackbits(np.ascontiguousarray(given).view(np.uint8), axis=1, bitorder="little")


@dataclass(frozen=True, eq=False)
class Walk:
    """Trees made ready to be walked; arguments as in :class:`breadth.tasks.oracles.forest.Forest`."""

    feature: np.ndarray  # (nodes,) int16, -1 in a leaf
    right: np.ndarray  # (nodes,)
    leaf: np.ndarray  # (nodes,) float64
    roots: np.ndarray  # (trees,)

    def __call__(self, bits: np.ndarray, *, engine: str = "auto") -> np.ndarray:
        """Return the mean leaf value of each row of bits over all trees, (n,) float64.

        Raises
        ------
        ValueError, ImportError
            An unknown engine; ``"numba"`` without numba.
        """
        if engine not in ("auto", "numpy", "numba"):
            raise ValueError(f"engine: expected 'auto', 'numpy' or 'numba', got {engine!r}")
        compiled = None if engine == "numpy" else _compiled()
        if engine == "numba" and compiled is None:
            raise ImportError('engine="numba" needs numba, which is not installed:\npip install "breadth[numba]"')
        if compiled is not None:
            return compiled(self.feature, self._right, self.leaf, self.roots, bits)
        parts = [self._block(bits[i : i + BLOCK]) for i in range(0, len(bits), BLOCK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    @cached_property
    def _right(self) -> np.ndarray:
        return self.right.astype(np.int32)

    @cached_property
    def _steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the bit of each node (0 in a leaf) and its two children side by side; a leaf leads to itself."""
        node = np.arange(len(self.feature), dtype=np.int32)
        children = np.stack([node + (self.feature >= 0), node + self._right], axis=1).astype(np.int32)
        return np.maximum(self.feature, 0).astype(np.int32), children.reshape(-1)

    def _block(self, bits: np.ndarray) -> np.ndarray:
        feature, children = self._steps
        n, n_trees = len(bits), len(self.roots)
        flat = bits.reshape(-1)
        ended = np.empty(n * n_trees, dtype=np.int32)
        where = np.arange(n * n_trees, dtype=np.int32)  # tree-major: walk t·n + i is row i in tree t
        row = (where % n) * N_BITS
        node = np.repeat(self.roots.astype(np.int32), n)
        while len(where):
            for _ in range(LEVELS):
                bit = flat.take(row + feature.take(node))
                node = children.take(2 * node + bit)
            stays = children.take(2 * node) == node
            ended[where[stays]] = node[stays]
            goes = ~stays
            where, row, node = where[goes], row[goes], node[goes]
        total = np.zeros(n)
        for values in self.leaf[ended].reshape(n_trees, n):  # one tree after the other, as the compiled walk adds
            total += values
        return total / n_trees


@lru_cache(maxsize=1)
def _compiled():
    """Return the walk compiled by numba, or None where numba is absent."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit(nogil=True)
    def compiled(feature, right, leaf, roots, bits):
        out = np.zeros(bits.shape[0])
        for i in range(bits.shape[0]):
            row = bits[i]
            total = 0.0
            for tree in range(roots.shape[0]):
                node = roots[tree]
                asked = feature[node]
                while asked >= 0:
                    node += right[node] if row[asked] else 1
                    asked = feature[node]
                total += leaf[node]
            out[i] = total / roots.shape[0]
        return out

    return compiled
