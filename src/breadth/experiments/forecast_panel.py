"""Forecasts of D beside what came: as a run made them while it went on, else from the checkpoints that it had by then."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from html import escape
from typing import Any

from breadth.experiments.evidence import Evidence, RunEvidence, read_lines
from breadth.experiments.notation import DASH, is_number, number, plural
from breadth.experiments.plots import Figure
from breadth.experiments.traces import layout_of, looks
from breadth.laws.forecast import forecast
from breadth.ledger.run import load_run

SHARES = (
    0.1,
    0.2,
    0.3,
    0.5,
)  # of training, where a run made no forecasts of its own; the same as in breadth forecast --score
PANELS = (("final_diversity", "diversity", "D, diversity"), ("final_quality", "quality", "R, quality"))


def forecasts_section(evidence: Evidence, _: Any) -> dict[str, Any] | None:
    """Return the words of the section: of each objective's first run that can be forecast; None where there is none."""
    told = []
    for i, label in enumerate(evidence.labels):
        for run in evidence.of(label):
            rows, live = forecasts_of(evidence, run)
            if rows:
                told.append((i, run, rows, live))
                break
    if not told:
        return None
    table = [_row(evidence, run, row) for _, run, rows, _ in told for row in rows]
    judged = [row["inside"] for row in table if row["inside"] is not None]
    return {
        "title": f"Of {plural(len(judged), 'forecast')} of the last D, {sum(judged)} held it in their 80 % interval"
        if judged
        else "Forecasts of where these runs end",
        "figure": _figure(evidence, told),
        "rows": table,
        "live": [f"{evidence.names[run.label]}, seed {run.seed}" for _, run, _, live in told if live],
        "n": len(told),
    }


def forecasts_of(evidence: Evidence, run: RunEvidence) -> tuple[list[dict[str, Any]], bool]:
    """Return a run's forecasts by rising step, and whether it made them while it went on (``forecasts.jsonl``).

    A run that made none is forecast at 10, 20, 30 and 50 % of its training from the checkpoints up to there; steps with fewer
    than 3 checkpoints tell nothing and are left out.
    """
    home = evidence.folder / run.path
    made = [
        row
        for row in read_lines(home / "forecasts.jsonl")
        if is_number(row.get("at_step")) and row.get("final_diversity") and row.get("model") not in ("none", "measured")
    ]
    if made:
        return sorted(made, key=lambda row: row["at_step"]), True
    if not (home / "config.json").is_file() or not run.series(evidence.metric("diversity")):
        return [], False
    whole = load_run(home)
    end = whole.settings["train"]["steps"]
    rows = {}
    for share in SHARES:
        if share * end < whole.steps[0] or share * end > whole.steps[-1]:
            continue
        found = forecast(
            whole, at_step=share * end, metric=evidence.metric("diversity"), quality_metric=evidence.metric("quality"),
            entropy_metric=evidence.metric("entropy"),
        )  # fmt: skip
        if found.model not in ("none", "measured"):
            rows[found.at_step] = dataclasses.asdict(found)
    return list(rows.values()), False


def _last(evidence: Evidence, run: RunEvidence, role: str) -> float | None:
    """Return the last measurement of a complete run; None while it goes on."""
    series = run.series(evidence.metric(role))
    return series[max(series)]["value"] if series and run.complete else None


def _row(evidence: Evidence, run: RunEvidence, row: Mapping[str, Any]) -> dict[str, Any]:
    came = _last(evidence, run, "diversity")
    told = row["final_diversity"]
    known = came is not None and is_number(told.get("low80")) and is_number(told.get("high80"))
    return {
        "name": evidence.names[run.label],
        "seed": run.seed,
        "step": f"{row['at_step']:g}",
        "model": row.get("model") or DASH,
        "end": _words(told),
        "came": number(came),
        "inside": told["low80"] <= came <= told["high80"] if known else None,
        "target": _words(row.get("diversity_at_target") or {}),
        "sentence": str(row.get("sentence") or ""),
    }


def _words(told: Mapping[str, Any]) -> str:
    if not is_number(told.get("value")):
        return DASH
    return f"{number(told['value'])} ({number(told.get('low80'))} to {number(told.get('high80'))})"


def _figure(evidence: Evidence, told: list[tuple[int, RunEvidence, list[dict[str, Any]], bool]]) -> Figure:
    data: list[dict[str, Any]] = []
    for panel, (key, role, _) in enumerate(PANELS, start=1):
        axes = {"xaxis": "x" if panel == 1 else f"x{panel}", "yaxis": "y" if panel == 1 else f"y{panel}"}
        for i, run, rows, _live in told:
            colour, dash, symbol = looks(i)
            shared = {"type": "scatter", "name": escape(evidence.names[run.label]), "legendgroup": f"o{i}", **axes}
            series = run.series(evidence.metric(role))
            data.append(
                {
                    **shared, "mode": "lines", "x": list(series), "y": [row["value"] for row in series.values()],
                    "line": {"color": f"{colour}/0.6", "width": 1.6, "dash": dash}, "showlegend": panel == 1,
                    "meta": {"role": f"measured, seed {run.seed}"},
                    "hovertemplate": "%{fullData.name}, measured at step %{x}: %{y:.4g}<extra></extra>",
                }
            )  # fmt: skip
            points = [(row["at_step"], row[key]) for row in rows if row.get(key) and is_number(row[key].get("value"))]
            ends = [(x, told) for x, told in points if is_number(told.get("low80")) and is_number(told.get("high80"))]
            data.append(
                {
                    **shared, "mode": "markers", "x": [x for x, _ in ends], "y": [told["value"] for _, told in ends],
                    "error_y": {
                        "type": "data", "symmetric": False, "color": f"{colour}/0.8", "thickness": 1.4, "width": 3,
                        "array": [told["high80"] - told["value"] for _, told in ends],
                        "arrayminus": [told["value"] - told["low80"] for _, told in ends],
                    },
                    "marker": {"symbol": symbol, "size": 8, "color": colour}, "showlegend": False,
                    "customdata": [_words(told) for _, told in ends], "meta": {"role": "forecast of the end, made at this step"},
                    "hovertemplate": "%{fullData.name}, told at step %{x} for the end:<br>%{customdata}<extra></extra>",
                }
            )  # fmt: skip
    return Figure(
        id="forecasts",
        title="Where each run was said to end, at the step at which it was said",
        caption="Lines: what was measured. Points: the forecast for the end of training from the checkpoints up to that step, with its 80 % "
        "interval; the line's last value is what came.",
        data=data,
        layout=layout_of({"x": ["training step"] * 2, "y": [words for _, _, words in PANELS]}),
        panels=2,
        columns=2,
        panel_height=300,
        names=tuple(words for _, _, words in PANELS),
    )
