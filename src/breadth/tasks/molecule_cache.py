"""What is known of each text a policy wrote: its canonical SMILES, fingerprint and score, computed once and shared."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from breadth.tasks.fingerprints import pack_fingerprint
from breadth.tasks.oracles import Oracle
from breadth.tasks.oracles.components import take_reasons
from breadth.tasks.scoring import score_batch
from breadth.tasks.smiles import canonicalise, parse_smiles, quiet_rdkit

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Entry:
    """One molecule: canonical SMILES, packed ECFP4 (32,) uint64, and its score once an oracle gave one."""

    canonical: str
    fingerprint: np.ndarray
    score: float | None = None


@dataclass
class Failures:
    """How many molecules an oracle left unscored, and the distinct reasons."""

    n: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, n: int, reasons: Sequence[str]) -> None:
        """Count unscored molecules; each reason is kept and logged once, up to a hundred of them."""
        self.n += n
        for reason in reasons:
            if reason not in self.reasons and len(self.reasons) < 100:
                self.reasons.append(reason)
                log.warning("the oracle left molecules unscored (NaN): %s", reason)


class MoleculeCache:
    """Texts to molecules and scores, with a bounded memory.

    Everything is computed from the canonical SMILES, so a value depends on the text alone, never on which spelling of a
    molecule came first: a run that was killed and resumed (an empty cache) gets the same bits.

    Parameters
    ----------
    oracle : callable
        List of canonical SMILES -> one float each.
    isomeric : bool
        Keep stereo marks and isotopes in the canonical form.
    size : int
        Molecules kept, least recently used out first; about 0.6 kB each.
    """

    def __init__(self, oracle: Oracle, *, isomeric: bool = False, size: int = 100_000) -> None:
        if size < 1:
            raise ValueError(f"cache_size: expected at least 1, got {size}")
        self.oracle, self.isomeric, self.size = oracle, isomeric, size
        self.failures = Failures()
        self.n_rdkit_messages = 0  # lines that RDKit wrote while texts were parsed; none of them is shown
        self._canonical: OrderedDict[str, str | None] = OrderedDict()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def look_up(self, texts: Sequence[str]) -> list[Entry | None]:
        """Return one entry per text, None where it cannot be parsed; equal molecules share an entry."""
        with quiet_rdkit() as messages:
            found = [self._look_up_one(text.strip()) for text in texts]
        self.n_rdkit_messages += messages.n
        # Trimmed after the batch, so that one batch larger than the memory still finds all of its own molecules.
        _trim(self._canonical, self.size)
        _trim(self._entries, self.size)
        return found

    def _look_up_one(self, text: str) -> Entry | None:
        if text in self._canonical:
            self._canonical.move_to_end(text)
            canonical = self._canonical[text]
        else:
            canonical = self._canonical[text] = canonicalise(text, isomeric=self.isomeric)
        if canonical is None:
            return None
        entry = self._entries.get(canonical)
        if entry is None:
            entry = self._entries[canonical] = Entry(canonical, pack_fingerprint(parse_smiles(canonical)))
        else:
            self._entries.move_to_end(canonical)
        return entry

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Return the oracle's value of each text, (n,) float64: 0 where unparsable, NaN where the oracle failed."""
        entries = self.look_up(texts)
        missing = list({e.canonical: e for e in entries if e is not None and e.score is None}.values())
        fresh = dict(zip((e.canonical for e in missing), self._ask([e.canonical for e in missing]), strict=True))
        for entry in missing:
            value = fresh[entry.canonical]
            entry.score = None if np.isnan(value) else value  # a failure may pass: the oracle is asked again next time
        return np.array([0.0 if e is None else fresh.get(e.canonical, e.score) for e in entries], dtype=np.float64)

    def _ask(self, smiles: list[str]) -> list[float]:
        if not smiles:
            return []
        scored = score_batch(lambda texts, _: self.oracle(texts), smiles)
        reasons = take_reasons(self.oracle)
        if scored.n_unscored:
            self.failures.add(scored.n_unscored, reasons or scored.failures)
        return scored.values.tolist()


def _trim(cache: OrderedDict, size: int) -> None:
    while len(cache) > size:
        cache.popitem(last=False)
