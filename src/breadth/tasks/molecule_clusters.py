"""Families of molecules: clusters of neighbours, the core that a cluster's members share, and a map of fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import svds

from breadth.seeds import numpy_generator
from breadth.tasks.fingerprints import tanimoto_distance_matrix
from breadth.tasks.packed_bits import unpack
from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

NEAR = 0.6  # Tanimoto distance of ECFP4 up to which two molecules are usually called analogues
SEARCH_SECONDS = 2  # for one common core; drug-like cores take milliseconds
LEAST_CORE = 6  # atoms


def neighbour_clusters(packed: np.ndarray, *, distance: float = NEAR) -> list[np.ndarray]:
    """Return clusters of molecules, the centre first in each, largest cluster first.

    The molecule with most free neighbours within ``distance`` becomes a centre and takes them, and so on until all are
    taken; ties go to the molecule that stands first.

    Parameters
    ----------
    packed : (n, words) uint64
        n up to a few thousand: all n² distances are held.
    distance : float

    Source: Taylor, J. Chem. Inf. Comput. Sci. 35, 59 (1995); Butina, J. Chem. Inf. Comput. Sci. 39, 747 (1999).
    Departures: neighbours are counted among those that are still free.

    Examples
    --------
    >>> rows = np.array([[1], [7], [15], [7 << 20]], dtype=np.uint64)
    >>> [members.tolist() for members in neighbour_clusters(rows, distance=0.3)]
    [[1, 2], [0], [3]]
    """
    near = tanimoto_distance_matrix(packed) <= distance
    free = np.ones(len(packed), dtype=bool)
    found = []
    while free.any():
        counts = np.where(free, (near & free).sum(axis=1), -1)
        centre = int(counts.argmax())
        others = np.flatnonzero(near[centre] & free)
        members = np.array([centre, *others[others != centre].tolist()], dtype=np.int64)
        free[members] = False
        found.append(members)
    return found


@dataclass(frozen=True, slots=True)
class Core:
    """What several molecules share, as a SMARTS pattern."""

    smarts: str
    n_atoms: int
    n_molecules: int  # that it was searched in


def common_core(smiles: Sequence[str], *, seconds: int = SEARCH_SECONDS) -> Core | None:
    """Return the largest connected substructure that all molecules share, whole rings only; None without any of 6 atoms.

    Parameters
    ----------
    smiles : two or more SMILES that RDKit can parse
    seconds : int
        Most that the search may take; None comes back where it is not done by then.

    Source: Dalby and Fisher, rdFMCS, as in RDKit. Departures: none.

    Examples
    --------
    >>> common_core(["Cc1ccccc1O", "CCc1ccccc1O", "Oc1ccccc1"]).n_atoms
    7
    """
    require_rdkit()
    from rdkit.Chem import rdFMCS

    if len(smiles) < 2:
        return None
    with quiet_rdkit():
        molecules = [parse_smiles(text) for text in smiles]
        found = rdFMCS.FindMCS(molecules, timeout=seconds, ringMatchesRingOnly=True, completeRingsOnly=True)
    if found.canceled or found.numAtoms < LEAST_CORE:
        return None
    return Core(found.smartsString, found.numAtoms, len(molecules))


def fingerprint_map(packed: np.ndarray) -> tuple[np.ndarray, float]:
    """Return two coordinates for each molecule, (n, 2) float64, and the share of the fingerprints' variance they hold.

    The two leading principal components of the bits. Deterministic: the search for them starts from one fixed vector, and
    each component's largest loading is positive. Two of 2,048 dimensions hold a few per cent of the variance: near on the
    map does not mean alike, far apart does mean unlike.

    Parameters
    ----------
    packed : (n, words) uint64
        Three or more.

    Raises
    ------
    ValueError
        Fewer than three molecules.

    Examples
    --------
    >>> from breadth.tasks.fingerprints import pack_fingerprints
    >>> place, share = fingerprint_map(pack_fingerprints(["CCO", "CCN", "c1ccccc1", "Cc1ccccc1"]))
    >>> place.shape, bool(0 < share <= 1)
    ((4, 2), True)
    """
    if len(packed) < 3:
        raise ValueError(f"packed: expected three molecules or more for a map, got {len(packed)}")
    bits = unpack(packed).astype(np.float64)
    bits = bits[:, bits.any(axis=0)]
    centred = bits - bits.mean(axis=0)
    total = float((centred**2).sum())
    if total == 0 or min(centred.shape) < 3:
        return np.zeros((len(packed), 2)), 0.0
    left, size, right = svds(centred, k=2, v0=numpy_generator(0, "map").standard_normal(min(centred.shape)))
    order = np.argsort(-size)
    left, size, right = left[:, order], size[order], right[order]
    sign = np.sign(right[np.arange(2), np.abs(right).argmax(axis=1)])
    return left * size * sign, float((size**2).sum() / total)
