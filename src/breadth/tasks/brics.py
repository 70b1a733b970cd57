"""Molecules without any data set: those that the RDKit wheel carries, and random grafts of their BRICS fragments."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from breadth.seeds import numpy_generator
from breadth.tasks.corpus_files import Row
from breadth.tasks.smiles import parse_smiles, quiet_rdkit, require_rdkit

#: Files of the wheel with a SMILES first in each line. They may move between releases: a missing one is left out.
WHEEL_FILES = (
    "Data/Pains/test_data/wehi_mols.csv",  # 9,999 compounds of a screening deck
    "Data/NCI/first_5K.smi",  # NCI open set
    "Contrib/FreeWilson/data/CHEMBL2321810.smi",  # one series
    "Contrib/fraggle/data/ChEMBL_11265_actives.smi",
)
#: A table of structural alerts whose columns EX1 .. EX5 hold PubChem examples.
WHEEL_EXAMPLES = "Contrib/NIBRSubstructureFilters/SubstructureFilter_HitTriaging_wPubChemExamples.csv"

#: For the case that a release of RDKit carries none of these files: drugs with many different BRICS bonds.
FALLBACK = (
    "CC(=O)Nc1ccc(O)cc1", "CC(=O)Oc1ccccc1C(=O)O", "CC(C)Cc1ccc(C(C)C(=O)O)cc1", "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc21",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "CN(C)CCOC(c1ccccc1)c1ccccc1",
    "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1", "CCOc1ccc(S(=O)(=O)N2CCN(C)CC2)cc1",
    "O=C(O)c1cn(C2CC2)c2cc(N3CCNCC3)c(F)cc2c1=O", "CC(C)NCC(O)COc1ccc(CC(N)=O)cc1",
    "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1", "CNCCC(Oc1ccc(C(F)(F)F)cc1)c1ccccc1",
    "O=C1CCc2ccc(OCCCCN3CCN(c4cccc(Cl)c4Cl)CC3)cc2N1", "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
)  # fmt: skip

N_PARENTS = 1_500  # molecules that are cut into fragments; about 5 s, and more fragments than 60,000 grafts can use
# Chosen by trial so that grafts look like drugs: QED .61, 22 heavy atoms, mean distance .90 (the deck: .69, 22, .88).
HEAVY_ATOMS = (12, 36)  # of a graft
FRAGMENT_ATOMS = 11  # heavy atoms of the largest fragment that is used; larger ones give heavy, poor molecules
CLOSE_AT = 14  # heavy atoms from which only fragments with a single end are added


def wheel_molecules() -> list[str]:
    """Return the SMILES in the files of the installed RDKit as they stand there, about 18,000.

    Notes
    -----
    Where none of the files is there (they are no part of RDKit's promises), a short list of drugs comes back instead.
    """
    require_rdkit()
    import rdkit

    root = Path(rdkit.__file__).parent
    found = [text for name in WHEEL_FILES for text in _first_words(root / name)]
    if (root / WHEEL_EXAMPLES).is_file():
        with (root / WHEEL_EXAMPLES).open(encoding="utf-8", errors="replace", newline="") as handle:
            found += [row[f"EX{i}"].strip() for row in csv.DictReader(handle) for i in range(1, 6) if row.get(f"EX{i}")]
    return found or list(FALLBACK)


def _parents() -> list[str]:
    """Return what is cut into fragments: the screening deck, whose fragments give drug-like grafts; else everything."""
    require_rdkit()
    import rdkit

    return list(_first_words(Path(rdkit.__file__).parent / WHEEL_FILES[0])) or wheel_molecules()


def _first_words(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as handle:
        for line in handle:
            if words := line.replace('"', " ").replace(",", " ").split():
                yield words[0]


def _by_hash(texts: list[str], n: int | None) -> list[str]:
    """Return the n texts with the smallest SHA-1: a fair sample that does not depend on the order of the files."""
    distinct = sorted(set(texts), key=lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).digest())
    return distinct if n is None else distinct[:n]


def wheel_and_grafts(*, n_grafts: int = 60_000, limit: int | None = None, seed: int = 0) -> list[Row]:
    """Return the wheel's molecules followed by grafts, as rows of a corpus.

    Parameters
    ----------
    n_grafts : int
        Grafts tried; a few per cent of them fail or repeat. About 2,000 a second.
    limit : int, optional
        Use at most this many of the wheel's molecules, drawn by hash.
    seed : int
        Seed of the grafts.
    """
    molecules = wheel_molecules()
    if limit is not None:
        molecules = _by_hash(molecules, limit)
    if n_grafts:
        n_parents = N_PARENTS if limit is None else min(N_PARENTS, limit)  # a small set is for a quick look
        molecules = molecules + graft(fragments(_by_hash(_parents(), n_parents)), n_grafts, seed=seed)
    return [Row(number, text, "") for number, text in enumerate(molecules, 1)]


def fragments(molecules: list[str]) -> list[str]:
    """Return the distinct BRICS fragments of up to 11 heavy atoms, sorted; open ends are dummy atoms like ``[4*]``.

    Molecules that cannot be parsed, or have more than one part, give none.

    Source: Degen et al., ChemMedChem 3, 1503 (2008), as RDKit's ``BRICSDecompose``. Departures: none.

    Examples
    --------
    >>> fragments(["CCOc1ccccc1"])
    ['[16*]c1ccccc1', '[3*]O[3*]', '[4*]CC']
    """
    require_rdkit()
    from rdkit.Chem import BRICS

    found: set[str] = set()
    with quiet_rdkit():
        for text in molecules:
            molecule = parse_smiles(text)
            if molecule is not None and "." not in text and molecule.GetNumHeavyAtoms() <= 60:
                found.update(BRICS.BRICSDecompose(molecule))  # slow above some 60 atoms
        return sorted(text for text in found if "*" in text and _n_heavy(text) <= FRAGMENT_ATOMS)


def _n_heavy(fragment: str) -> int:
    molecule = parse_smiles(fragment)
    return molecule.GetNumAtoms() - len(_open_ends(molecule))


@lru_cache(maxsize=1)
def _bonds() -> dict[int, dict[int, str]]:
    """Which ends may be joined, and by which bond: number -> number -> "-" or "="."""
    from rdkit.Chem import BRICS

    table: dict[int, dict[int, str]] = defaultdict(dict)
    for definitions in BRICS.reactionDefs:
        for one, other, bond in definitions:
            first, second = (int(label.rstrip("ab")) for label in (one, other))  # 7a and 7b are both written [7*]
            table[first][second] = table[second][first] = bond
    return dict(table)


class _Pool:
    """Fragments by the numbers of their open ends."""

    def __init__(self, texts: list[str]) -> None:
        self.molecules = [parse_smiles(text) for text in texts]
        self.any_end: dict[int, list[int]] = defaultdict(list)
        self.last_end: dict[int, list[int]] = defaultdict(list)
        for i, molecule in enumerate(self.molecules):
            ends = _open_ends(molecule)
            for number in sorted({number for _, number in ends}):
                self.any_end[number].append(i)
                if len(ends) == 1:
                    self.last_end[number].append(i)


def _open_ends(molecule) -> list[tuple[int, int]]:
    """Return (atom index, number) of the dummy atoms."""
    return [(a.GetIdx(), a.GetIsotope()) for a in molecule.GetAtoms() if a.GetAtomicNum() == 0]


def graft(texts: list[str], n: int, *, seed: int = 0) -> list[str]:
    """Return molecules grown by joining random fragments at ends that fit, until no end is open.

    Parameters
    ----------
    texts : list of str
        Fragments from :func:`fragments`.
    n : int
        Tries. A try that finds no partner, does not end at 12 to 36 heavy atoms or breaks a valence gives nothing, so
        fewer molecules come back; repeats are not removed.
    seed : int
        The same fragments, n and seed give the same molecules.

    Source: the ends and bonds of BRICS (Degen et al. 2008). Departures: 1. fragments are joined at random instead of by
    enumeration, which rarely finds a small molecule; 2. large molecules are closed with fragments that have one end.

    Examples
    --------
    >>> grown = graft(fragments(["CCOc1ccc(C(=O)NC2CCCCC2)cc1"]), 50)
    >>> len(grown) > 5, any("*" in text for text in grown)
    (True, False)
    """
    chem = require_rdkit()
    generator = numpy_generator(seed, "grafts")
    grown = []
    with quiet_rdkit():
        pool = _Pool(texts)
        if not pool.molecules:
            return []
        for _ in range(n):
            draws = iter(generator.random(64).tolist())  # one block a try: faster, and a try cannot shift the next
            molecule = _grow(pool, draws)
            if molecule is None:
                continue
            try:
                chem.SanitizeMol(molecule)
            except chem.MolSanitizeException:
                continue
            grown.append(chem.MolToSmiles(molecule, isomericSmiles=False))
    return grown


def _grow(pool: _Pool, draws: Iterator[float]):
    """Return one molecule without open ends, not yet sanitised, or None."""
    chem = require_rdkit()
    molecule = chem.RWMol(_choose(pool.molecules, draws))
    for _ in range(10):  # joins; a molecule of 36 heavy atoms has about eight fragments
        ends = _open_ends(molecule)
        heavy = molecule.GetNumAtoms() - len(ends)
        if not ends:
            return molecule if HEAVY_ATOMS[0] <= heavy <= HEAVY_ATOMS[1] else None
        if heavy > HEAVY_ATOMS[1]:
            return None
        place, number = _choose(ends, draws)
        partners = pool.last_end if heavy + 4 * len(ends) >= CLOSE_AT else pool.any_end
        fitting = [(other, bond) for other, bond in _bonds().get(number, {}).items() if partners[other]]
        if not fitting:
            return None
        other, bond = _choose(fitting, draws)
        _join(molecule, place, pool.molecules[_choose(partners[other], draws)], other, bond, draws)
    return None


def _choose(items, draws: Iterator[float]):
    return items[int(next(draws) * len(items))]


def _join(molecule, place: int, fragment, number: int, bond: str, draws: Iterator[float]) -> None:
    """Join a fragment's end ``number`` to the open end at atom ``place``; both dummy atoms go."""
    chem = require_rdkit()
    shift = molecule.GetNumAtoms()
    end = _choose([atom for atom, n in _open_ends(fragment) if n == number], draws) + shift
    molecule.InsertMol(fragment)
    here = molecule.GetAtomWithIdx(place).GetNeighbors()[0].GetIdx()
    there = molecule.GetAtomWithIdx(end).GetNeighbors()[0].GetIdx()
    kind = chem.BondType.DOUBLE if bond == "=" else chem.BondType.SINGLE
    molecule.AddBond(here, there, kind)
    for atom in sorted((place, end), reverse=True):
        molecule.RemoveAtom(atom)
