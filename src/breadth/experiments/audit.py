"""The audit of a checkpoint: its samples drawn or read, and every question of :mod:`breadth.tasks.molecule_audit` asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from breadth.experiments.audit_prior import prior_facts
from breadth.experiments.drawing import draw_samples, split_run
from breadth.experiments.tilt import molecules_task, task_table
from breadth.ledger.generations import read_generations
from breadth.tasks.corpus_files import kind_of, read_rows
from breadth.tasks.molecule_audit import looks, memory_parts, neighbours, second_opinion
from breadth.tasks.molecule_sets import flat_forms
from breadth.tasks.protocol import Task

CORPUS_SETTINGS = ("corpus", "exclude", "limit", "fragments", "isomeric", "max_tokens", "n_grafts", "column")
COMPARED = 1_000  # molecules of the corpus that alerts and accessibility are compared with


def audit(
    source: str,
    *,
    settings: str | None = None,
    overrides: tuple[str, ...] = (),
    table: str | Path | None = None,
    n: int = 1000,
    at_score: float | None = None,
    split: str = "scaffold",
    seed: int = 0,
    on_phase: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Return an audit as a plain document.

    Parameters
    ----------
    source : str
        ``RUN@STEP``, or a file of generations (JSON lines, CSV, Parquet) whose rewards are used where all have one, or a list
        of SMILES (``.smi``, ``.txt``).
    settings : str, optional
        Whose task judges a file: a run or study folder, a study's name or a TOML file. Default: molecules, QED.
    overrides : "task.key=value"
        Changes of the task's settings, its corpus for example.
    table : path, optional
        The oracle's activity table. Default: the task's own; without one, what asks for it is left out.
    n : int
        Samples drawn from a checkpoint.
    at_score : float, optional
        Score of a hit; default the task's ``correct_at``.
    split : {"scaffold", "random"}
        How the table is halved for the second forests.
    seed : int
        Of the samples and the forests.

    Raises
    ------
    ValueError, FileNotFoundError
        No molecules task, no such file or checkpoint, an unreadable table.
    ImportError
        A table was given and scikit-learn is absent.
    """
    path, step = split_run(source)
    from_run = (path / "config.json").is_file()
    described = task_table(str(path) if from_run else settings, overrides)
    task = molecules_task(described)
    on_phase("samples")
    texts, scores, facts = _of_run(path, step, task, n, seed) if from_run else _of_file(path, task)
    forms = flat_forms(text.strip() for text in texts)
    at = task.describe().correct_at if at_score is None else at_score
    on_phase("corpus")
    corpus = _corpus(task)
    table = described.get("table") if table is None else table
    known = None if table is None else _read_table(table)
    on_phase("memory")
    parsable = np.array([form is not None for form in forms], dtype=bool)
    prior = prior_facts(path if from_run else None, task, corpus=corpus, known=known, changed=_changed(path, described) if from_run else ())
    parts = memory_parts(forms, scores, corpus=corpus, table=set(known.smiles) if known else (), at_score=at)
    good = [form for form in forms if form is not None]
    distinct = list(dict.fromkeys(good))
    found: dict[str, Any] = {
        **facts,
        "oracle": task.describe().quality,
        "corpus": {"source": str(described.get("corpus") or "zero-data default"), "n": len(corpus)},
        "table": None
        if known is None
        else {"source": str(table), "n": len(known.smiles), "n_active": int(known.active.sum())},
        "prior": prior,
        "at_score": at,
        "n_unscored": int(np.isnan(scores).sum()),
        "parts": [asdict(part) for part in parts],
        "memorised_share": _share(sum(part.n for part in parts if part.name == "in_corpus"), len(good)),
        "known_share": 1 - _share(next(part.n for part in parts if part.name == "novel"), len(good)) if good else None,
        "nearest_active": None,
        "nearest_active_novel": None,
        "second_opinion": None,
    }
    if known is not None and good:
        on_phase("nearest actives")
        actives = [s for s, active in zip(known.smiles, known.active.tolist(), strict=True) if active]
        novel = [form for form in good if form not in corpus and form not in set(known.smiles)]
        found["nearest_active"], found["nearest_active_novel"] = neighbours(good, actives), neighbours(novel, actives)
        on_phase("forests on halves of the table")
        found["second_opinion"] = second_opinion(good, scores[parsable], known, by=split, seed=seed)
    on_phase("alerts")
    some = random.Random(seed).sample(sorted(corpus), min(COMPARED, len(corpus)))
    found["looks"] = {"samples": looks(distinct), "corpus": looks(some)}
    return found


