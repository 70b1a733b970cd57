"""A learning rate for each objective, chosen on seeds that the results never use; every objective gets the same budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from breadth.config import StudySettings
from breadth.experiments.runner import Job, run_jobs
from breadth.laws.frontier import diversity_at_quality, highest_reached
from breadth.laws.runs import run_sets
from breadth.ledger.run import load_run


@dataclass(frozen=True)
class Tuned:
    """The learning rates that were chosen, and what they were chosen from; empty where a study does not tune."""

    rates: Mapping[str, float] = field(default_factory=dict)
    tried: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    at_quality: float | None = None
    budget: str | None = None

    def changes(self, label: str) -> dict[str, float]:
        """Return what the search changes in an objective's ``[train]`` settings."""
        return {"learning_rate": self.rates[label]} if label in self.rates else {}

    def record(self) -> dict[str, Any] | None:
        """Return what ``summary.json`` says of the search; None where there was none."""
        if not self.rates:
            return None
        return {"at_quality": self.at_quality, "budget": self.budget, "chosen": dict(self.rates), "tried": dict(self.tried)}


def tune(settings: StudySettings, out: Path, *, workers: int, watcher: Any) -> Tuned:
    """Search the learning rates of ``study.tune`` for every objective.

    The choice is the rate with the highest mean diversity at quality ``at_quality`` on the attainment frontier, over tuning
    seeds; a rate that some seed does not reach the quality with comes after all that do. Where no rate reaches it, the highest
    quality that all its seeds reach decides.
    """
    plan = settings.study.tune
    if plan is None:
        return Tuned()
    watcher.stage("tuning")
    places = {
        (label, rate, seed): out / "tuning" / label / f"rate-{rate:g}" / f"seed-{seed}"
        for label in settings.objectives
        for rate in plan.learning_rates
        for seed in plan.seeds
    }
    jobs = [
        Job(settings.run_settings(label, seed, learning_rate=rate), folder, out / "prior") for (label, rate, seed), folder in places.items()
    ]
    run_jobs(jobs, workers=workers, on_state=watcher.runs)
    rates, tried = {}, {}
    for label in settings.objectives:
        rows = [_reading(rate, [places[label, rate, seed] for seed in plan.seeds], plan.at_quality) for rate in plan.learning_rates]
        best = max(rows, key=lambda row: (row["diversity"] is not None, row["diversity"] or 0.0, row["reached"]))
        rates[label], tried[label] = best["learning_rate"], rows
    rollouts = settings.train.prompts * settings.train.group_size
    budget = (
        f"{len(plan.learning_rates)} learning rates × {len(plan.seeds)} seeds × {settings.train.steps} steps of {rollouts} rollouts "
        f"for each of {len(settings.objectives)} objectives"
    )
    return Tuned(rates, tried, plan.at_quality, budget)


def _reading(rate: float, folders: list[Path], quality: float) -> dict[str, Any]:
    """Return what the tuning runs of one rate reached: mean D at the quality (None where a seed never got there), and least R."""
    found, reached = [], []
    for folder in folders:
        steps, r, d = run_sets(load_run(folder))
        found.append(diversity_at_quality(r, d, quality, steps).value)
        reached.append(highest_reached(r, d) or 0.0)
    diversity = None if None in found else float(np.mean([v for v in found if v is not None]))
    return {"learning_rate": rate, "diversity": diversity, "reached": min(reached), "n_seeds": len(folders)}
