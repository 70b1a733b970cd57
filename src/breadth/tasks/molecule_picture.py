"""A small drawing of a molecule, as an SVG without ids, scripts or outside resources, to stand inside a page."""

from __future__ import annotations

import re

from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

_BOND = re.compile(r"<path d='([^']*)' style='fill:none;[^']*?stroke:(#\w{6});[^']*' ?/>")
_GLOW = "#BBDCFF"  # behind the bonds of a highlighted core; pale, so that every atom's colour can be read on it
_GLOWING = re.compile(rf"<path d='([^']*)' style='fill:{_GLOW};[^']*' ?/>")
_LETTER = re.compile(r"<text x='([^']*)' y='([^']*)' style='font-size:(\d+)px;[^']*?fill:(#\w{6})' ?>(.*?)</text>")


def draw_molecule(text: str, *, width: int = 180, height: int = 140, core: str | None = None) -> str | None:
    """Return an SVG drawing of a SMILES on a white card, or None where the text cannot be parsed or laid out.

    The card is white so that the usual colours of atoms can be read on a dark page as well. Bonds of one colour become
    one path, and letters are text: about 3 kB, a seventh of what RDKit writes, so a report can hold hundreds.

    Parameters
    ----------
    text : str
        One SMILES.
    width, height : int
        Size in CSS pixels.
    core : str, optional
        A SMARTS pattern; the bonds of its first match stand on a pale ground, and the molecule is laid out as it is without.

    Examples
    --------
    >>> draw_molecule("CCO").startswith("<svg xmlns='http://www.w3.org/2000/svg' width='180' height='140'")
    True
    >>> draw_molecule("C((") is None
    True
    """
    require_rdkit()
    with quiet_rdkit():
        molecule = parse_smiles(text.strip())
        svg = None if molecule is None else _rdkit_svg(molecule, width, height, core)
    if svg is None:
        return None
    svg = re.sub(r" class='[^']*'", "", svg)
    bonds: dict[str, list[str]] = {}
    for path, colour in _BOND.findall(svg):
        bonds.setdefault(colour, []).append(path.strip())
    rest = _BOND.sub("", svg[svg.index("<!-- END OF HEADER -->") :])
    glow = " ".join(path.strip() for path in _GLOWING.findall(rest))
    ground = f"<path d='{glow}' fill='{_GLOW}'/>" if glow else ""
    rest = _GLOWING.sub("", rest)
    filled = re.findall(r"<path d='[^']*' style='[^']*' ?/>", rest)  # wedges and dots, few
    letters = [
        f"<text x='{x}' y='{y}' font-size='{size}' fill='{colour}'>{letter}</text>"
        for x, y, size, colour, letter in _LETTER.findall(rest)
    ]
    paths = [f"<path d='{' '.join(parts)}' stroke='{colour}'/>" for colour, parts in bonds.items()]
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' role='img'>"
        f"<title>{text.strip().replace('&', '&amp;').replace('<', '&lt;')}</title>"
        f"<rect width='{width}' height='{height}' rx='8' fill='#ffffff'/>"
        f"{ground}"
        f"<g fill='none' stroke-width='1.4'>{''.join(paths)}</g>{''.join(filled)}"
        f"<g font-family='sans-serif'>{''.join(letters)}</g></svg>"
    )


def _core_bonds(molecule, core: str | None) -> list[int]:
    """Return the bonds between atoms of the first match of a pattern."""
    pattern = None if core is None else require_rdkit().MolFromSmarts(core)
    atoms = set() if pattern is None else set(molecule.GetSubstructMatch(pattern))
    return [b.GetIdx() for b in molecule.GetBonds() if b.GetBeginAtomIdx() in atoms and b.GetEndAtomIdx() in atoms]


def _rdkit_svg(molecule, width: int, height: int, core: str | None = None) -> str | None:
    from rdkit.Chem import Mol
    from rdkit.Chem.Draw import rdMolDraw2D

    drawer = rdMolDraw2D.MolDraw2DSVG(width, height, -1, -1, True)  # one panel; True: letters as text, not as outlines
    options = drawer.drawOptions()
    options.clearBackground = False
    options.padding = 0.06
    options.fixedBondLength = 24  # pixels at most, so that a small molecule does not fill the card
    options.minFontSize = 7
    options.setHighlightColour(tuple(int(_GLOW[i : i + 2], 16) / 255 for i in (1, 3, 5)))
    options.highlightBondWidthMultiplier = 24
    bonds = _core_bonds(molecule, core)
    chosen = {"highlightAtoms": [], "highlightBonds": bonds} if bonds else {}
    try:
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, Mol(molecule), **chosen)  # a copy: drawing adds hydrogens and a layout
    except (RuntimeError, ValueError):  # no Kekulé form, no layout: the report goes without this picture
        return None
    drawer.FinishDrawing()
    return drawer.GetDrawingText()