def _changed(path: Path, described: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the settings of the corpus that are not those of the run."""
    own = task_table(str(path))
    return tuple(name for name in CORPUS_SETTINGS if own.get(name) != described.get(name))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _of_run(
    path: Path, step: int | None, task: Task, n: int, seed: int
) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    drawn = draw_samples(path, step=step, n=n, seed=seed, task=task)
    scores = np.array([np.nan if q is None else q for q in drawn.quality])
    return drawn.text, scores, {"source": str(path), "step": drawn.step, "seed": seed, "n": len(drawn.text)}


def _of_file(path: Path, task: Task) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    if kind_of(path) in (".smi", ".ism", ".txt"):  # a list of SMILES without anything beside them
        texts: list[str] = [row.text for row in read_rows(path)]
        given: list[float | None] = [None] * len(texts)
    else:
        rows = list(read_generations(path))
        texts, given = [row.response for row in rows], [row.reward for row in rows]
    if not texts:
        raise ValueError(f"{path}: expected molecules, got none")
    if any(r is None for r in given):
        scores, whose = np.asarray(task.score(texts), dtype=float), "the task's oracle"
    else:
        scores, whose = np.array(given, dtype=float), "rewards of the file"
    return texts, scores, {"source": str(path), "step": None, "seed": None, "n": len(texts), "scores": whose}


def _corpus(task: Task) -> set[str]:
    """Return the flat forms of the prior's molecules, both splits."""
    corpus = task.load_corpus()
    everything = [*corpus.train, *corpus.valid]
    if not getattr(task, "isomeric", False):
        return set(everything)
    return {form for form in flat_forms(everything) if form is not None}


def _read_table(table: str | Path) -> Any:
    from breadth.tasks.oracles.activity import read_activity
    from breadth.tasks.oracles.fitting import find_table

    return read_activity(find_table(table, ""))


def verdict_of(found: Mapping[str, Any]) -> list[str]:
    """Return the audit in sentences."""
    parts = {part["name"]: part for part in found["parts"]}
    novel, whole = parts["novel"], parts["parsable"]
    lines = []
    if found["known_share"] is not None:
        lines.append(
            f"{found['known_share']:.1%} of the parsable samples are known molecules ({found['memorised_share']:.1%} stand in the "
            f"corpus); on the novel ones R is {_number(novel['quality'])} (raw {_number(whole['quality'])}), D "
            f"{_number(novel['diversity'])} (raw {_number(whole['diversity'])}), {novel['hits']} hits (raw {whole['hits']})."
        )
    makeable = parts["novel_makeable"]
    if novel["hits"]:
        lines.append(
            f"Of the {novel['hits']} novel hits {makeable['hits']} look makeable (synthetic accessibility 6 or less), "
            f"{makeable['diverse_hits']} of those far from each other (of all {novel['diverse_hits']})."
        )
    if found.get("prior"):
        lines.append(found["prior"]["sentence"])
    second = found["second_opinion"]
    if second:
        held = (second["first"] + second["second"]) / 2
        lines.append(
            f"Forests that saw one half of the table each ({second['split']} halves) give the samples {held:.3f}, the oracle "
            f"{second['oracle']:.3f}: a gap of {second['gap']:+.3f}. Actives that those forests have not seen get "
            f"{second['unseen_actives']:.3f}."
        )
    near = found["nearest_active_novel"]
    if near and near["median"] is not None:
        lines.append(
            f"The novel samples' nearest known active has a median similarity of {near['median']:.2f}; {near['close_share']:.0%} "
            f"have one at 0.4 or more, spread over {near['n_nearest']} actives."
        )
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
