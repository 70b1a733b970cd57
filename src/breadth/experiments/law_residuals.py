"""What a law leaves over: R of each checkpoint minus the fitted curve, over the curve's own axis."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from breadth.experiments.checkpoints import hover_words, point_key
from breadth.experiments.evidence import Evidence
from breadth.experiments.notation import is_number, number
from breadth.experiments.plots import Figure
from breadth.experiments.traces import layout_of, looks
from breadth.laws.curves import curve_named

PANELS = (("R-D", "diversity", "D, diversity"), ("R-H", "entropy", "H, policy entropy (nats per token)"))


def residuals_figure(evidence: Evidence) -> Figure:
    """Return the residuals of the two quality laws, a panel each; laws that were not told are left out and named."""
    left_over = {
        (law, label): residuals(fit)
        for law, _, _ in PANELS
        for label in evidence.labels
        if (fit := (evidence.summary["objectives"][label].get("fits") or {}).get(law))
        and fit["verdict"] != "cannot tell"
    }
    shown = [panel for panel in PANELS if any(left_over.get((panel[0], label)) for label in evidence.labels)]
    without: dict[str, list[str]] = {}
    for law, _, _ in PANELS:
        for label in evidence.labels:
            if not left_over.get((law, label)):
                without.setdefault(law.replace("-", "–"), []).append(evidence.names[label])
    data: list[dict[str, Any]] = []
    for panel, (law, role, _) in enumerate(shown, start=1):
        axes = {"xaxis": "x" if panel == 1 else f"x{panel}", "yaxis": "y" if panel == 1 else f"y{panel}"}
        span: list[float] = []
        for i, label in enumerate(evidence.labels):
            points = left_over.get((law, label))
            if not points:
                continue
            verdict = evidence.summary["objectives"][label]["fits"][law]["verdict"]
            known = _checkpoints(evidence, label, role)
            colour, _, symbol = looks(i)
            span += [x for x, _, _ in points]
            data.append(
                {
                    "type": "scatter", "mode": "markers", "name": escape(evidence.names[label]), "legendgroup": f"o{i}", **axes,
                    "x": [x for x, _, _ in points],
                    "y": [left for _, _, left in points],
                    "customdata": [known.get((x, y), ["a checkpoint", f"R {number(y)}", ""]) for x, y, _ in points],
                    "marker": {"symbol": symbol, "size": 6, "color": f"{colour}/0.7"},
                    "showlegend": not any(trace["name"] == escape(evidence.names[label]) for trace in data),
                    "meta": {"role": f"residual of a checkpoint, fit {verdict}"},
                    "hovertemplate": "%{fullData.name}, %{customdata[0]}: %{y:+.4f}<br>%{customdata[1]}<extra></extra>",
                }
            )  # fmt: skip
        if span:
            line = {"color": "@axis", "width": 1}
            shared = {
                "type": "scatter",
                "mode": "lines",
                "name": "the fitted curve",
                "showlegend": False,
                "hoverinfo": "skip",
                **axes,
            }
            data.append({**shared, "x": [min(span), max(span)], "y": [0, 0], "line": line, "meta": {"role": "band"}})
    return Figure(
        id="residuals",
        title="What the fitted laws leave over",
        caption="R of each checkpoint minus the fitted R at its D or H, for the fits of all checkpoints of an objective. "
        "A law that describes the run leaves a cloud around 0 without a bend.",
        data=data,
        layout=layout_of({"x": [words for _, _, words in shown], "y": ["R − fitted R"] * len(shown)}),
        panels=len(shown),
        columns=2,
        panel_height=260,
        notes=tuple(f"{law}: no fit to take residuals from: {', '.join(names)}" for law, names in without.items()),
        names=tuple(words for _, _, words in shown),
    )


def residuals(fit: Mapping[str, Any]) -> list[tuple[float, float, float]]:
    """Return (x, y, y − curve) of a fit as a summary holds it; empty where a parameter or the data are missing.

    Examples
    --------
    >>> line = {"form": "linear", "params": {"a": {"value": 2.0}, "b": {"value": 1.0}}, "x": [0.0, 1.0], "y": [1.5, 2.75]}
    >>> residuals(line)
    [(0.0, 1.5, 0.5), (1.0, 2.75, -0.25)]
    """
    curve = curve_named(fit["form"])
    values = [(fit.get("params") or {}).get(name, {}).get("value") for name in curve.params]
    if not all(map(is_number, values)) or not fit.get("x"):
        return []
    x, y = np.asarray(fit["x"], dtype=float), np.asarray(fit["y"], dtype=float)
    left = y - curve.function(x, *values)
    return [(a, b, c) for a, b, c in zip(x.tolist(), y.tolist(), left.tolist(), strict=True) if is_number(c)]


def _checkpoints(evidence: Evidence, label: str, role: str) -> dict[tuple[float, float], list[str]]:
    """Return (x, R) -> the words and key of the checkpoint that was measured there."""
    found: dict[tuple[float, float], list[str]] = {}
    for run in evidence.of(label):
        words, x, y = (
            hover_words(evidence, run),
            run.series(evidence.metric(role)),
            run.series(evidence.metric("quality")),
        )
        for step in x:
            if step in y:
                place = (float(x[step]["value"]), float(y[step]["value"]))
                found[place] = [f"seed {run.seed}, step {step}", words[step], point_key(evidence, run, step)]
    return found
