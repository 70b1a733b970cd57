"""Drug-likeness."""

from __future__ import annotations

from collections.abc import Sequence

from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit


def qed(smiles: Sequence[str]) -> list[float]:
    """Return the QED of each SMILES, in [0, 1]; 0 where it cannot be parsed.

    The weighted geometric mean of eight desirability functions (mass, logP, hydrogen-bond acceptors and donors, polar
    surface, rotatable bonds, aromatic rings, structural alerts). About 600 molecules a second on one core.

    Source: Bickerton et al., Nature Chemistry 4, 90 (2012), mean weights, as RDKit's ``QED.qed``. Departures: none.

    Examples
    --------
    >>> [round(value, 4) for value in qed(["CC(=O)Oc1ccccc1C(=O)O", "C(("])]
    [0.5501, 0.0]
    """
    require_rdkit()
    from rdkit.Chem import QED

    with quiet_rdkit():
        return [0.0 if (molecule := parse_smiles(text)) is None else float(QED.qed(molecule)) for text in smiles]
