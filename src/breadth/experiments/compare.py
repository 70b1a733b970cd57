"""Laws and comparisons of runs that lie on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.laws.composition import Composition, compose_laws
from breadth.laws.fit import fit_law
from breadth.laws.frontier import highest_common_quality
from breadth.laws.lift import lift
from breadth.laws.runs import run_sets
from breadth.ledger.run import Run, find_runs, load_run
from breadth.records import LawFit, Lift

LAWS = ("R-D", "R-H", "H-D")


@dataclass(frozen=True)
class Metrics:
    """Which ledger metrics are read as R, D and H: for the laws, and (``frontier_diversity``) for the frontier."""

    quality: str = "quality"
    diversity: str = "diversity"
    entropy: str = "policy_entropy"
    frontier_diversity: str = "diversity_valid"


def load_runs(paths: Sequence[Path]) -> dict[str, list[Run]]:
    """Return the runs at or below some paths, by label, in the order in which they were named; seeds ascending.

    Raises
    ------
    FileNotFoundError
        Where a path has no run at or below it.
    """
    found: dict[str, list[Run]] = {}
    seen: set[Path] = set()
    for path in paths:
        folders = find_runs(path)
        if not folders:
            raise FileNotFoundError(f"{path}: no run folder there (a run folder holds config.json and ledger.jsonl)")
        for folder in folders:
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            run = load_run(folder)
            found.setdefault(run.label, []).append(run)
    return {label: sorted(runs, key=lambda r: r.seed) for label, runs in found.items()}


def check_comparable(runs: dict[str, list[Run]]) -> None:
    """Refuse runs that did not start from the same prior, that do different tasks, or that have a seed twice.

    Raises
    ------
    ValueError
        Names the runs, and the hashes or settings that differ.
    """
    every = [run for members in runs.values() for run in members]
    first = every[0]
    for run in every[1:]:
        if run.prior_hash != first.prior_hash:
            raise ValueError(
                f"these runs start from different priors and cannot be compared: {first.path} from {first.prior_hash}, "
                f"{run.path} from {run.prior_hash}"
            )
        if run.settings["task"] != first.settings["task"]:
            raise ValueError(
                f"these runs do different tasks: {first.path} {first.settings['task']}, {run.path} {run.settings['task']}"
            )
    for label, members in runs.items():
        seeds = [run.seed for run in members]
        double = next((s for s in seeds if seeds.count(s) > 1), None)
        if double is not None:
            paths = ", ".join(str(r.path) for r in members if r.seed == double)
            raise ValueError(
                f"{label!r} has seed {double} more than once ({paths}): give runs of other settings another label"
            )


def fit_group(
    runs: Sequence[Run], metrics: Metrics = Metrics(), *, form: str = "exponential", n_boot: int = 1000
) -> dict[str, LawFit]:
    """Fit R over D, R over H and H over D to the checkpoints of some runs together; blocks stay inside a run."""
    q, d, h, label, step = [], [], [], [], []
    for number, run in enumerate(runs):
        columns = [
            {row["step"]: row["value"] for row in run.series(m)}
            for m in (metrics.quality, metrics.diversity, metrics.entropy)
        ]
        for at in run.steps:
            for column, values in zip((q, d, h), columns, strict=True):
                column.append(values.get(at))
            label.append(number)
            step.append(at)
    about: dict[str, Any] = {"run": label, "step": step, "n_boot": n_boot}
    return {
        "R-D": fit_law(q, d, form=form, **about),
        "R-H": fit_law(q, h, form=form, x_name="H", **about),
        "H-D": fit_law(h, d, form="linear", y_name="H", **about),
    }


def compose(fits: dict[str, LawFit]) -> Composition | None:
    """Return the composed law, or None where the fits are not exponential."""
    if fits["R-H"].form != "exponential":
        return None
    return compose_laws(fits["R-H"], fits["H-D"], fits["R-D"])


def fit_runs(
    runs: dict[str, list[Run]],
    *,
    form: str = "exponential",
    quality: str = "quality",
    diversity: str = "diversity",
    entropy: str = "policy_entropy",
    n_boot: int = 1000,
) -> list[dict[str, Any]]:
    """Return fits of every run, and of all runs of an objective together (``seed`` None), as rows."""
    metrics = Metrics(quality, diversity, entropy)
    rows = []
    for label, members in runs.items():
        groups: list[tuple[int | None, list[Run]]] = [(run.seed, [run]) for run in members]
        if len(members) > 1:
            groups.append((None, members))
        for seed, group in groups:
            for law, fit in fit_group(group, metrics, form=form, n_boot=n_boot).items():
                rows.append({"objective": label, "seed": seed, "law": law, "fit": fit})
    return rows


def common_qualities(runs: dict[str, list[Run]], at_quality: Sequence[float], metrics: Metrics) -> list[float]:
    """Return the qualities at which methods are compared: those asked for, and the highest that every run reaches."""
    shared = highest_common_quality(
        {
            label: [run_sets(run, metrics.quality, metrics.frontier_diversity)[1:] for run in members]
            for label, members in runs.items()
        }
    )
    found = set(at_quality)
    if shared is not None:
        found.add(int(shared * 1000) / 1000)  # rounded down: still reached
    return sorted(found)


def compare_runs(
    runs: dict[str, list[Run]],
    *,
    baseline: str | None = None,
    at_quality: Sequence[float] = (0.9, 0.95),
    margin: float = 0.02,
    diversity: str = "diversity_valid",
    quality: str = "quality",
) -> list[Lift]:
    """Compare every objective with the baseline, at each quality and at the end of equal runs.

    Raises
    ------
    ValueError
        Fewer than two objectives, an unknown baseline, or runs that cannot be compared.
    """
    from breadth.config import nearest

    check_comparable(runs)
    if len(runs) < 2:
        raise ValueError(f"a comparison needs two objectives, these runs have one: {', '.join(runs)}")
    baseline = baseline or next(iter(runs))
    if baseline not in runs:
        raise ValueError(f"baseline {baseline!r} is not among the runs{nearest(baseline, runs)}")
    metrics = Metrics(quality=quality, frontier_diversity=diversity)
    lifts = []
    for q in [*common_qualities(runs, at_quality, metrics), None]:
        for label in runs:
            if label != baseline:
                lifts.append(
                    lift(
                        runs[label],
                        runs[baseline],
                        at_quality=q,
                        metric=diversity,
                        margin=margin,
                        quality_metric=quality,
                    )
                )
    return lifts
