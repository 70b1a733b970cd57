"""The synthetic accessibility score: how hard a molecule looks to make, from 1 (easy) to 10."""

from __future__ import annotations

import gzip
import math
import pickletools
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

TABLE = "Contrib/SA_Score/fpscores.pkl.gz"  # inside the RDKit package
UNKNOWN = -4.0  # what a fragment contributes that is not in the table


def sa_score(smiles: Sequence[str]) -> list[float]:
    """Return the synthetic accessibility score of each molecule, 1 (easy to make) to 10; NaN where it cannot be parsed.

    Fragment contributions (how common each circular fragment of radius 2 is in PubChem) minus penalties for size,
    stereocentres, spiro and bridgehead atoms and large rings.

    Raises
    ------
    ImportError
        RDKit, or the fragment table that its package carries, is absent.

    Source: Ertl and Schuffenhauer, J. Cheminform. 1:8 (2009), as RDKit's ``SA_Score`` 1.1 (one penalty for any number of
    large rings, a correction for symmetric molecules). Departures: none; its table is read as numbers, not unpickled.

    Examples
    --------
    >>> [round(value, 3) for value in sa_score(["CC(=O)Oc1ccccc1C(=O)O", "C(("])]
    [1.58, nan]
    """
    require_rdkit()
    fragments = _fragments()
    with quiet_rdkit():
        molecules = [parse_smiles(text) for text in smiles]
        return [float("nan") if m is None else _score(m, *fragments) for m in molecules]


@lru_cache(maxsize=1)
def _fragments() -> tuple[np.ndarray, np.ndarray]:
    """Return fragment numbers, sorted, and their contributions: 705,000 of RDKit 2026.

    The file is a list of lists [contribution, fragment, fragment, ...] in the pickle format. Its instructions are read one by one
    as data, and only numbers and lists are accepted: nothing in it is ever run.
    """
    import rdkit

    path = Path(rdkit.__file__).parent / TABLE
    if not path.is_file():
        raise ImportError(
            f"the synthetic accessibility score needs {TABLE} of the RDKit package, which is not in {path.parents[2]}: "
            'install RDKit from its wheel:\npip install "breadth[molecules]"'
        )
    numbers: list[int] = []
    values: list[float] = []
    value = math.nan
    with gzip.open(path) as handle:
        for code, argument, _ in pickletools.genops(handle):
            if code.name == "FLOAT":
                value = argument
            elif code.name == "INT":
                numbers.append(argument)
                values.append(value)
            elif code.name not in ("MARK", "LIST", "PUT", "APPEND", "STOP"):
                raise ValueError(
                    f"{path}: expected lists of numbers, got the instruction {code.name}: not the known table"
                )
    found = np.array(numbers, dtype=np.int64)
    order = np.argsort(found, kind="stable")
    return found[order], np.array(values)[order]


@lru_cache(maxsize=1)
def _generator():
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=2)


def _score(molecule, numbers: np.ndarray, values: np.ndarray) -> float:
    from rdkit.Chem import FindMolChiralCenters
    from rdkit.Chem import rdMolDescriptors as d

    counts = _generator().GetSparseCountFingerprint(molecule).GetNonzeroElements()
    wanted = np.array(list(counts), dtype=np.int64)
    times = np.array(list(counts.values()), dtype=np.float64)
    # where a number stands twice in the table, the later one counts
    place = np.maximum(np.searchsorted(numbers, wanted, side="right") - 1, 0)
    contribution = np.where(numbers[place] == wanted, values[place], UNKNOWN)
    n_atoms = molecule.GetNumAtoms()
    raw = float(contribution @ times) / float(times.sum())
    raw -= n_atoms**1.005 - n_atoms
    raw -= math.log10(len(FindMolChiralCenters(molecule, includeUnassigned=True)) + 1)
    raw -= math.log10(d.CalcNumSpiroAtoms(molecule) + 1)
    raw -= math.log10(d.CalcNumBridgeheadAtoms(molecule) + 1)
    if any(len(ring) > 8 for ring in molecule.GetRingInfo().AtomRings()):
        raw -= math.log10(2)
    if n_atoms > len(counts):
        raw += 0.5 * math.log(n_atoms / len(counts))
    score = 11 - 9 * (raw + 5) / 6.5  # raw −4 .. 2.5 onto 10 .. 1, as published
    if score > 8:
        score = 8 + math.log(score - 8)
    return min(10.0, max(1.0, score))
