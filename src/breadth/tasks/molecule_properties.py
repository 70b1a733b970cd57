"""Properties of molecules that a chemist reads first, and the structural alerts of the PAINS and Brenk lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from breadth.tasks.molecule_sets import murcko_scaffolds
from breadth.tasks.oracles.properties import PROPERTIES as NUMBERS
from breadth.tasks.oracles.properties import property_values
from breadth.tasks.oracles.qed import qed
from breadth.tasks.oracles.sa import sa_score
from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

#: name -> what it is; the order of the columns in files and panels.
PROPERTIES = {
    **{name: NUMBERS[name] for name in ("heavy_atoms", "mw", "logp", "tpsa", "hbd", "hba", "rotatable_bonds", "rings")},
    "qed": "drug-likeness, 0 to 1",
    "sa": "synthetic accessibility, 1 (easy) to 10",
}
COUNTS = ("heavy_atoms", "hbd", "hba", "rotatable_bonds", "rings")


def molecule_properties(smiles: Sequence[str], names: Iterable[str] = tuple(PROPERTIES)) -> dict[str, np.ndarray]:
    """Return the named properties of molecules, each (n,) float64; NaN where a text cannot be parsed.

    Parameters
    ----------
    smiles : n SMILES
    names : names of ``PROPERTIES``
        QED costs about 1 ms a molecule, the others 0.5 ms together.

    Raises
    ------
    ValueError
        An unknown name.

    Examples
    --------
    >>> found = molecule_properties(["CCO", "C(("], ["heavy_atoms", "rings"])
    >>> found["heavy_atoms"].tolist(), found["rings"].tolist()
    ([3.0, nan], [0.0, nan])
    """
    require_rdkit()
    names = list(names)
    unknown = [name for name in names if name not in PROPERTIES]
    if unknown:
        raise ValueError(f"names: unknown property {unknown[0]!r}; known: {', '.join(PROPERTIES)}")
    with quiet_rdkit():
        parsed = [i for i, text in enumerate(smiles) if parse_smiles(text) is not None]
    good = [smiles[i] for i in parsed]
    out = {name: np.full(len(smiles), np.nan) for name in names}
    for name in names:
        own = {"qed": qed, "sa": sa_score}.get(name)
        out[name][parsed] = property_values(name, good) if own is None else own(good)
    return out


def property_columns(smiles: Sequence[str]) -> dict[str, list]:
    """Return properties and scaffold as plain columns for a file: numbers rounded to 4 digits, None where unparsable."""
    found = molecule_properties(smiles)
    columns: dict[str, list] = {
        name: [None if np.isnan(v) else int(v) if name in COUNTS else round(float(v), 4) for v in values]
        for name, values in found.items()
    }
    return {**columns, "scaffold": murcko_scaffolds(smiles)}


@lru_cache(maxsize=1)
def _catalogues() -> dict:
    from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

    lists = FilterCatalogParams.FilterCatalogs
    return {
        "PAINS": FilterCatalog(FilterCatalogParams(lists.PAINS)),
        "Brenk": FilterCatalog(FilterCatalogParams(lists.BRENK)),
    }


def structural_alerts(smiles: Sequence[str]) -> dict[str, list[list[str] | None]]:
    """Return the alerts of each molecule by list: names of the patterns that match, None where a text cannot be parsed.

    Source: PAINS: Baell and Holloway, J. Med. Chem. 53, 2719 (2010), sets A to C; Brenk et al., ChemMedChem 3, 435
    (2008); both as in RDKit's FilterCatalog. Departures: none.

    Examples
    --------
    >>> structural_alerts(["CCO", "CC(=O)C=C"])["Brenk"]
    [[], ['Michael_acceptor_1']]
    """
    require_rdkit()
    found: dict[str, list[list[str] | None]] = {name: [] for name in _catalogues()}
    with quiet_rdkit():
        for text in smiles:
            molecule = parse_smiles(text)
            for name, catalogue in _catalogues().items():
                matches = None if molecule is None else catalogue.GetMatches(molecule)
                found[name].append(None if matches is None else [match.GetDescription() for match in matches])
    return found
