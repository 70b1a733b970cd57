"""What a set of molecules covers: circles, diverse hits, scaffolds, novelty, and the nearest molecule that is known.

Pure functions of fingerprints and SMILES; the counts of circles and diverse hits are greedy, so lower bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from breadth.seeds import numpy_generator
from breadth.tasks.fingerprints import pack_fingerprints
from breadth.tasks.packed_bits import bit_counts, popcount, similarity_to_rows
from breadth.tasks.smiles import canonicalise, parse_smiles, quiet_rdkit

CIRCLE_DISTANCE = 0.75  # the usual threshold of Xie et al. 2023


def sphere_exclusion(packed: np.ndarray, *, distance: float, order: Sequence[int] | None = None) -> np.ndarray:
    """Return molecules that are pairwise further apart than ``distance``: each is taken unless an earlier one is too near.

    Parameters
    ----------
    packed : (n, words) uint64
        Fingerprints.
    distance : float
        In [0, 1]. Two that are exactly as far apart are too near.
    order : (n,) int, optional
        In which order they are looked at. Default: as they stand.

    Returns
    -------
    (k,) int64
        Places in ``packed``, in the order in which they were taken. No further molecule could be added (the set is
        maximal), but another order may give a larger one: k is a lower bound of the packing number.

    Raises
    ------
    ValueError
        A distance outside [0, 1].

    Examples
    --------
    >>> rows = np.array([[7], [14], [7 << 20]], dtype=np.uint64)  # distances 0.5, 1, 1
    >>> sphere_exclusion(rows, distance=0.75).tolist(), sphere_exclusion(rows, distance=0.4).tolist()
    ([0, 2], [0, 1, 2])
    """
    if not 0 <= distance <= 1:
        raise ValueError(f"distance: expected a Tanimoto distance in [0, 1], got {distance}")
    left = np.arange(len(packed)) if order is None else np.asarray(order, dtype=np.int64)
    rows = np.ascontiguousarray(packed, dtype=np.uint64)[left]
    counts = bit_counts(rows)
    taken: list[int] = []
    while len(left):
        taken.append(int(left[0]))
        far = 1.0 - similarity_to_rows(rows[0], int(counts[0]), rows, counts) > distance
        left, rows, counts = left[far], rows[far], counts[far]
    return np.array(taken, dtype=np.int64)


def n_circles(packed: np.ndarray, *, distance: float = CIRCLE_DISTANCE, n_orders: int = 1, seed: int = 0) -> int:
    """Return #Circles: how many molecules there are that are pairwise further apart than ``distance``.

    Parameters
    ----------
    packed : (n, words) uint64
    distance : float
        Twice the radius of a circle, as a Tanimoto distance.
    n_orders : int
        Greedy passes: the given order, then random ones; the largest count is returned. The exact number is NP-hard; each
        pass is a lower bound.
    seed : int
        Of the random orders.

    Source: Xie et al., ICLR 2023, arXiv 2112.12542, definition 1. Departures: greedy, as theirs.

    Examples
    --------
    >>> from breadth.tasks.fingerprints import pack_fingerprints
    >>> n_circles(pack_fingerprints(["CCO", "CCO", "c1ccccc1"]))
    2
    """
    return len(_widest(packed, distance, n_orders, seed))


def _widest(packed: np.ndarray, distance: float, n_orders: int, seed: int) -> np.ndarray:
    if n_orders < 1:
        raise ValueError(f"n_orders: expected at least 1, got {n_orders}")
    best = sphere_exclusion(packed, distance=distance)
    for number in range(1, n_orders):
        order = numpy_generator(seed, "sphere exclusion", number).permutation(len(packed))
        found = sphere_exclusion(packed, distance=distance, order=order)
        best = found if len(found) > len(best) else best
    return best


@dataclass(frozen=True, slots=True)
class DiverseHits:
    """Hits that are pairwise far apart, among the first ``n_calls`` distinct molecules that an oracle was asked for."""

    n: int
    n_hits: int  # distinct molecules with score >= at_score
    n_calls: int
    places: tuple[int, ...]  # of the diverse hits, in the list that was given
    at_score: float
    distance: float


def diverse_hits(
    smiles: Sequence[str],
    scores: Sequence[float],
    *,
    at_score: float = 0.5,
    distance: float = 0.7,
    calls: int | None = None,
    n_orders: int = 1,
    seed: int = 0,
) -> DiverseHits:
    """Return how many hits there are that are pairwise further apart than ``distance``.

    Parameters
    ----------
    smiles : n canonical SMILES
        In the order in which the oracle was asked. A repeat costs no call.
    scores : (n,) float
        NaN (unscored) is no hit.
    at_score : float
        Score from which a molecule is a hit.
    distance : float
        Tanimoto distance that two hits must exceed.
    calls : int, optional
        Only the first so many distinct molecules: methods are compared at equal oracle calls.
    n_orders, seed
        Greedy passes, as in :func:`n_circles`. With one pass hits are taken in the order of the calls, so the number never
        falls while calls grow.

    Raises
    ------
    ValueError
        Lengths that differ, or a hit that cannot be parsed.

    Source: Renz et al. 2024, J. Chem. Inf. Model. 64, 5756: diverse hits, thresholds 0.5 and 0.7. Departures: greedy
    passes in the order of calls and at random, where theirs picks by MaxMin; no property filters.

    Examples
    --------
    >>> found = diverse_hits(["CCO", "CCN", "c1ccccc1", "CC"], [0.9, 0.8, 0.7, 0.1])
    >>> found.n, found.n_hits, found.n_calls
    (2, 3, 4)
    """
    if len(smiles) != len(scores):
        raise ValueError(f"scores: expected one for each of {len(smiles)} molecules, got {len(scores)}")
    first = {text: i for i, text in reversed(list(enumerate(smiles)))}
    asked = sorted(first.values())[:calls]
    hits = [i for i in asked if scores[i] >= at_score]
    taken = _widest(pack_fingerprints([smiles[i] for i in hits]), distance, n_orders, seed)
    return DiverseHits(len(taken), len(hits), len(asked), tuple(hits[i] for i in taken), at_score, distance)


def murcko_scaffolds(smiles: Iterable[str]) -> list[str | None]:
    """Return Murcko scaffolds as canonical SMILES; "" without any ring, None where a text cannot be parsed.

    Source: Bemis and Murcko, J. Med. Chem. 39, 2887 (1996), as RDKit's. Departures: none.

    Examples
    --------
    >>> murcko_scaffolds(["CCc1ccccc1", "CCO", "C(("])
    ['c1ccccc1', '', None]
    """
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    found: dict[str, str | None] = {}
    out = []
    with quiet_rdkit():
        for text in smiles:
            if text not in found:
                molecule = parse_smiles(text)
                found[text] = None if molecule is None else MurckoScaffoldSmiles(mol=molecule)
            out.append(found[text])
    return out


def scaffold_counts(smiles: Iterable[str]) -> Counter[str]:
    """Return how many molecules each Murcko scaffold has, most frequent first; "" counts those without a ring.

    Examples
    --------
    >>> scaffold_counts(["CCc1ccccc1", "Cc1ccccc1", "CCO"])
    Counter({'c1ccccc1': 2, '': 1})
    """
    counted = Counter(s for s in murcko_scaffolds(smiles) if s is not None)
    return Counter(dict(sorted(counted.items(), key=lambda item: (-item[1], item[0]))))


def flat_forms(smiles: Iterable[str]) -> list[str | None]:
    """Return flat canonical SMILES, by which molecules are told to be known; None where a text cannot be parsed."""
    with quiet_rdkit():
        return [canonicalise(text) for text in smiles]


def is_novel(smiles: Iterable[str], known: Collection[str]) -> np.ndarray:
    """Return which molecules are not among ``known``, (n,) bool; what cannot be parsed is not novel.

    Parameters
    ----------
    smiles : n SMILES
        In any form; they are compared as flat canonical SMILES, so stereo isomers of a known molecule are known.
    known : collection of flat canonical SMILES
        Best a set.

    Examples
    --------
    >>> is_novel(["OCC", "CCN", "C(("], {"CCO"}).tolist()
    [False, True, False]
    """
    return np.array([form is not None and form not in known for form in flat_forms(smiles)], dtype=bool)


def exclude_known(
    smiles: Sequence[str], known: Iterable[str], *, flat: bool = False, known_flat: bool = False
) -> list[str]:
    """Return the molecules that are not among ``known``, in their order: a prior's corpus without its oracle's table.

    Both sides are compared as flat canonical SMILES. What cannot be parsed stays: it is for the corpus to refuse.

    Parameters
    ----------
    smiles : n SMILES
    known : SMILES
    flat, known_flat : bool
        True: these texts are flat canonical SMILES already, and none is parsed.

    Examples
    --------
    >>> exclude_known(["CCO", "CCN", "C(("], ["OCC"])
    ['CCN', 'C((']
    """
    forms = set(known) if known_flat else {form for form in flat_forms(known) if form is not None}
    own = smiles if flat else flat_forms(smiles)
    return [text for text, form in zip(smiles, own, strict=True) if form is None or form not in forms]


def nearest_similarity(packed: np.ndarray, known: np.ndarray, *, block: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Return each molecule's highest Tanimoto similarity to the known ones, (n,) float64, and which that is, (n,) int64.

    Parameters
    ----------
    packed : (n, words) uint64
    known : (m, words) uint64
    block : int
        Known molecules looked at together.

    Returns
    -------
    similarity, place
        NaN and -1 where nothing is known; of equally near ones the first.

    Examples
    --------
    >>> from breadth.tasks.fingerprints import pack_fingerprints
    >>> similarity, place = nearest_similarity(pack_fingerprints(["CCO"]), pack_fingerprints(["c1ccccc1", "CCN"]))
    >>> similarity.round(3).tolist(), place.tolist()
    ([0.333], [1])
    """
    best, place = np.full(len(packed), np.nan), np.full(len(packed), -1, dtype=np.int64)
    if not len(known) or not len(packed):
        return best, place
    best[:] = -1.0
    counts, known_counts = bit_counts(packed), bit_counts(known)
    for low in range(0, len(known), block):
        part, sizes = known[low : low + block], known_counts[low : low + block]
        for i, row in enumerate(packed):
            both = popcount(part & row).sum(axis=-1, dtype=np.int64)
            either = sizes + counts[i] - both
            similarity = np.divide(both, either, out=np.ones(len(part)), where=either > 0)
            top = int(similarity.argmax())
            if similarity[top] > best[i]:
                best[i], place[i] = similarity[top], low + top
    return best, place
