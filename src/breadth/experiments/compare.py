"""Laws and comparisons of runs that lie on disk."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.laws.composition import Composition, compose_laws
from breadth.laws.fit import fit_law
from breadth.laws.frontier import highest_common_quality
from breadth.laws.frontier_test import frontier_test
from breadth.laws.lift import lift
from breadth.laws.multiple import correct_lifts
from breadth.laws.runs import run_sets
from breadth.ledger.run import Run, find_runs, load_run
from breadth.records import FrontierTest, LawFit, Lift

LAWS = ("R-D", "R-H", "H-D")
SAMPLING = ("temperature", "top_k", "top_p")  # settings of a measurement that change what R, D and H mean


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
    """Refuse runs that did not start from the same prior, do different tasks, were measured differently, or have a seed twice.

    Raises
    ------
    ValueError
        Names the runs, and the hashes or settings that differ.
    """
    check_same_start([run for members in runs.values() for run in members])
    for label, members in runs.items():
        seeds = [run.seed for run in members]
        double = next((s for s in seeds if seeds.count(s) > 1), None)
        if double is not None:
            paths = ", ".join(str(r.path) for r in members if r.seed == double)
            raise ValueError(
                f"{label!r} has seed {double} more than once ({paths}): give runs of other settings another label"
            )


def check_same_start(runs: Sequence[Run]) -> None:
    """Refuse runs whose numbers do not mean the same: another prior, another task, another way of sampling what is measured.

    Raises
    ------
    ValueError
        Names the runs, and the hashes or settings that differ.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.prior_hash != first.prior_hash:
            raise ValueError(
                f"these runs start from different priors and cannot be compared: {first.path} from {first.prior_hash}, "
                f"{run.path} from {run.prior_hash}"
            )
        if run.settings["task"] != first.settings["task"]:
            raise ValueError(
                f"these runs do different tasks: {first.path} {first.settings['task']}, {run.path} {run.settings['task']}"
            )
        for name in SAMPLING:
            one, other = (r.settings.get("measure", {}).get(name) for r in (first, run))
            if one != other:
                raise ValueError(
                    f"these runs were measured at different measure.{name}, so their numbers do not mean the same: {first.path} "
                    f"{one}, {run.path} {other}; measure one of them again with breadth measure"
                )


def fit_group(
    runs: Sequence[Run],
    metrics: Metrics = Metrics(),
    *,
    form: str = "exponential",
    n_boot: int = 1000,
    interval: str | None = None,
    r_max: float | None = None,
) -> dict[str, LawFit]:
    """Fit R over D, R over H and H over D to the checkpoints of some runs together; blocks stay inside a run.

    Raises
    ------
    ValueError
        For runs of different priors or tasks, or measured differently.
    """
    check_same_start(runs)
    q, d, h, label, step = columns_of(runs, metrics)
    about: dict[str, Any] = {"run": label, "step": step, "n_boot": n_boot, "interval": interval}
    return {
        "R-D": fit_law(q, d, form=form, r_max=r_max, **about),
        "R-H": fit_law(q, h, form=form, r_max=r_max, x_name="H", **about),
        "H-D": fit_law(h, d, form="linear", y_name="H", **about),
    }


def columns_of(runs: Sequence[Run], metrics: Metrics, what: str = "value") -> tuple[list, list, list, list, list]:
    """Return (R, D, H, number of the run, step) over all checkpoints; ``what`` = "error" gives the standard errors."""
    q, d, h, label, step = [], [], [], [], []
    for number, run in enumerate(runs):
        columns = [
            {row["step"]: row[what] for row in run.series(m)}
            for m in (metrics.quality, metrics.diversity, metrics.entropy)
        ]
        for at in run.steps:
            for column, values in zip((q, d, h), columns, strict=True):
                column.append(values.get(at))
            label.append(number)
            step.append(at)
    return q, d, h, label, step


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
    interval: str | None = None,
    r_max: float | None = None,
) -> list[dict[str, Any]]:
    """Return fits of every run, and of all runs of an objective together (``seed`` None), as rows.

    Raises
    ------
    ValueError
        Where the runs of an objective have different priors, do different tasks, or were measured differently.
    """
    metrics = Metrics(quality, diversity, entropy)
    for members in runs.values():
        check_same_start(members)
    rows = []
    for label, members in runs.items():
        groups: list[tuple[int | None, list[Run]]] = [(run.seed, [run]) for run in members]
        if len(members) > 1:
            groups.append((None, members))
        for seed, group in groups:
            for law, fit in fit_group(group, metrics, form=form, n_boot=n_boot, interval=interval, r_max=r_max).items():
                rows.append({"objective": label, "seed": seed, "law": law, "fit": fit})
    return rows


def common_qualities(runs: dict[str, list[Run]], at_quality: Sequence[float], metrics: Metrics) -> list[float]:
    """Return the qualities at which methods are compared: those asked for, and the highest that every run with a partner reaches.

    A run whose seed no other objective has is paired with nothing: one that has only begun would drag that quality to the prior's.
    """
    counts = Counter(run.seed for members in runs.values() for run in members)
    shared = highest_common_quality(
        {
            label: [
                run_sets(run, metrics.quality, metrics.frontier_diversity)[1:]
                for run in ([r for r in members if counts[r.seed] > 1] or members)
            ]
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
    """Compare every objective with the baseline, at each quality and at the end of equal runs, corrected for their number (Holm).

    Raises
    ------
    ValueError
        Fewer than two objectives, an unknown baseline, or runs that cannot be compared.
    """
    check_comparable(runs)
    baseline = pick_baseline(runs, baseline)
    metrics = Metrics(quality=quality, frontier_diversity=diversity)
    lifts = []
    for q in [*common_qualities(runs, at_quality, metrics), None]:
        family = [
            lift(members, runs[baseline], at_quality=q, metric=diversity, margin=margin, quality_metric=quality)
            for label, members in runs.items()
            if label != baseline
        ]
        lifts += correct_lifts(family)
    return lifts


def compare_frontiers(
    runs: dict[str, list[Run]],
    *,
    baseline: str | None = None,
    margin: float = 0.02,
    diversity: str = "diversity_valid",
    quality: str = "quality",
) -> list[FrontierTest]:
    """Test every objective's attainment frontier against the baseline's; areas and hypervolumes are corrected for their number.

    Raises
    ------
    ValueError
        As :func:`compare_runs`.
    """
    check_comparable(runs)
    baseline = pick_baseline(runs, baseline)
    tests = [
        frontier_test(members, runs[baseline], metric=diversity, margin=margin, quality_metric=quality)
        for label, members in runs.items()
        if label != baseline
    ]
    for name in ("area", "hypervolume"):
        with_one = [i for i, test in enumerate(tests) if getattr(test, name) is not None]
        for i, corrected in zip(with_one, correct_lifts([getattr(tests[i], name) for i in with_one]), strict=True):
            tests[i] = dataclasses.replace(tests[i], **{name: corrected})
    return tests


def pick_baseline(runs: dict[str, list[Run]], baseline: str | None) -> str:
    """Return the baseline's label: the one named, else the first; ValueError for one objective alone or an unknown name."""
    from breadth.config import nearest

    if len(runs) < 2:
        raise ValueError(f"a comparison needs two objectives, these runs have one: {', '.join(runs)}")
    baseline = baseline or next(iter(runs))
    if baseline not in runs:
        raise ValueError(f"baseline {baseline!r} is not among the runs{nearest(baseline, runs)}")
    return baseline
