"""The corpus-tilt frontier of a task: its corpus scored by its oracle, tilted to wanted qualities, measured."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from breadth import catalogue
from breadth.config import Kind, apply_overrides, read_toml
from breadth.experiments.assemble import make, study_file
from breadth.ledger.rows import write_atomic
from breadth.tasks.corpus_files import text_lines
from breadth.tasks.corpus_tilt import beta_for, tilt_point
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch

TARGETS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
TOPS = (0.5, 0.8, 0.9)

CHUNK = 2_000
UNSCORED_LIMIT = 0.5


def task_table(source: str | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the ``[task]`` table of a run folder, a study folder, a study's name or a TOML file; None: molecules.

    Raises
    ------
    ConfigError
        No such study or file, or an override that cannot be read.
    ValueError
        The file has no task, or another one than molecules.
    """
    if source is None:
        found: Mapping[str, Any] = {"kind": "molecules"}
    else:
        folder = Path(source)
        settings = next((folder / name for name in ("config.json", "study.json") if (folder / name).is_file()), None)
        data = json.loads(settings.read_text()) if settings is not None else read_toml(study_file(source))
        found = data.get("task") or {}
    table = apply_overrides({"task": dict(found)}, overrides)["task"]
    if table.get("kind") != "molecules":
        raise ValueError(f"expected the settings of a molecules task, got kind {table.get('kind')!r} from {source}")
    return table


def molecules_task(table: Mapping[str, Any]) -> Task:
    """Return the task that a ``[task]`` table describes."""
    return make(Kind.model_validate(dict(table)), catalogue.task)


def read_scores(path: Path) -> dict[str, float]:
    """Return SMILES -> score of a CSV with the columns ``smiles`` and ``score`` (also ``.gz``); an empty score is NaN.

    Raises
    ------
    ValueError
        Other columns, or a score that is no number, with its line; a damaged or binary file.
    """
    found = {}
    rows = csv.reader(text_lines(path))
    try:
        if next(rows, None) != ["smiles", "score"]:
            raise ValueError(f"{path}: expected the columns smiles,score")
        for cells in rows:
            try:
                smiles, score = cells
                found[smiles] = float(score) if score else float("nan")
            except ValueError:
                raise ValueError(f"{path}, line {rows.line_num}: expected a SMILES and a number, got {str(cells):.120}") from None
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: not readable as CSV ({error})") from None
    return found


def write_scores(path: Path, scores: Mapping[str, float]) -> None:
    """Write what :func:`read_scores` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["smiles", "score"])
    writer.writerows((smiles, "" if np.isnan(score) else repr(float(score))) for smiles, score in scores.items())
    data = text.getvalue().encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def write_molecules(path: Path, smiles: Sequence[str], score: np.ndarray, *, at_least: float) -> int:
    """Write the molecules with at least a score, best first and equal ones by their SMILES, and return how many they are.

    Lines of ``prompt`` (empty), ``completion`` and ``score`` in JSON: what ``sft.path`` and ``train.replay_from`` read.

    Raises
    ------
    ValueError
        There is none.
    """
    places = sorted(np.flatnonzero(score >= at_least).tolist(), key=lambda i: (-score[i], smiles[i]))
    if not places:
        raise ValueError(f"at_least: no molecule has a score of {at_least:g} or more, the best has {score.max():.3f}")
    lines = [json.dumps({"prompt": "", "completion": smiles[i], "score": float(score[i])}) for i in places]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, ("\n".join(lines) + "\n").encode())
    return len(places)


def score_corpus(
    task: Task,
    smiles: Sequence[str],
    *,
    kept: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the oracle's score of each molecule, (n,) float64 with NaN where it failed, and the reasons.

    Parameters
    ----------
    kept : Path, optional
        A file of scores: what it holds is not asked for again; what is asked for is added to it.
    """
    known = read_scores(kept) if kept is not None and kept.is_file() else {}
    missing = [text for text in smiles if text not in known]
    failures: list[str] = []
    for low in range(0, len(missing), CHUNK):
        part = missing[low : low + CHUNK]
        # The oracle itself, not the task's cache: these texts are canonical and each stands here once.
        scored = score_batch(lambda texts, _: task.molecules.oracle(texts), part)
        known.update(zip(part, scored.values.tolist(), strict=True))
        failures += scored.failures
        on_progress(min(low + CHUNK, len(missing)), len(missing))
    if kept is not None and missing:
        write_scores(kept, known)
    return np.array([known[text] for text in smiles]), tuple(dict.fromkeys(failures))


