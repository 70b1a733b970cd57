"""ECFP4 fingerprints as packed bits, and exact means of their pairwise Tanimoto distances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

N_BITS = 2048  # ECFP4 of the source paper: Morgan radius 2, folded to 2048 binary bits
N_WORDS = N_BITS // 64
RADIUS = 2
RARE = 0.05  # bits set in a smaller share of the rows are added pair by pair; the fastest share at n = 10,000


@lru_cache(maxsize=1)
def _generator():
    require_rdkit()
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=N_BITS)


def pack_fingerprint(molecule) -> np.ndarray:
    """Return the ECFP4 of an RDKit molecule as packed bits, (32,) uint64.

    Morgan radius 2, 2048 binary bits, no chirality. The order of the bits is RDKit's.
    """
    from rdkit.DataStructs import BitVectToBinaryText

    return np.frombuffer(BitVectToBinaryText(_generator().GetFingerprint(molecule)), dtype=np.uint64)


@lru_cache(maxsize=50_000)  # 0.4 kB each; a collapsed policy repeats itself, so most look-ups hit
def _fingerprint_of_text(text: str) -> np.ndarray | None:
    molecule = parse_smiles(text)
    return None if molecule is None else pack_fingerprint(molecule)


def pack_fingerprints(smiles: Sequence[str]) -> np.ndarray:
    """Return the ECFP4 fingerprints of SMILES texts as packed bits, (n, 32) uint64.

    Raises
    ------
    ValueError
        A text cannot be parsed; the message names the first.

    Examples
    --------
    >>> packed = pack_fingerprints(["CCO", "CCN"])
    >>> packed.shape, int(bit_counts(packed)[0])
    ((2, 32), 6)
    """
    rows = []
    with quiet_rdkit():
        for i, text in enumerate(smiles):
            row = _fingerprint_of_text(text)
            if row is None:
                raise ValueError(f"smiles[{i}]: expected a SMILES that RDKit can parse, got {text!r}: leave it out")
            rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, N_WORDS), dtype=np.uint64)


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    return np.array([bin(i).count("1") for i in range(1 << 16)], dtype=np.uint8)


def _popcount_by_table(words: np.ndarray) -> np.ndarray:
    """Return the set bits of each word, for numpy 1, which has no ``bitwise_count``."""
    quarters = np.ascontiguousarray(words).view(np.uint16).reshape(*words.shape, 4)
    return _table()[quarters].sum(axis=-1, dtype=np.uint8)


_popcount = getattr(np, "bitwise_count", _popcount_by_table)


def bit_counts(packed: np.ndarray) -> np.ndarray:
    """Return how many bits are set in each row, (n,) int64, for packed (n, 32) uint64."""
    return _popcount(packed).sum(axis=-1, dtype=np.int64)


def _unpack(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed.view(np.uint8), axis=1)  # (n, 2048) uint8; the order of the bits does not matter here


def _split_bits(bits: np.ndarray, rare: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """Part the columns: frequent ones as a float32 matrix, rare ones (of two rows or more) as lists of rows."""
    count = bits.sum(axis=0, dtype=np.int64)  # (2048,)
    frequent = count > max(1, rare * len(bits))
    dense = bits[:, frequent].astype(np.float32)  # (n, F)
    sparse = [np.flatnonzero(bits[:, j]) for j in np.flatnonzero(~frequent & (count > 1))]
    return dense, sparse


def tanimoto_distance_matrix(packed: np.ndarray) -> np.ndarray:
    """Return all pairwise Tanimoto distances 1 − |a ∧ b| / |a ∨ b|, (n, n) float64, symmetric with zero diagonal.

    Parameters
    ----------
    packed : (n, 32) uint64
        From :func:`pack_fingerprints`. Two rows without any bit are at distance 0.

    Examples
    --------
    >>> tanimoto_distance_matrix(pack_fingerprints(["CCO", "CCN", "CCO"]))[0].round(3).tolist()
    [0.0, 0.667, 0.0]
    """
    packed = np.ascontiguousarray(packed, dtype=np.uint64)
    bits = _unpack(packed)
    shared = bits[:, bits.any(axis=0)].astype(np.float32)  # (n, F)
    both = (shared @ shared.T).astype(np.float64)  # (n, n) exact: whole numbers far below 2**24
    count = np.diagonal(both)
    either = count[:, None] + count[None, :] - both
    np.maximum(either, 1.0, out=either)  # no bits at all: 0 / 1 below, then distance 1 is set to 0
    distance = 1.0 - both / either
    empty = count == 0
    if empty.any():
        distance[np.ix_(empty, empty)] = 0.0
    return distance


def mean_tanimoto_distance(packed: np.ndarray, weight: np.ndarray | None = None, *, block: int = 512) -> float:
    """Return the exact mean Tanimoto distance over unordered pairs of rows; NaN for fewer than two.

    Parameters
    ----------
    packed : (n, 32) uint64
        Fingerprints.
    weight : (n,) int, optional
        How often each row occurs; pairs of equal rows count with distance 0.
    block : int
        Rows handled at once; memory is 16·block·n bytes.

    Notes
    -----
    The intersections are whole numbers and exact. Frequent bits go through a matrix product; rare ones (most of the
    2048) are added pair by pair, which is why this is faster than counting all bits of all pairs.
    """
    packed = np.ascontiguousarray(packed, dtype=np.uint64)
    n = len(packed)
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    total = weight.sum()
    if total < 2:
        return float("nan")
    pairs = total * (total - 1) / 2
    if n <= block:
        return float(weight @ tanimoto_distance_matrix(packed) @ weight / 2 / pairs)
    count = bit_counts(packed).astype(np.float32)
    no_bits = bool((count == 0).any())
    dense, sparse = _split_bits(_unpack(packed), rare=RARE)
    similarity = 0.0
    for low in range(0, n, block):
        high = min(low + block, n)
        both = dense[low:high] @ dense[low:].T  # (b, n - low)
        for rows in sparse:
            first, last = np.searchsorted(rows, (low, high))
            if last > first:
                both[np.ix_(rows[first:last] - low, rows[first:] - low)] += 1.0
        either = count[low:high, None] + count[None, low:] - both
        if no_bits:  # two molecules without any bit are equal
            empty = either == 0
            both[empty], either[empty] = 1.0, 1.0
        ratio = np.divide(both, either, dtype=np.float64)
        similarity += _pairs_in_block(ratio, weight[low:high], weight[low:])
    similarity += float((weight * (weight - 1) / 2).sum())  # copies of one row
    return float(1.0 - similarity / pairs)


def _pairs_in_block(similarity: np.ndarray, weight_rows: np.ndarray, weight_columns: np.ndarray) -> float:
    """Sum weighted similarities over pairs i < j; the block's columns start at its first row."""
    b = len(weight_rows)
    inside = weight_rows @ np.triu(similarity[:, :b], k=1) @ weight_columns[:b]
    beyond = weight_rows @ (similarity[:, b:] @ weight_columns[b:])
    return float(inside + beyond)


