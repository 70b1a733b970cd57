"""The figure of a decoding sweep: what each objective's checkpoints attain when the way of sampling is free too."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import Any

import numpy as np

from breadth.experiments.decoding import read_sweep
from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import is_number, number, plural
from breadth.experiments.plots import Figure
from breadth.experiments.traces import layout_of, looks
from breadth.laws.envelope import CONDITIONS, Swept, condition_words
from breadth.laws.frontier import attainment_matrix
from breadth.laws.runs import run_sets

GRID = 61  # qualities at which a frontier is read


@dataclass(frozen=True)
class _Rows:
    """A run of the page as the laws read runs."""

    label: str
    seed: int
    rows: tuple[Any, ...]

    def series(self, metric: str) -> list[Any]:
        return [row for row in self.rows if row["metric"] == metric]


def swept_runs(evidence: Evidence) -> dict[str, list[tuple[RunEvidence, Swept]]]:
    """Return label -> the runs that have a decoding sweep; a sweep of other weights than the ledger's is left out."""
    found: dict[str, list[tuple[RunEvidence, Swept]]] = {}
    for run in evidence.runs:
        rows = read_sweep(evidence.folder / run.path)
        if rows and run.rows:
            try:
                found.setdefault(run.label, []).append((run, Swept(_Rows(run.label, run.seed, run.rows), rows)))
            except ValueError:  # the run was trained again since
                continue
    return found


def decoding_figure(evidence: Evidence) -> Figure:
    """Return the points of every sweep, the frontier as measured (thin) and the envelope over checkpoints and conditions (bold)."""
    quality, diversity = evidence.metric("quality"), evidence.metric("frontier_diversity")
    swept = swept_runs(evidence)
    data: list[dict[str, Any]] = []
    notes = [
        f"{evidence.names[label]}: not swept" for label in evidence.labels if label not in swept and evidence.of(label)
    ]
    for i, label in enumerate(evidence.labels):
        colour, dash, symbol = looks(i)
        shared = {
            "type": "scatter",
            "name": escape(evidence.names[label]),
            "legendgroup": f"o{i}",
            "xaxis": "x",
            "yaxis": "y",
        }
        points, frontiers = [], {"envelope": [], "frontier as measured": []}
        of_label = swept.get(label, [])
        sets = [(run_sets(one, quality, diversity), run_sets(one.run, quality, diversity)) for _, one in of_label]
        if not sets:
            continue
        means = [np.nanmean(np.array(row, dtype=float)) for both in sets for _, r, _ in both for row in r]
        grid = np.linspace(min(means), max(means), GRID)
        for (run, _), (free, plain) in zip(of_label, sets, strict=True):
            points += _points(evidence, run, quality, diversity)
            frontiers["envelope"].append(attainment_matrix(free[1], free[2], grid))
            frontiers["frontier as measured"].append(attainment_matrix(plain[1], plain[2], grid))
        if not points:
            notes.append(f"{evidence.names[label]}: swept, but no condition gave enough valid answers to compare")
            continue
        data.append(
            {
                **shared,
                "mode": "markers",
                "x": [x for x, _, _ in points],
                "y": [y for _, y, _ in points],
                "customdata": [words for _, _, words in points],
                "marker": {"symbol": symbol, "size": 5, "color": f"{colour}/0.35"},
                "showlegend": False,
                "meta": {"role": "checkpoint under a condition"},
                "hovertemplate": "%{fullData.name}, %{customdata}<br>R %{x:.4g}, D %{y:.4g}<extra></extra>",
            }
        )
        for role, curves in frontiers.items():
            matrix = np.array(curves)
            every = np.isfinite(matrix).all(0)
            bold = role == "envelope"
            data.append(
                {
                    **shared,
                    "mode": "lines",
                    "x": grid[every].tolist(),
                    "y": [fmean(column) for column in matrix[:, every].T],
                    "line": {
                        "color": colour,
                        "width": 2.6 if bold else 1.2,
                        "dash": dash if bold else "dot",
                        "shape": "vh",
                    },
                    "showlegend": bold,
                    "meta": {"role": role},
                    "hovertemplate": f"%{{fullData.name}}: {role}, mean of {plural(len(curves), 'seed')}<br>"
                    "R ≥ %{x:.4g}: D %{y:.4g}<extra></extra>",
                }
            )
    return Figure(
        id="decoding",
        title="Decoding: diversity among valid answers at quality q, when temperature and cuts are free",
        caption="Points: a checkpoint sampled under one condition (temperature, top-k, top-p, min-p), without further training. Bold: the "
        "attainment frontier over checkpoints and conditions, chosen on one half of the sample sets and read on the other. "
        "Dotted: the frontier over checkpoints as they were measured.",
        data=data,
        layout=layout_of({"x": ["q, least quality asked for"], "y": ["D among valid answers"]}),
        panel_height=440,
        notes=tuple(notes),
        names=("decoding",),
    )


def decoding_title(evidence: Evidence) -> str:
    """Return what the sweeps hold, as a heading."""
    rows = [row for run in evidence.runs for row in read_sweep(evidence.folder / run.path)]
    seen = {tuple(row[name] for name in CONDITIONS) for row in rows}
    return f"What {plural(len(seen), 'decoding condition')} give without training"


def _points(evidence: Evidence, run: RunEvidence, quality: str, diversity: str) -> list[tuple[float, float, str]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in read_sweep(evidence.folder / run.path):
        found.setdefault((row["step"], *(row[name] for name in CONDITIONS)), {})[row["metric"]] = row
    out = []
    for by_metric in found.values():
        r, d = by_metric.get(quality), by_metric.get(diversity)
        if r and d and is_number(r["value"]) and is_number(d["value"]):
            words = f"seed {run.seed}, step {r['step']}, {condition_words(r)}, n = {number(r['n'], 0)}"
            out.append((r["value"], d["value"], words))
    return out
