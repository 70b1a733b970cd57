"""The molecules behind a report: each objective's last samples, the prior's, and some of the corpus."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.experiments.assemble import settings_of_run, task_of
from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import is_number
from breadth.ledger.samples import read_samples

MOST = 1_000  # distinct molecules of a checkpoint that are looked at


@dataclass(frozen=True)
class MoleculeSet:
    """Distinct molecules, most frequent first, with their number of samples and their quality (None = unscored)."""

    name: str
    index: int | None  # of its colour; None: the corpus or the prior
    seed: int | None
    step: int | None
    n: int  # parsable samples
    smiles: list[str]
    counts: list[int]
    quality: list[float | None]


def is_about_molecules(evidence: Evidence) -> bool:
    """Return whether the study's task writes molecules and RDKit is there to draw them."""
    from importlib.util import find_spec

    return (evidence.summary.get("task") or {}).get("name") == "molecules" and find_spec("rdkit") is not None


def policy_sets(evidence: Evidence) -> list[MoleculeSet]:
    """Return the last samples of each objective's first seed that left some."""
    found = []
    for index, label in enumerate(evidence.labels):
        runs = sorted((run for run in evidence.of(label) if run.samples), key=lambda run: run.seed)
        if runs:
            made = _set_of(runs[0].samples, evidence.names[label], index, runs[0].seed)
            found += [made] if made.smiles else []
    return found


def _set_of(path: Path, name: str, index: int | None, seed: int | None) -> MoleculeSet:
    rows = [row for row in read_samples(path) if row["parsable"]]
    counts = Counter(row["key"] for row in rows)
    quality = {row["key"]: row["quality"] for row in reversed(rows)}
    kept = [key for key, _ in counts.most_common(MOST)]
    return MoleculeSet(
        name=name,
        index=index,
        seed=seed,
        step=rows[0]["step"] if rows else None,
        n=len(rows),
        smiles=kept,
        counts=[counts[key] for key in kept],
        quality=[quality[key] if is_number(quality[key]) else None for key in kept],
    )


def reference_set(evidence: Evidence, *, n: int = 500) -> tuple[MoleculeSet | None, str]:
    """Return some molecules of the prior's corpus, or of the prior itself where the corpus is not at hand, and a note.

    The note says why it is not the corpus; "" where it is.
    """
    runs = [run for run in evidence.runs if (evidence.folder / run.path / "config.json").is_file()]
    why = "no run left its settings"
    if runs:
        try:
            rows = _corpus_of(evidence, runs[0])
        except (
            ImportError,
            OSError,
            ValueError,
            TypeError,
        ) as error:  # moved, not installed, or a task given as an object
            why = str(error).splitlines()[0]
        else:
            some = random.Random(0).sample(rows, min(n, len(rows)))
            return MoleculeSet("corpus", None, None, None, len(some), some, [1] * len(some), [None] * len(some)), ""
    for run in evidence.runs:
        path = evidence.folder / run.path / "samples" / "step-000000.parquet"
        if path.is_file():
            made = _set_of(path, "prior (step 0)", None, run.seed)
            if made.smiles:
                return made, f"The corpus is not at hand ({why}): the prior's own samples stand in for it."
    return None, f"The corpus is not at hand ({why})."


def _corpus_of(evidence: Evidence, run: RunEvidence) -> list[str]:
    task: Any = task_of(settings_of_run(evidence.folder / run.path))
    return task.load_corpus().split("train")
