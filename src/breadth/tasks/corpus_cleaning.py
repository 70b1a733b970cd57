"""From rows of a file to a clean set of molecules, and a report of what was dropped and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from breadth.tasks.corpus_files import Row
from breadth.tasks.smiles import parse_smiles, require_rdkit, split_smiles

#: Elements that are kept. Source: the elements of the published ChEMBL priors (REINVENT, GuacaMol), with hydrogen.
ELEMENTS = frozenset(["H", "B", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I"])
#: A token in fewer than this share of the molecules is dropped with them: 25 in half a million, too few to learn from.
RARE_SHARE = 5e-5
N_EXAMPLES = 5
N_SPOT_CHECKS = 2_000  # of a file that is said to be canonical; 0.2 % of bad lines slip through once in 55 times

UNPARSABLE = "not a SMILES that RDKit can parse"
TOO_LONG = "longer than the context"
FOREIGN = "element outside B C N O F P S Cl Br I"

_BRACKET = re.compile(r"\[\d*([A-Z][a-z]?|se|te|as|si|[a-z])")  # the symbol of a bracket atom, aromatic in lower case
_ISOTOPE = re.compile(r"\[\d")


@dataclass(frozen=True)
class CorpusReport:
    """What a corpus was made of.

    ``dropped`` counts lines by reason; ``examples`` holds up to five (line number, text) of each, ``details`` the
    elements and the tokens that were in the way. ``checked`` says which lines RDKit parsed. ``n_rdkit_messages`` counts
    the warnings and errors that RDKit wrote and that were not shown.
    """

    source: str
    sha256: str
    n_lines: int
    n_train: int
    n_valid: int
    checked: str
    dropped: dict[str, int]
    examples: dict[str, list[tuple[int, str]]]
    tokens: list[str]
    length_mean: float  # tokens, without the end token
    length_max: int
    n_rdkit_messages: int
    details: dict[str, dict[str, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        kept = self.n_train + self.n_valid
        lines = [
            f"{self.source}: {kept:,} of {self.n_lines:,} lines kept ({self.n_train:,} train, {self.n_valid:,} valid), "
            f"{len(self.tokens)} tokens, {self.length_mean:.1f} tokens a molecule (at most {self.length_max})",
            f"  checked: {self.checked}",
        ]
        for reason, n in sorted(self.dropped.items(), key=lambda item: -item[1]):
            shown = ", ".join(f"line {line}: {text[:60]}" for line, text in self.examples.get(reason, [])[:2])
            which = ", ".join(f"{name} {k}" for name, k in Counter(self.details.get(reason, {})).most_common(8))
            lines.append(f"  dropped {n:,}: {reason}{which and ': '}{which} ({shown})")
        if self.n_rdkit_messages:
            lines.append(f"  RDKit wrote {self.n_rdkit_messages:,} messages, not shown")
        return "\n".join(lines)


@dataclass
class Cleaner:
    """Turns rows into molecules and counts what it drops.

    Parameters
    ----------
    isomeric : bool
        Keep stereo marks.
    max_tokens : int
        Longest molecule, in tokens without the end token.
    canonical : bool
        The texts are said to be canonical already: only some of them, evenly spaced, are parsed.
    fragments : {"drop", "largest"}
        What to do with several fragments (salts, mixtures): drop the line, or keep the fragment with most heavy atoms.

    Attributes
    ----------
    molecules : dict
        Canonical SMILES -> the row it came from, in the order of the file.
    """

    isomeric: bool
    max_tokens: int
    canonical: bool = False
    fragments: str = "drop"
    molecules: dict[str, Row] = field(default_factory=dict)
    dropped: Counter = field(default_factory=Counter)
    details: dict[str, Counter] = field(default_factory=dict)  # reason -> element or token -> molecules
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    holders: Counter = field(default_factory=Counter)  # token -> molecules that have it
    n_parsed: int = 0
    n_tokens: int = 0
    longest: int = 0

    def clean(self, rows: Sequence[Row]) -> None:
        """Keep or drop each row.

        Raises
        ------
        ValueError
            ``canonical`` is True and one of the parsed lines is not canonical.
        """
        every = max(1, len(rows) // N_SPOT_CHECKS) if self.canonical else 1
        wrong = []
        for i, row in enumerate(rows):
            if row.split.lower() == "test":
                self.drop(row, "of the file's test split")
                continue
            text, reason = row.text, None
            if i % every == 0 and text:
                self.n_parsed += 1
                text, reason = self._parse(row.text)
                if self.canonical and (reason == UNPARSABLE or (reason is None and text != row.text)):
                    wrong.append(row)
            self._keep(row, text, reason)
        if wrong:
            shown = "; ".join(f"line {row.line}: {row.text[:80]!r}" for row in wrong[:3])
            raise ValueError(
                f"canonical=True, but {len(wrong)} of the {self.n_parsed:,} lines that were parsed are not canonical "
                f"{'isomeric' if self.isomeric else 'flat'} SMILES of this RDKit ({shown}); leave canonical out, and "
                "every line will be parsed"
            )

    def _parse(self, text: str) -> tuple[str, str | None]:
        if _ISOTOPE.search(text):  # before parsing: the flat form would hide it
            return text, "isotope label"
        if len(text) > 20 * self.max_tokens:  # surely too long, and not worth parsing
            return text, TOO_LONG
        molecule = parse_smiles(text)
        if molecule is None:
            return text, UNPARSABLE
        canonical = require_rdkit().MolToSmiles(molecule, isomericSmiles=self.isomeric)
        if "." in canonical and self.fragments == "largest":
            parts = [(parse_smiles(part), part) for part in canonical.split(".")]
            canonical = max((0 if m is None else m.GetNumHeavyAtoms(), part) for m, part in parts)[1]
        return canonical, None

    def _keep(self, row: Row, text: str, reason: str | None) -> None:
        tokens = None if reason else split_smiles(text)
        if not text:
            reason = "empty line"
        elif reason is None and tokens is None:
            reason = UNPARSABLE
        elif reason is None:
            reason = self._objection(text, tokens)
        if reason:
            self.drop(row, reason)
            return
        self.molecules[text] = row
        self.holders.update(set(tokens))
        self.n_tokens += len(tokens)
        self.longest = max(self.longest, len(tokens))

    def _objection(self, text: str, tokens: list[str]) -> str | None:
        if text in self.molecules:
            return "duplicate"
        if len(tokens) > self.max_tokens:
            return TOO_LONG
        if "." in text:
            return "several fragments"
        if self.canonical and _ISOTOPE.search(text):
            return "isotope label"
        if other := foreign_element(text):
            self.details.setdefault(FOREIGN, Counter())[other] += 1
            return FOREIGN
        return None

    def drop(self, row: Row, reason: str) -> None:
        """Count a dropped row, and keep it as an example if it is among the first."""
        self.dropped[reason] += 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < N_EXAMPLES:
            shown.append((row.line, row.text[:200]))

    def drop_rare_tokens(self) -> None:
        """Drop the tokens that fewer than ``RARE_SHARE`` of the molecules have, and those molecules."""
        fewest = RARE_SHARE * len(self.molecules)
        rare = {token for token, n in self.holders.items() if n < fewest}
        if not rare:
            return
        suspect = re.compile("|".join(map(re.escape, sorted(rare))))  # cheap; "Cl" is also found inside "[Cl-]"
        for text in [text for text in self.molecules if suspect.search(text)]:
            tokens = split_smiles(text)
            if found := rare.intersection(tokens):
                reason = f"token in fewer than {fewest:.0f} molecules"
                self.details.setdefault(reason, Counter())[min(found)] += 1
                self.drop(self.molecules.pop(text), reason)
                self.holders.subtract(set(tokens))
                self.n_tokens -= len(tokens)

    def tokens(self) -> list[str]:
        """Return the tokens of the molecules that are kept, sorted."""
        return sorted(token for token, n in self.holders.items() if n > 0)


def foreign_element(text: str) -> str:
    """Return the first element of a SMILES text that is not in ``ELEMENTS`` ("*" for an open end), or "".

    Examples
    --------
    >>> foreign_element("C[Si](C)C"), foreign_element("c1cc[nH]c1"), foreign_element("C[C@H](N)*")
    ('Si', '', '*')
    """
    for symbol in _BRACKET.findall(text):
        if symbol.capitalize() not in ELEMENTS:
            return symbol.capitalize()
    return "*" if "*" in text else ""
