"""What an audited run's prior learned from: whether the oracle's own molecules were in it."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from breadth.engine.checkpoint import CheckpointError
from breadth.experiments.assemble import prior_of_run
from breadth.tasks.protocol import Task


def prior_facts(
    run: Path | None, task: Task, *, corpus: Collection[str], known: Any, changed: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what is known of the prior's corpus, and a sentence that says it.

    Parameters
    ----------
    run : Path, optional
        The run folder; None for a file of molecules, whose prior is not known.
    task : Task
        Whose corpus the samples are compared with.
    corpus : set of flat canonical SMILES
        That corpus, both splits.
    known : ActivityTable or None
        The oracle's table.
    changed : names
        Settings of the corpus that were changed for the audit: it is then not the one of the run.

    Returns
    -------
    dict
        ``is_its_corpus`` (True, False, None = not recorded), ``excluded`` (what ``task.exclude`` took out of the prior's corpus, with
        ``n``; None = nothing, or not recorded), ``table_in_corpus`` and ``actives_in_corpus`` (of the table's molecules, in the corpus
        that the audit compares with; None without a table), ``sentence``.
    """
    recorded, own = (None, False) if run is None else _recorded(run)
    if recorded is not None:
        same: bool | None = recorded["identity"] == task.corpus_identity()
    else:
        same = not changed if own else None
    excluded = (recorded or {}).get("exclude")
    if recorded is None and same:
        excluded = (task.corpus_facts() or {}).get("exclude")
    found: dict[str, Any] = {
        "is_its_corpus": same,
        "excluded": excluded,
        "table_in_corpus": None,
        "actives_in_corpus": None,
    }
    if known is not None:
        inside = [smiles in corpus for smiles in known.smiles]
        found["table_in_corpus"] = sum(inside)
        found["actives_in_corpus"] = sum(
            bool(a) for a, there in zip(known.active.tolist(), inside, strict=True) if there
        )
    return {**found, "sentence": _sentence(found, recorded, known)}


def _recorded(run: Path) -> tuple[dict[str, Any] | None, bool]:
    """Return what the prior's folder says of its corpus, and whether the prior was made from the run's own settings."""
    own = (json.loads((run / "config.json").read_text()).get("prior") or {}).get("path") is None
    try:
        path = prior_of_run(run) / "breadth.json"
    except (CheckpointError, FileNotFoundError):
        return None, own
    facts = json.loads(path.read_text()) if path.is_file() else {}
    corpus = facts.get("corpus")
    return (corpus if isinstance(corpus, dict) and "identity" in corpus else None), own


def _sentence(found: dict[str, Any], recorded: dict[str, Any] | None, known: Any) -> str:
    without = found["excluded"]
    how = "" if without is None else f"without the molecules of {without['source']} ({without['n']:,} taken out)"
    if found["is_its_corpus"] is False:
        named = (
            ""
            if recorded is None
            else f" (that was {recorded['source']}, {recorded['n_train'] + recorded['n_valid']:,} molecules{how and ', ' + how})"
        )
        return (
            f"The corpus of this audit is not the one that the prior learned from{named}: what is called novel here may be memory. Name the "
            "prior's own with --corpus and --set task.exclude=FILE."
        )
    start = f"The prior was trained {how}. " if how else ""
    unsure = (
        ""
        if found["is_its_corpus"]
        else "Which molecules the prior learned from is not recorded; taking the corpus of this audit for them: "
    )
    if known is None:
        return unsure + (
            start or "No table was given: whether the prior's corpus holds the oracle's own molecules is not known."
        )
    counts = (
        f"{found['table_in_corpus']:,} of the {len(known.smiles):,} molecules of the oracle's table stand in its corpus, "
        f"{found['actives_in_corpus']:,} of {int(known.active.sum()):,} actives"
    )
    remedy = (
        ""
        if not found["actives_in_corpus"]
        else ": a prior without them is trained with task.exclude (breadth pretrain --exclude TABLE)"
    )
    return f"{unsure}{start}{counts}{remedy}."
