"""Molecules as files for a chemist: SDF with properties, and SMILES lists."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit


def sdf_text(smiles: Sequence[str], names: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> str:
    """Return an SDF: a flat layout, a name and properties for each molecule; None leaves a property out.

    Parameters
    ----------
    smiles : n SMILES
    names : n texts
        Title lines.
    columns : name -> n values

    Raises
    ------
    ValueError
        A text cannot be parsed; the message names the first.

    Examples
    --------
    >>> text = sdf_text(["CCO"], ["m1"], {"quality": [0.5]})
    >>> text.splitlines()[0], "<quality>" in text, text.rstrip().endswith("$$$$")
    ('m1', True, True)
    """
    chem = require_rdkit()
    from rdkit.Chem import rdDepictor

    writer = chem.SDWriter(stream := io.StringIO())
    with quiet_rdkit():
        for i, (text, name) in enumerate(zip(smiles, names, strict=True)):
            found = parse_smiles(text)
            if found is None:
                raise ValueError(f"smiles[{i}]: expected a SMILES that RDKit can parse, got {text!r}: leave it out")
            molecule = chem.Mol(found)  # a copy: the parsed one is shared
            rdDepictor.Compute2DCoords(molecule)
            molecule.SetProp("_Name", name)
            molecule.SetProp("SMILES", text)
            for column, values in columns.items():
                if values[i] is not None:
                    molecule.SetProp(column, str(values[i]))
            writer.write(molecule)
        writer.close()
    return stream.getvalue()


def smi_text(smiles: Sequence[str], names: Sequence[str]) -> str:
    """Return a ``.smi`` file: SMILES, a tab, the name.

    Examples
    --------
    >>> smi_text(["CCO"], ["m1"])
    'CCO\\tm1\\n'
    """
    return "".join(f"{text}\t{name}\n" for text, name in zip(smiles, names, strict=True))
