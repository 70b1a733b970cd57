"""Frontier against frontier: the difference over a range of qualities with a simultaneous band, its area, the hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from breadth.laws.frontier import attainment_matrix, highest_reached
from breadth.laws.lift import lift_from_values
from breadth.laws.runs import by_seed, run_sets
from breadth.laws.simultaneous import LEAST_SEEDS, simultaneous_band
from breadth.records import FrontierTest, Lift

GRID = 41  # qualities


def frontier_test(
    runs_a: Any,
    runs_b: Any,
    *,
    metric: str = "diversity_valid",
    quality_metric: str = "quality",
    margin: float = 0.02,
    seed: int = 0,
) -> FrontierTest:
    """Return the attainment frontier of A minus that of B, paired over seeds, at an equal sample budget.

    At each quality q of a grid from the prior's quality to the highest that every run reaches, D is read as
    :func:`breadth.laws.frontier.diversity_at_quality` reads it. Budget: the fewest rollouts that any run made; only
    checkpoints that all runs measured within it count, each with the fewest sample sets that any has.

    Parameters
    ----------
    runs_a, runs_b : a run or a sequence of runs
        As :func:`breadth.lift` takes them. With ``settings`` a step is ``train.prompts · train.group_size`` rollouts; without,
        budgets are in steps.
    metric, quality_metric : str
        Ledger names of D and R.
    margin : float
        δ of "the same within δ", in units of D, for the area and the hypervolume.
    seed : int
        Of the band's simulation.

    Returns
    -------
    FrontierTest
        ``low``, ``high`` hold a simultaneous 95 % band (:func:`breadth.laws.simultaneous.simultaneous_band`) from three pairs
        on. ``area`` is a paired t-test of the mean of D over that range of qualities, ``hypervolume`` of the mean of D from the
        prior's quality to the highest that any run reaches, D = 0 where a run does not; both with one of the four verdicts.
        Where a run never gets beyond the prior's quality, or fewer than two seeds are shared, there is no curve and the
        sentence says why.

    Raises
    ------
    TypeError, ValueError
        As :func:`breadth.lift`.

    Source: this project's; the area between attainment functions after Fonseca and Fleming (1996); hypervolume after Zitzler
    and Thiele (1999). Departures: over seeds by Student's t, not by ranks.

    Examples
    --------
    >>> class Run:
    ...     def __init__(self, label, seed, d):
    ...         self.label, self.seed, self.d = label, seed, d
    ...     def series(self, metric):
    ...         return [{"step": s, "sets": [v] * 4, "value": v} for s, v in zip((0, 50, 100),
    ...                 (0.5, 0.8, 1.0) if metric == "quality" else (0.9, self.d, self.d / 2))]
    >>> a, b = ([Run(name, s, d + s / 500) for s in range(4)] for name, d in (("darling", 0.8), ("grpo", 0.3)))
    >>> found = frontier_test(a, b)
    >>> found.area.verdict, found.hypervolume.verdict, len(found.bought)
    ('bought', 'bought', 1)
    """
    side_a, side_b = by_seed(runs_a, "runs_a"), by_seed(runs_b, "runs_b")
    labels = next(iter(side_a.values())).label, next(iter(side_b.values())).label
    seeds = sorted(set(side_a) & set(side_b))
    about: dict[str, Any] = {
        "a": labels[0],
        "b": labels[1],
        "n_seeds": len(seeds),
        "seeds": tuple(seeds),
        "metric": metric,
    }
    if len(seeds) < 2:
        return _nothing(
            about, f"{labels[0]} and {labels[1]} share {len(seeds)} seed{'s' * (len(seeds) != 1)}; two are needed"
        )
    pairs = [run_sets(side[s], quality_metric, metric) for side in (side_a, side_b) for s in seeds]
    sizes = [_rollouts_per_step(side[s]) for side in (side_a, side_b) for s in seeds]
    known = all(size is not None for size in sizes)
    marks = [[step * (size if known else 1) for step in found[0]] for found, size in zip(pairs, sizes, strict=True)]
    budget = min(max(m) for m in marks)
    shared = sorted(set.intersection(*(set(m) for m in marks)))
    about |= {"budget": float(budget), "n_checkpoints": len(shared)}
    if len(shared) < 2:
        return _nothing(
            about,
            f"the runs share {len(shared)} checkpoint{'s' * (len(shared) != 1)} at equal rollouts; two are needed",
        )
    n_sets = min(len(row) for found in pairs for part in found[1:] for row in part)
    about["n_sets"] = n_sets
    cut = [_cut(found, m, shared, n_sets) for found, m in zip(pairs, marks, strict=True)]
    start = max(_mean(r[0]) for r, _ in cut)
    reached = [highest_reached(r, d) for r, d in cut]
    highest = [quality for quality in reached if quality is not None]
    if len(highest) < len(reached) or np.isnan(start):
        return _nothing(about, "a run has no measured quality or diversity")
    top, ceiling = float(min(highest)), float(max(highest))
    if not top > start:
        return _nothing(
            about, f"a run never gets beyond the quality of the prior, {start:.3f}: the frontiers share no range"
        )
    grid = np.linspace(start, top, GRID)
    curves = np.array([attainment_matrix(r, d, grid) for r, d in cut])  # (2S, m)
    a, b = curves[: len(seeds)], curves[len(seeds) :]
    difference = a - b
    over: dict[str, Any] = {"seeds": seeds, "margin": margin, "labels": labels}
    means = [(row * _trapezoid(grid)).sum(1).tolist() for row in (a, b)]
    area = lift_from_values(*means, at=f"the frontier from R = {start:.2f} to {top:.2f}", quality=top, **over)
    wide = np.linspace(start, ceiling, GRID)
    volumes = np.array([np.nan_to_num(attainment_matrix(r, d, wide), nan=0.0) for r, d in cut])
    means = [(row * _trapezoid(wide)).sum(1).tolist() for row in (volumes[: len(seeds)], volumes[len(seeds) :])]
    volume = lift_from_values(
        *means, at=f"the hypervolume from R = {start:.2f} to {ceiling:.2f}", quality=ceiling, **over
    )
    low, high, critical = simultaneous_band(difference, seed=seed)
    nothing: tuple[None, ...] = (None,) * GRID
    above, below = ([], []) if critical is None else (_ranges(grid, low > 0), _ranges(grid, high < 0))
    return FrontierTest(
        **about,
        quality=tuple(grid.tolist()),
        difference=tuple(difference.mean(0).tolist()),
        low=nothing if critical is None else tuple(low.tolist()),
        high=nothing if critical is None else tuple(high.tolist()),
        critical=critical,
        bought=tuple(above),
        lost=tuple(below),
        area=area,
        hypervolume=volume,
        sentence=_sentence(labels, area, above, below, critical),
    )


def _rollouts_per_step(run: Any) -> int | None:
    train = (getattr(run, "settings", None) or {}).get("train") or {}
    prompts, group = train.get("prompts"), train.get("group_size")
    return None if prompts is None or group is None else int(prompts) * int(group)


def _cut(found: tuple[Any, ...], marks: Sequence[float], shared: Sequence[float], n_sets: int) -> tuple[list[Any], list[Any]]:
    keep = [marks.index(mark) for mark in shared]
    return tuple([part[i][:n_sets] for i in keep] for part in found[1:])  # type: ignore[return-value]


def _mean(row: Sequence[float | None]) -> float:
    known = [v for v in row if v is not None]
    return float(np.mean(known)) if known else float("nan")


def _trapezoid(grid: np.ndarray) -> np.ndarray:
    weight = np.ones(grid.size)
    weight[[0, -1]] = 0.5
    return weight / weight.sum()


def _ranges(grid: np.ndarray, inside: np.ndarray) -> list[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    return [(float(grid[i]), float(grid[j - 1])) for i, j in zip(edges[::2], edges[1::2], strict=True)]


def _sentence(labels: tuple[str, str], area: Lift, above: list[Any], below: list[Any], critical: float | None) -> str:
    if critical is None:
        return f"{area.sentence} No band: {LEAST_SEEDS} seeds are needed for one."
    parts = [
        f"{word} at R = " + ", ".join(f"{i:.3f} to {j:.3f}" if j > i else f"{i:.3f}" for i, j in ranges)
        for word, ranges in (("bought", above), ("lost", below))
        if ranges
    ]
    where = " and ".join(parts) if parts else "nowhere apart from 0"
    return f"{area.sentence} By the simultaneous band, {labels[0]}: {where}."


def _nothing(about: dict[str, Any], reason: str) -> FrontierTest:
    full = {"budget": None, "n_checkpoints": 0, "n_sets": 0, **about}
    empty: dict[str, Any] = dict.fromkeys(("quality", "difference", "low", "high", "bought", "lost"), ())
    sentence = f"Cannot tell whether the frontiers of {about['a']} and {about['b']} differ: {reason}."
    return FrontierTest(**full, **empty, critical=None, area=None, hypervolume=None, sentence=sentence)
