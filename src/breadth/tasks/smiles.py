"""SMILES as text and as molecules: tokens, parsing, the canonical form, and RDKit's messages silenced and counted.

RDKit is imported when a function needs it, so this file can be imported without the extra.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from breadth.tasks.vocabulary import Vocabulary

if TYPE_CHECKING:
    from rdkit.Chem import Mol

#: One token of a SMILES text: a bracket atom, a two-letter halogen, a two-digit ring number, an atom, a bond or branch,
#: a digit. Source: Schwaller et al., Molecular Transformer (arXiv 1811.02633).
SMILES_PATTERN = r"(\[[^\]]+\]|Br|Cl|%\d{2}|[BCNOPSFIbcnops]|[()=#\-+\\/:~@?>*$.]|\d)"

#: Longer texts are not parsed. RDKit's time grows with the square of the length (1 s here), and a chain of 20,000 atoms overflows its
#: stack and ends the process. The longest SMILES of a marketed drug has a few hundred characters.
MOST_CHARACTERS = 5_000

_TOKEN = re.compile(SMILES_PATTERN)
_HINT = 'tasks on molecules need RDKit, which is not installed. Install the extra:\npip install "breadth[molecules]"'


def require_rdkit():
    """Return ``rdkit.Chem``.

    Raises
    ------
    ImportError
        RDKit is absent; the message ends with the line that installs it.
    """
    try:
        from rdkit import Chem
    except ImportError as error:
        raise ImportError(_HINT) from error
    return Chem


def split_smiles(text: str) -> list[str] | None:
    """Return the atom-wise tokens of a SMILES text, or None where some character belongs to no token.

    Source: Schwaller et al., arXiv 1811.02633. Departures: none.

    Examples
    --------
    >>> split_smiles("C[nH]1ccBr%12")
    ['C', '[nH]', '1', 'c', 'c', 'Br', '%12']
    >>> split_smiles("C C") is None
    True
    """
    tokens = _TOKEN.findall(text)
    return tokens if sum(map(len, tokens)) == len(text) else None


def smiles_vocabulary(smiles: Iterable[str]) -> Vocabulary:
    """Return the vocabulary of all atom-wise tokens that occur in ``smiles``, sorted.

    Examples
    --------
    >>> smiles_vocabulary(["CCO", "c1ccccc1"]).tokens
    ['1', 'C', 'O', 'c']
    """
    return Vocabulary.from_texts(smiles, pattern=SMILES_PATTERN, joiner="")


@dataclass
class RdkitMessages:
    """How many lines RDKit wrote inside a ``with quiet_rdkit()`` block, and the first few of them."""

    n: int = 0
    first: list[str] = field(default_factory=list)


class _Counter(logging.Handler):
    def __init__(self, messages: RdkitMessages, keep: int) -> None:
        super().__init__(logging.WARNING)
        self.messages, self.keep = messages, keep

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.n += 1
        if len(self.messages.first) < self.keep:
            self.messages.first.append(record.getMessage().strip())


_open_blocks: list[_Counter] = []


@contextmanager
def quiet_rdkit(keep: int = 5) -> Iterator[RdkitMessages]:
    """Silence RDKit's warnings and errors inside the block and count them; the log is put back as it was at the end.

    Blocks may be nested; the inner block counts its own messages. RDKit has one log per process, so this is not for
    several threads at once.

    Parameters
    ----------
    keep : int
        How many messages to keep as text.

    Yields
    ------
    RdkitMessages
        Its ``n`` grows while the block runs.
    """
    require_rdkit()
    from rdkit import rdBase

    messages = RdkitMessages()
    handler = _Counter(messages, keep)
    logger = logging.getLogger("rdkit")
    handlers, propagate = logger.handlers[:], logger.propagate
    status = dict(line.split(":") for line in rdBase.LogStatus().split())
    # RDKit does not tell where its log goes. Its Python logger is the only place for which it enables "debug" too.
    to_python = bool(_open_blocks) or status.get("rdApp.debug") == "enabled"
    if not to_python:
        rdBase.LogToPythonLogger()
    logger.handlers, logger.propagate = [handler], False
    _open_blocks.append(handler)
    try:
        yield messages
    finally:
        _open_blocks.remove(handler)
        logger.handlers, logger.propagate = handlers, propagate
        if not to_python:
            rdBase.LogToCppStreams()
            for name, state in status.items():  # LogToCppStreams goes back to RDKit's defaults, not to what was set
                (rdBase.EnableLog if state == "enabled" else rdBase.DisableLog)(name)


@lru_cache(maxsize=4096)  # the molecules of one step or one measurement: score, key and distance share a parse
def parse_smiles(text: str) -> Mol | None:
    """Return RDKit's molecule of a SMILES text, or None where it is not one.

    None: no atoms, a character that SMILES does not have (white space inside, too: RDKit would read it as the start of
    a name), more than 5,000 characters, or a text that RDKit refuses (syntax, valence, aromaticity). The molecule is shared: do not
    change it.

    Examples
    --------
    >>> parse_smiles("CCO").GetNumAtoms()
    3
    >>> parse_smiles("") is None, parse_smiles("CCO name") is None
    (True, True)
    """
    chem = require_rdkit()
    if not text or len(text) > MOST_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        return None
    molecule = chem.MolFromSmiles(text)
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def canonical_smiles(text: str, *, isomeric: bool = False) -> str | None:
    """Return RDKit's canonical SMILES, or None where the text cannot be parsed.

    Parameters
    ----------
    text : str
        One SMILES.
    isomeric : bool
        True keeps stereo marks and isotopes; False (flat) leaves them out, so that stereo isomers are one answer.

    Notes
    -----
    The form that comes back can itself be parsed: a text whose canonical form RDKit refuses (rare) is unparsable.

    Examples
    --------
    >>> canonical_smiles("OCC"), canonical_smiles("C(((")
    ('CCO', None)
    >>> canonical_smiles("C[C@H](N)O"), canonical_smiles("C[C@H](N)O", isomeric=True)
    ('CC(N)O', 'C[C@H](N)O')
    """
    with quiet_rdkit():
        return canonicalise(text, isomeric=isomeric)


def canonicalise(text: str, *, isomeric: bool = False) -> str | None:
    """Return what :func:`canonical_smiles` returns; for many texts inside one ``quiet_rdkit`` block."""
    molecule = parse_smiles(text)
    if molecule is None:
        return None
    canonical = require_rdkit().MolToSmiles(molecule, isomericSmiles=isomeric)
    return canonical if canonical == text or parse_smiles(canonical) is not None else None


def random_spelling(
    text: str, *, seed: tuple[int, ...], known: Container[str] | None = None, max_tokens: int | None = None
) -> str | None:
    """Return another spelling of the same molecule, by a random order of its atoms; None where no draw of five fits.

    Parameters
    ----------
    text : str
        A SMILES that can be parsed.
    seed : tuple of int
        With the text it decides the spelling.
    known : container of str, optional
        The only tokens that may occur (a high ring number, say, may be in no canonical spelling).
    max_tokens : int, optional
        Longest spelling, in tokens.

    Source: randomised SMILES, Arús-Pous et al., J. Cheminform. 11:71 (2019), unrestricted. Departures: none.

    Examples
    --------
    >>> canonical_smiles(random_spelling("CC(=O)Oc1ccccc1C(=O)O", seed=(0, 1)))
    'CC(=O)Oc1ccccc1C(=O)O'
    """
    chem = require_rdkit()
    molecule = parse_smiles(text)
    if molecule is None:
        raise ValueError(f"random_spelling: expected a SMILES that RDKit can parse, got {text!r}")
    digest = hashlib.sha256(repr((text, seed)).encode()).digest()
    for spelling in chem.MolToRandomSmilesVect(molecule, 5, randomSeed=int.from_bytes(digest[:4], "big") >> 1 or 1):
        tokens = split_smiles(spelling)
        if tokens is None or (max_tokens is not None and len(tokens) > max_tokens):
            continue
        if known is None or all(token in known for token in tokens):
            return spelling
    return None
