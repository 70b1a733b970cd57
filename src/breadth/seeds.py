"""Independent random streams from (run seed, step, purpose).

A stream is named, never advanced from a shared state: the draw made for step 40's rollouts is the same whether the run
reached step 40 in one go or was killed and resumed three times. That is what makes a resumed run equal, bit for bit.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *path: int | str) -> int:
    """Return a 63-bit seed that depends on every element of ``(seed, *path)``.

    Parameters
    ----------
    seed : int
        The run's seed, any integer.
    *path : int or str
        What the stream is for, for example ``("rollout", 40)``. Order and type count: ``1`` and ``"1"`` differ.

    Returns
    -------
    int
        In ``[0, 2**63)``; the first 8 bytes of a SHA-256 hash, so streams do not overlap in practice.

    Examples
    --------
    >>> derive_seed(0, "rollout", 1) == derive_seed(0, "rollout", 1)
    True
    >>> derive_seed(0, "rollout", 1) == derive_seed(0, "rollout", "1")
    False
    """
    text = repr((int(seed), *path)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *path: int | str) -> np.random.Generator:
    """Return numpy's generator for the stream ``(seed, *path)``."""
    return np.random.default_rng(derive_seed(seed, *path))
