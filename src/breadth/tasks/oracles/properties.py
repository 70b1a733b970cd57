"""Numbers that RDKit computes from a molecule, by name: what goals of several properties are made of."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

#: name -> what it is; each is one number a molecule, in the units of RDKit
PROPERTIES = {
    "logp": "octanol-water partition coefficient, Crippen's estimate",
    "mw": "molecular weight, g/mol",
    "tpsa": "topological polar surface area, Å²",
    "heavy_atoms": "heavy atoms",
    "rings": "rings",
    "aromatic_rings": "aromatic rings",
    "rotatable_bonds": "rotatable bonds",
    "hba": "hydrogen-bond acceptors",
    "hbd": "hydrogen-bond donors",
    "fraction_sp3": "share of carbon atoms that are sp3",
    "stereocentres": "atoms that are stereocentres, assigned or not",
}


@lru_cache(maxsize=1)
def _functions() -> dict[str, Callable[[Any], float]]:
    require_rdkit()
    from rdkit.Chem import Crippen, MolSurf
    from rdkit.Chem import rdMolDescriptors as d

    return {
        "logp": Crippen.MolLogP,
        "mw": d._CalcMolWt,
        "tpsa": MolSurf.TPSA,
        "heavy_atoms": lambda m: m.GetNumHeavyAtoms(),
        "rings": d.CalcNumRings,
        "aromatic_rings": d.CalcNumAromaticRings,
        "rotatable_bonds": d.CalcNumRotatableBonds,
        "hba": d.CalcNumHBA,
        "hbd": d.CalcNumHBD,
        "fraction_sp3": d.CalcFractionCSP3,
        "stereocentres": d.CalcNumAtomStereoCenters,
    }


def property_values(name: str, smiles: Sequence[str]) -> list[float]:
    """Return one property of each molecule; NaN where the SMILES cannot be parsed.

    Raises
    ------
    ValueError
        An unknown name; the message gives the nearest and all known ones.

    Source: RDKit (Crippen's logP: Wildman and Crippen 1999; TPSA: Ertl et al. 2000). Departures: none.

    Examples
    --------
    >>> property_values("heavy_atoms", ["CCO", "C(("])
    [3.0, nan]
    """
    if name not in PROPERTIES:
        near = difflib.get_close_matches(name, PROPERTIES, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"property: expected one of {list(PROPERTIES)}, got {name!r}.{hint}")
    function = _functions()[name]
    with quiet_rdkit():
        molecules = [parse_smiles(text) for text in smiles]
        return [float("nan") if m is None else float(function(m)) for m in molecules]


def count_atoms(molecule, element: str) -> int:
    """Return how many atoms of an element a molecule has, implicit hydrogens included."""
    atoms = molecule.GetAtoms()
    if element == "H":
        return sum(atom.GetTotalNumHs(includeNeighbors=False) + (atom.GetAtomicNum() == 1) for atom in atoms)
    return sum(atom.GetSymbol() == element for atom in atoms)