def mean_pairwise_tanimoto(smiles: Sequence[str]) -> float:
    """Return the mean pairwise Tanimoto distance D of molecules.

    D = 2 / (n (n − 1)) · Σ_{i<j} (1 − |f_i ∧ f_j| / |f_i ∨ f_j|), with f the ECFP4 fingerprint (2048 binary bits).

    Parameters
    ----------
    smiles : sequence of str
        n SMILES. Repeated molecules are **not** removed: each copy is a molecule of its own, at distance 0 of the
        others.

    Returns
    -------
    float
        In [0, 1]; NaN for n < 2; 0 when all are equal.

    Raises
    ------
    ValueError
        A text cannot be parsed. Leave such texts out first: D is over parsable samples.
    ImportError
        RDKit is absent.

    Source: the quality-diversity law paper, eq. 5. Departures: none.

    Examples
    --------
    >>> round(mean_pairwise_tanimoto(["CCO", "CCN", "CCO"]), 4)
    0.4444
    >>> mean_pairwise_tanimoto(["CCO"])
    nan
    """
    if isinstance(smiles, str):
        raise TypeError(f"smiles: expected a list of SMILES, got the single text {smiles!r}")
    count = Counter(smiles)
    packed = pack_fingerprints(list(count))
    return mean_tanimoto_distance(packed, np.array(list(count.values())))