def tilt_frontier(
    task: Task,
    *,
    targets: Sequence[float] = TARGETS,
    betas: Sequence[float] = (),
    scores: Path | None = None,
    most: int = 20_000,
    seed: int = 0,
    molecules: Path | None = None,
    at_least: float | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Return the corpus-tilt frontier as a plain document (the content of ``tilt.json``).

    Parameters
    ----------
    task : Task
        Molecules; its corpus (training split, without what its setting ``exclude`` takes out) and its oracle.
    targets : floats
        Mean scores R for which β is solved; those out of reach are named with the reason.
    betas : floats
        Further points; 0, the corpus as it is, is always the first.
    scores : Path, optional
        Where scores are kept between calls.
    most, seed
        As in :func:`breadth.tasks.corpus_tilt.tilt_point`.
    molecules, at_least : Path and float, optional
        Where the molecules with at least that score are written, see :func:`write_molecules`.

    Raises
    ------
    ValueError
        Nothing is left of the corpus, no molecule has the score ``at_least``, or more than half of it could not be scored.
    """
    from breadth.tasks.corpus_exclusion import EXCLUDED
    from breadth.tasks.fingerprints import pack_fingerprints

    corpus = task.load_corpus()
    smiles = corpus.split("train")
    values, failures = score_corpus(task, smiles, kept=scores, on_progress=on_progress)
    scored = np.flatnonzero(~np.isnan(values))
    if len(scored) <= UNSCORED_LIMIT * len(smiles):
        raise ValueError(
            f"tilt: {len(smiles) - len(scored):,} of {len(smiles):,} molecules could not be scored: {'; '.join(failures[:3])}"
        )
    score = values[scored]
    written = {}
    if molecules is not None and at_least is not None:
        n = write_molecules(molecules, [smiles[i] for i in scored], score, at_least=at_least)
        written = {"written": {"path": str(molecules), "at_least": at_least, "n": n}}

    def fingerprints(places: np.ndarray) -> np.ndarray:
        return pack_fingerprints([smiles[i] for i in scored[places].tolist()])

    solved = [(target, beta_for(score, target)) for target in targets]
    wanted = sorted({0.0, *map(float, betas), *(beta for _, beta in solved if beta is not None)})
    points = [asdict(tilt_point(score, beta, fingerprints, most=most, seed=seed)) for beta in wanted]
    return {
        "task": task.describe().name,
        "oracle": task.describe().quality,
        "corpus": {"source": corpus.report.source, "sha256": corpus.report.sha256, "n": len(smiles)},
        "n_excluded": corpus.report.dropped.get(EXCLUDED, 0),
        "n": len(score),
        "n_unscored": len(smiles) - len(score),
        "failures": list(failures[:10]),
        "quality": float(score.mean()),
        "best": float(score.max()),
        "targets": [{"quality": t, "beta": b, "reason": None if b is not None else _why(score, t)} for t, b in solved],
        "points": points,
        "tops": [_top(score, at, fingerprints, most) for at in TOPS],
        **written,
    }


def _why(score: np.ndarray, target: float) -> str:
    if target < score.mean():
        return f"below the corpus mean of {score.mean():.3f}"
    return f"not reached: the best molecule of the corpus has {score.max():.3f}"


def _top(score: np.ndarray, at: float, fingerprints: Callable[[np.ndarray], np.ndarray], most: int) -> dict[str, Any]:
    """Return how many molecules score at least ``at``, and how wide they are."""
    from breadth.tasks.fingerprints import mean_tanimoto_distance
    from breadth.tasks.molecule_sets import CIRCLE_DISTANCE, n_circles

    places = np.flatnonzero(score >= at)
    row: dict[str, Any] = {"at": at, "n": len(places), "quality": None, "diversity": None, "circles": None}
    if 2 <= len(places) <= most:
        packed = fingerprints(places)
        row |= {"quality": float(score[places].mean()), "diversity": mean_tanimoto_distance(packed)}
        row |= {"circles": n_circles(packed), "circle_distance": CIRCLE_DISTANCE}
    return row
