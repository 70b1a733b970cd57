"""Success over the number of tries: pass@k of every objective beside the prior's own, and the k from which the prior is ahead again.

Training for reward tends to raise pass@1 and to lower pass@k at large k, where the prior's breadth finds answers that the tuned policy no
longer gives. Where the two curves cross says up to how many tries training has paid.

Source: Yue et al. 2025, arXiv 2504.13837 (the crossing of pass@k curves); Chen et al. 2021, arXiv 2107.03374, eq. 1 (pass@k).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any

import numpy as np
from scipy import stats

from breadth.experiments.evidence import Evidence
from breadth.experiments.notation import is_number, plural
from breadth.experiments.plots import Figure
from breadth.experiments.traces import layout_of, looks
from breadth.ledger.run import Run
from breadth.records import Estimate

FAMILIES = {"pass": "pass_at", "distinct": "distinct_correct_at"}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class PassCurve:
    """pass@k (or distinct right answers among k) of an objective at the last step, and of the prior, means over prompts and seeds.

    ``value`` and ``prior`` hold an :class:`Estimate` for each of ``k``; their intervals are Student-t over seeds, None for one seed. ``difference``
    is policy minus prior, paired over seeds. ``crossing`` is the k from which the policy is below its prior, between two measured k on a
    logarithmic scale; None where the policy is ahead at every k that was measured, 1 where it is behind from the start. ``crossings`` are those of
    the seeds. ``coverage`` is ``solution_coverage`` of policy and prior, where it was measured.
    """

    label: str
    k: tuple[int, ...]
    value: tuple[Estimate, ...]
    prior: tuple[Estimate, ...]
    difference: tuple[Estimate, ...]
    crossing: float | None
    crossings: tuple[float | None, ...]
    seeds: tuple[int, ...]
    step: int
    coverage: tuple[Estimate, Estimate] | None = None


def pass_curves(runs: Mapping[str, Sequence[Run]], *, family: str = "pass") -> list[PassCurve]:
    """Return the curve of each objective over its complete runs, at their last common step; an objective without one is left out.

    Parameters
    ----------
    runs : label → runs
    family : {"pass", "distinct"}
        ``pass_at_k``, or ``distinct_correct_at_k``.

    Raises
    ------
    ValueError
        An unknown family, or runs that measured no such thing: says which tasks do.
    """
    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    found = []
    for label, members in runs.items():
        usable = [(run.seed, run.rows) for run in members if run.complete and tries_in(run.rows, FAMILIES[family])]
        if usable:
            found.append(curve_of(label, usable, FAMILIES[family]))
    if not found:
        raise ValueError(
            f"these runs have no {FAMILIES[family]}_k, or none of them has come to its end: it is measured for tasks with prompts and right "
            "answers (countdown, game24, math)"
        )
    return found


def curve_of(label: str, runs: Sequence[tuple[int, Sequence[Row]]], metric: str) -> PassCurve:
    """Return the curve of some runs, given as (seed, ledger rows); the last step that all of them measured."""
    tables = [{(row["metric"], row["step"]): row["value"] for row in rows} for _, rows in runs]
    k = sorted(set.intersection(*({*tries_in(rows, metric)} for _, rows in runs)))
    steps = set.intersection(*({row["step"] for row in rows} for _, rows in runs))
    step = max(steps)
    after = np.array([[_value(t, f"{metric}_{n}", step) for n in k] for t in tables])
    before = np.array([[_value(t, f"{metric}_{n}", 0) for n in k] for t in tables])
    gap = after - before
    covered = None
    if all(("solution_coverage", at) in t for t in tables for at in (0, step)):
        covered = tuple(over_seeds([_value(t, "solution_coverage", at) for t in tables]) for at in (step, 0))
    return PassCurve(
        label, tuple(k), tuple(over_seeds(column) for column in after.T), tuple(over_seeds(column) for column in before.T),
        tuple(over_seeds(column) for column in gap.T), crossing(k, gap.mean(axis=0)), tuple(crossing(k, row) for row in gap),
        tuple(seed for seed, _ in runs), step, covered,
    )  # fmt: skip


def tries_in(rows: Sequence[Row], metric: str) -> list[int]:
    """Return the k that were measured, ascending."""
    names = {row["metric"] for row in rows if is_number(row.get("value"))}
    return sorted(int(m[1]) for name in names if (m := re.fullmatch(rf"{metric}_(\d+)", name)))


def crossing(k: Sequence[int], gap: Sequence[float]) -> float | None:
    """Return the k at which a gap falls below 0 for good, between two k on a line over log k; None where it ends at or above 0.

    Examples
    --------
    >>> crossing([1, 4, 16], [0.2, 0.1, -0.1]), crossing([1, 4], [0.2, 0.0]), crossing([1, 4], [-0.1, -0.2])
    (8.0, None, 1.0)
    """
    if math.isnan(gap[-1]) or gap[-1] >= 0:
        return None
    last = max((i for i, value in enumerate(gap) if value >= 0), default=None)
    if last is None:
        return float(k[0])
    share = gap[last] / (gap[last] - gap[last + 1])
    return round(float(math.exp(math.log(k[last]) + share * math.log(k[last + 1] / k[last]))), 6)


def over_seeds(values: Sequence[float]) -> Estimate:
    """Return mean and 95 % Student-t interval; no interval for one value, no value where one is missing."""
    known = np.asarray(values, dtype=float)
    if known.size == 0 or np.isnan(known).any():
        return Estimate(None)
    if known.size == 1:
        return Estimate(float(known[0]))
    half = float(stats.t.ppf(0.975, known.size - 1) * known.std(ddof=1) / math.sqrt(known.size))
    return Estimate(float(known.mean()), float(known.mean()) - half, float(known.mean()) + half)


def _value(table: Mapping[tuple[str, int], Any], metric: str, step: int) -> float:
    value = table.get((metric, step))
    return float("nan") if value is None else float(value)


def passes_figure(evidence: Evidence) -> Figure:
    """Return pass@k and distinct right answers over k: each objective at its last step, and the prior dashed; empty where nothing was measured."""
    data: list[dict[str, Any]] = []
    notes: list[str] = []
    for panel, metric in enumerate(FAMILIES.values(), start=1):
        axes = {"xaxis": "x" if panel == 1 else f"x{panel}", "yaxis": "y" if panel == 1 else f"y{panel}"}
        priors = []
        for i, label in enumerate(evidence.labels):
            runs = [(run.seed, run.rows) for run in evidence.of(label) if run.complete and tries_in(run.rows, metric)]
            if not runs:
                continue
            found = curve_of(label, runs, metric)
            colour, dash, symbol = looks(i)
            name = evidence.names[label]
            data.append(
                {
                    "type": "scatter", "mode": "lines+markers", "name": escape(name), "legendgroup": f"o{i}", **axes,
                    "x": list(found.k), "y": [e.value for e in found.value], "showlegend": panel == 1,
                    "line": {"color": colour, "width": 2.4, "dash": dash}, "marker": {"symbol": symbol, "size": 6, "color": colour},
                    "meta": {"role": f"mean of {plural(len(runs), 'seed')}"},
                    "hovertemplate": "%{fullData.name}<br>k = %{x}: %{y:.3f}<extra></extra>",
                }
            )  # fmt: skip
            priors.append((found.k, [e.value for e in found.prior]))
            if metric == FAMILIES["pass"]:
                notes.append(f"{name}: {crossing_words(found)}")
        if priors:
            shortest = min((k for k, _ in priors), key=len)
            data.append(
                {
                    "type": "scatter", "mode": "lines", "name": "prior", "legendgroup": "prior", **axes, "x": list(shortest),
                    "y": [_mean([values[k.index(n)] for k, values in priors]) for n in shortest], "showlegend": panel == 1,
                    "line": {"color": "@ink", "width": 2, "dash": "dot"}, "meta": {"role": "prior"},
                    "hovertemplate": "prior<br>k = %{x}: %{y:.3f}<extra></extra>",
                }
            )  # fmt: skip
    layout = layout_of({"x": ["k, answers to a prompt"] * 2, "y": ["pass@k", "different right answers among k"]})
    for axis in ("xaxis", "xaxis2"):
        layout[axis]["type"] = "log"
        layout[axis]["dtick"] = math.log10(4)
    return Figure(
        id="passes",
        title="Success over the number of tries",
        caption="Means over held-out prompts and seeds at the last checkpoint; dotted: the prior, measured by the same runs before their "
        "first update. pass@k is the unbiased estimate from all answers to a prompt.",
        data=data,
        layout=layout,
        panels=2,
        columns=2,
        panel_height=400,
        notes=tuple(notes),
        names=("pass@k", "different right answers among k"),
    )


def crossing_words(curve: PassCurve) -> str:
    """Return where a curve and its prior's cross, in words."""
    if curve.crossing is None:
        return f"ahead of the prior up to k = {curve.k[-1]} (all measured)"
    if curve.crossing <= curve.k[0]:
        return "behind the prior at every k"
    return f"behind the prior from k ≈ {curve.crossing:.3g} on"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return fmean(known) if known else None
