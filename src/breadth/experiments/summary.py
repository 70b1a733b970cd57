"""``summary.json``: everything a study found, in one document; its keys are described in docs/formats.md."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from breadth import __version__
from breadth.config import StudySettings
from breadth.engine.checkpoint import CheckpointError
from breadth.experiments.assemble import Prior, objective_of, prior_of_run, settings_of_run, task_of
from breadth.experiments.compare import (
    Metrics,
    check_comparable,
    common_qualities,
    compare_frontiers,
    compare_runs,
    compose,
    fit_group,
)
from breadth.experiments.verdict import verdict_sentence
from breadth.laws.frontier import attainment_curve, diversity_at_quality
from breadth.laws.prediction import predict_band
from breadth.laws.runs import run_sets
from breadth.ledger.events import command, commit, machine_facts
from breadth.ledger.rows import finite
from breadth.ledger.run import Run, load_run
from breadth.records import LawFit
from breadth.tasks.protocol import Task

GRID = 61  # qualities at which the frontier is drawn
BAND = 80  # points of a law's curve
MIDDLE = 0.975  # upper quantile of a 95 % interval


def summarise(out: Path, settings: StudySettings, prior: Prior, task: Task) -> dict[str, Any]:
    """Return the summary of a study whose runs lie in ``out``; ``seconds`` are added by whoever kept the time."""
    runs = {
        label: [load_run(out / "runs" / label / f"seed-{seed}") for seed in settings.study.seeds]
        for label in settings.objectives
    }
    head = settings.study
    metrics = Metrics(diversity=head.diversity, frontier_diversity=head.frontier_diversity)
    found = _summary(
        runs,
        folder=out,
        task=task,
        metrics=metrics,
        baseline=head.baseline or next(iter(settings.objectives)),
        at_quality=head.at_quality,
        margin=head.margin,
        n_boot=head.n_boot,
        interval=head.interval,
    )
    first = next(iter(runs.values()))[0]
    return {
        **found,
        "study": settings.name,
        "title": head.title or settings.name,
        "settings": settings.model_dump(mode="json"),
        "prior": {
            "hash": prior.key,
            "from_cache": prior.from_cache,
            "seconds": prior.seconds,
            **prior.facts,
            **{
                name: _number(first.at(0).get(name))
                for name in ("quality", "diversity", "diversity_valid", "policy_entropy")
            },
        },
    }


def summarise_runs(
    runs: Mapping[str, list[Run]], *, folder: Path, baseline: str | None = None, metrics: Metrics | None = None
) -> tuple[dict[str, Any], Task | None]:
    """Return the summary of any runs, and their task (None where it was an object of the user's own)."""
    first = next(iter(runs.values()))[0]
    settings = settings_of_run(first.path)
    task = None if settings.task.kind.startswith("object:") else task_of(settings)
    found = _summary(
        dict(runs),
        folder=folder,
        task=task,
        metrics=metrics or Metrics(),
        baseline=baseline or next(iter(runs)),
        at_quality=(0.9, 0.95),
        margin=0.02,
        n_boot=1000,
    )
    facts_path = _prior_facts(first.path)
    prior = {
        "hash": first.prior_hash,
        "from_cache": None,
        "seconds": None,
        **(json.loads(facts_path.read_text()) if facts_path is not None and facts_path.is_file() else {}),
        **{
            name: _number(first.at(0).get(name))
            for name in ("quality", "diversity", "diversity_valid", "policy_entropy")
        },
    }
    summary = {
        **found,
        "study": first.study,
        "title": first.study,
        "settings": first.settings,
        "prior": prior,
        "seconds": {},
    }
    return summary, task


def _prior_facts(run: Path) -> Path | None:
    """Return the file of facts about a run's prior; None where the run names none, or was moved without it: a summary needs no weights."""
    if not (run / "prior.json").is_file():
        return None
    try:
        return prior_of_run(run) / "breadth.json"
    except CheckpointError:
        return None


def _summary(
    runs: dict[str, list[Run]],
    *,
    folder: Path,
    task: Task | None,
    metrics: Metrics,
    baseline: str,
    at_quality: Sequence[float],
    margin: float,
    n_boot: int,
    interval: str | None = None,
) -> dict[str, Any]:
    check_comparable(runs)
    qualities = common_qualities(runs, at_quality, metrics)
    lifts = (
        compare_runs(
            runs,
            baseline=baseline,
            at_quality=at_quality,
            margin=margin,
            diversity=metrics.frontier_diversity,
            quality=metrics.quality,
        )
        if len(runs) > 1
        else []
    )
    tests = []
    if len(runs) > 1:
        tests = compare_frontiers(
            runs, baseline=baseline, margin=margin, diversity=metrics.frontier_diversity, quality=metrics.quality
        )
    how = {"n_boot": n_boot, "interval": interval}
    objectives = {label: _objective(members, folder, metrics, qualities, how) for label, members in runs.items()}
    summary = {
        "breadth": __version__,
        "commit": commit(),
        "command": command(),
        "machine": machine_facts(),
        "task": None if task is None else dataclasses.asdict(task.describe()),
        "metrics": dataclasses.asdict(metrics),
        "baseline": baseline,
        "objectives": objectives,
        "comparisons": [dataclasses.asdict(x) for x in lifts],
        "frontier": {
            "metric": metrics.frontier_diversity,
            "qualities": qualities,
            "curves": _frontier(runs, metrics),
            "tests": [dataclasses.asdict(x) for x in tests],
        },
    }
    return {**summary, "verdict": verdict_sentence(summary)}


def _objective(
    runs: list[Run], folder: Path, metrics: Metrics, qualities: Sequence[float], how: Mapping[str, Any]
) -> dict[str, Any]:
    first = settings_of_run(runs[0].path)
    objective = objective_of(first)
    per_run = [_run(run, folder, metrics, qualities, how) for run in runs]
    names = list(dict.fromkeys(m for run in runs for m in run.metrics))
    pooled = fit_group(runs, metrics, **how)
    return {
        "kind": first.objective.kind,
        "title": objective.title,
        "settings": {"objective": dict(objective.settings), "train": first.train.model_dump(mode="json")},
        "source": objective.source,
        "pieces": [str(piece) for piece in objective.pieces],
        "runs": per_run,
        "final": {name: over_seeds([(r["final"].get(name) or {}).get("value") for r in per_run]) for name in names},
        "at_quality": [
            {
                "quality": q,
                **over_seeds(
                    [next(a for a in r["at_quality"] if a["quality"] == q)["diversity"]["value"] for r in per_run]
                ),
            }
            for q in qualities
        ],
        "fits": {law: _fit(fit) for law, fit in pooled.items()},
        "composition": _composition(pooled),
    }


def _run(run: Run, folder: Path, metrics: Metrics, qualities: Sequence[float], how: Mapping[str, Any]) -> dict[str, Any]:
    steps, quality_sets, diversity_sets = run_sets(run, metrics.quality, metrics.frontier_diversity)
    fits = fit_group([run], metrics, **how)
    last = run.steps[-1]
    at = []
    for q in qualities:
        found = diversity_at_quality(quality_sets, diversity_sets, q, steps)
        at.append(
            {
                "quality": q,
                "step": found.steps[0] if found.steps else None,
                "steps": list(found.steps),
                "diversity": {"value": finite(found.value), "error": finite(found.error), "n": found.n},
                "reason": found.reason,
            }
        )
    return {
        "seed": run.seed,
        "path": _relative(run.path, folder),
        "steps": last,
        "complete": run.complete,
        "seconds": _seconds(run),
        "final": {"step": last, **{name: _number(row) for name, row in run.at(last).items()}},
        "at_quality": at,
        "fits": {law: _fit(fit) for law, fit in fits.items()},
        "composition": _composition(fits),
    }


def over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Return the mean over seeds with its Student-t 95 % interval.

    Seeds without a value take no part and are not counted; ``low`` and ``high`` are None below two seeds.

    Examples
    --------
    >>> over_seeds([0.5, None])
    {'value': 0.5, 'low': None, 'high': None, 'n_seeds': 1}
    """
    known = np.array([v for v in values if v is not None], dtype=float)
    if not len(known):
        return {"value": None, "low": None, "high": None, "n_seeds": 0}
    mean = float(known.mean())
    if len(known) < 2:
        return {"value": mean, "low": None, "high": None, "n_seeds": 1}
    half = float(student.ppf(MIDDLE, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return {"value": mean, "low": mean - half, "high": mean + half, "n_seeds": len(known)}


def _frontier(runs: Mapping[str, list[Run]], metrics: Metrics) -> dict[str, Any]:
    """Return each objective's attainment curve, mean over its seeds where every seed reaches the quality."""
    sets = {
        label: [run_sets(run, metrics.quality, metrics.frontier_diversity) for run in members]
        for label, members in runs.items()
    }
    means = [
        np.mean([v for v in row if v is not None])
        for members in sets.values()
        for _, q, _ in members
        for row in q
        if any(v is not None for v in row)
    ]
    low, high = float(min(means)), float(max(means))
    grid = np.linspace(low, high, GRID)
    curves = {}
    for label, members in sets.items():
        by_run = [[finite(a.value) for a in attainment_curve(q, d, grid, steps)] for steps, q, d in members]
        points = [over_seeds(values) if None not in values else over_seeds([]) for values in zip(*by_run, strict=True)]
        curves[label] = {
            "quality": grid.tolist(),
            "diversity": [p["value"] for p in points],
            "low": [p["low"] for p in points],
            "high": [p["high"] for p in points],
            "n_seeds": [p["n_seeds"] for p in points],
            "seeds": by_run,
        }
    return curves


def _number(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {"value": row["value"], "error": row["error"], "n": row["n"], "unit": row["unit"]}


def _fit(fit: LawFit) -> dict[str, Any]:
    """Return a fit as plain data, with the curve and band to be drawn."""
    data = {
        f.name: getattr(fit, f.name) for f in dataclasses.fields(fit) if f.name not in ("draws", "params", "x", "y")
    }
    data["params"] = {name: {k: finite(v) for k, v in dataclasses.asdict(p).items()} for name, p in fit.params.items()}
    for name in ("r2", "rmse", "rmse_x", "lack_of_fit_p"):
        data[name] = finite(data[name])
    data["rivals"] = {name: finite(v) for name, v in fit.rivals.items()}
    data["x"], data["y"] = list(fit.x), list(fit.y)
    if fit.r2 is not None and fit.x:
        x = np.linspace(min(fit.x), max(fit.x), BAND)
        value, low, high = predict_band(fit, x.tolist())
        data["band"] = {
            "x": x.tolist(),
            **{k: [finite(v) for v in values] for k, values in (("value", value), ("low", low), ("high", high))},
        }
    else:
        data["band"] = None
    return data


def _composition(fits: dict[str, LawFit]) -> dict[str, Any] | None:
    found = compose(fits)
    if found is None:
        return None
    data = dataclasses.asdict(found)
    return {k: finite(v) if isinstance(v, float) else v for k, v in data.items()} | {
        "direct": {k: finite(v) for k, v in found.direct.items()}
    }


def _seconds(run: Run) -> float | None:
    """Return the seconds that a run took in all, where it was never interrupted; None otherwise."""
    path = run.path / "events.jsonl"
    if not path.is_file():
        return None
    events = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:  # a crash can cut an event; only timings rest on them
            continue
    done = [e for e in events if e.get("event") == "finished"]
    resumed = any(e.get("event") == "resumed" for e in events)
    return done[-1]["seconds"] if done and not resumed else None


def _relative(path: Path, folder: Path) -> str:
    resolved, root = path.resolve(), folder.resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved)
