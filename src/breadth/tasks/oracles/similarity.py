"""Likeness to known molecules: similarity, rediscovery, medians and isomers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from breadth.tasks.fingerprints import N_BITS, RADIUS
from breadth.tasks.oracles.properties import count_atoms
from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

#: name -> what it is
FINGERPRINTS = {
    "ecfp4": "Morgan radius 2, 2048 binary bits (as in the diversity D)",
    "ecfc4": "Morgan radius 2, counts, unfolded",
    "ecfc6": "Morgan radius 3, counts, unfolded",
    "fcfc4": "Morgan radius 2 on pharmacophoric atom types, counts, unfolded",
    "ap": "atom pairs up to 10 bonds apart, counts, unfolded",
}


@lru_cache(maxsize=len(FINGERPRINTS))
def _fingerprint(name: str) -> Callable[[Any], Any]:
    require_rdkit()
    from rdkit.Chem import rdFingerprintGenerator as generators

    if name == "ecfp4":
        return generators.GetMorganGenerator(radius=RADIUS, fpSize=N_BITS).GetFingerprint
    if name == "ap":
        return generators.GetAtomPairGenerator(maxDistance=10).GetSparseCountFingerprint
    radius = 3 if name == "ecfc6" else 2
    if name == "fcfc4":
        features = generators.GetMorganFeatureAtomInvGen()
        return generators.GetMorganGenerator(radius=radius, atomInvariantsGenerator=features).GetSparseCountFingerprint
    return generators.GetMorganGenerator(radius=radius).GetSparseCountFingerprint


def similarity_to(targets: Sequence[str], *, fingerprint: str = "ecfp4") -> Callable[[Sequence[str]], list[float]]:
    """Return an oracle: the geometric mean of the Tanimoto similarities to the targets, in [0, 1].

    One target is rediscovery (1 means found, as far as the fingerprint can tell), two or more are a median molecule.

    Parameters
    ----------
    targets : SMILES, at least one
    fingerprint : str
        One of ``FINGERPRINTS``. Published medians and rediscoveries use ``ecfc4``.

    Raises
    ------
    ValueError
        No target, a target that cannot be parsed, an unknown fingerprint.

    Source: GuacaMol, Brown et al., J. Chem. Inf. Model. 59, 1096 (2019). Departures: none.

    Examples
    --------
    >>> similarity_to(["CCO"])(["OCC", "CCO"])
    [1.0, 1.0]
    """
    if fingerprint not in FINGERPRINTS:
        raise ValueError(f"fingerprint: expected one of {list(FINGERPRINTS)}, got {fingerprint!r}")
    if not targets:
        raise ValueError("targets: expected at least one SMILES, got none")
    from rdkit.DataStructs import TanimotoSimilarity

    make = _fingerprint(fingerprint)
    with quiet_rdkit():
        molecules = [parse_smiles(text) for text in targets]
        for text, molecule in zip(targets, molecules, strict=True):
            if molecule is None:
                raise ValueError(f"target: expected a SMILES that RDKit can parse, got {text!r}")
        wanted = [make(molecule) for molecule in molecules]

    def score(smiles: Sequence[str]) -> list[float]:
        with quiet_rdkit():
            return [_mean_similarity(parse_smiles(text)) for text in smiles]

    def _mean_similarity(molecule) -> float:
        if molecule is None:
            return math.nan
        own = make(molecule)
        return float(np.prod([TanimotoSimilarity(own, other) for other in wanted]) ** (1 / len(wanted)))

    return score


def isomer_of(formula: str) -> Callable[[Sequence[str]], list[float]]:
    """Return an oracle: how close a molecule's formula is to ``formula``, in [0, 1]; 1 for its isomers.

    The geometric mean of a Gaussian for each element's count (σ = 1) and one for the number of atoms (σ = 2).

    Raises
    ------
    ValueError
        Not a formula like C16H15F6N5O.

    Source: GuacaMol, Brown et al. 2019. Departures: none.

    Examples
    --------
    >>> isomer_of("C2H6O")(["CCO", "COC"])
    [1.0, 1.0]
    """
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    if not parts or "".join(a + n for a, n in parts) != formula:
        raise ValueError(f"formula: expected a molecular formula like C16H15F6N5O, got {formula!r}")
    wanted = {element: int(n or 1) for element, n in parts}
    total = sum(wanted.values())

    def closeness(molecule) -> float:
        if molecule is None:
            return math.nan
        squares = sum((count_atoms(molecule, element) - n) ** 2 for element, n in wanted.items())
        n_atoms = sum(1 + atom.GetTotalNumHs(includeNeighbors=False) for atom in molecule.GetAtoms())
        return math.exp(-0.5 * (squares + ((n_atoms - total) / 2) ** 2) / (len(wanted) + 1))

    def score(smiles: Sequence[str]) -> list[float]:
        with quiet_rdkit():
            return [closeness(parse_smiles(text)) for text in smiles]

    return score
