"""The figures of a page about files of generations: the quality–diversity plane, and curves step by step."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from breadth.experiments.generation_measures import headline, measure_named
from breadth.experiments.generations import FileMeasurement
from breadth.experiments.notation import number, plural
from breadth.experiments.plots import Figure
from breadth.experiments.traces import layout_of, looks
from breadth.metrics.conditions import TextMeasurement

QUALITIES = ("quality", "correct_share", "valid_share")
_PANELS = 6  # of curves


def plane_measures(files: Sequence[FileMeasurement]) -> tuple[str, str] | None:
    """Return the measures of quality and of diversity that all files have; None where there is no such pair."""
    shared = [name for name in files[0].metrics if all(name in one.metrics for one in files)]
    quality = next((name for name in QUALITIES if name in shared), None)
    if quality is None or not any(measure_named(name).sign for name in shared):
        return None
    return quality, headline(shared)


def plane_figure(files: Sequence[FileMeasurement], names: Sequence[str]) -> Figure | None:
    """Return every file as a point with both intervals; a log with steps as its path, the last step large."""
    pair = plane_measures(files)
    if pair is None:
        return None
    data: list[dict[str, Any]] = []
    notes = []
    for i, (one, name) in enumerate(zip(files, names, strict=True)):
        colour, dash, symbol = looks(i)
        x, y = ({step: row for step, row in one.series(metric) if row.value is not None} for metric in pair)
        steps = [step for step in one.steps if step in x and step in y]
        if not steps:
            notes.append(f"{name}: not drawn, {pair[0]} or {pair[1]} is not known")
            continue
        shared = {"type": "scatter", "name": escape(name), "legendgroup": f"f{i}", "xaxis": "x", "yaxis": "y"}
        if len(steps) > 1:
            data.append({
                **shared, "mode": "lines+markers", "x": [x[s].value for s in steps], "y": [y[s].value for s in steps],
                "line": {"color": f"{colour}/0.5", "width": 1.2, "dash": dash}, "marker": {"color": f"{colour}/0.5", "size": 4},
                "customdata": [_at(s) for s in steps], "showlegend": False, "meta": {"role": "steps"},
                "hovertemplate": "%{fullData.name}, %{customdata}<br>x %{x:.4g}, y %{y:.4g}<extra></extra>",
            })  # fmt: skip
        last = steps[-1]
        words = f"{_at(last)}<br>x {_interval(x[last])}<br>y {_interval(y[last])}"
        data.append({
            **shared, "mode": "markers", "x": [x[last].value], "y": [y[last].value], "customdata": [words],
            "marker": {"color": colour, "symbol": symbol, "size": 11}, "meta": {"role": _at(last) or "file"},
            "error_x": _bar(x[last], colour), "error_y": _bar(y[last], colour),
            "hovertemplate": "%{fullData.name}<br>%{customdata}<extra></extra>",
        })  # fmt: skip
    if not data:
        return None
    quality, diversity = pair
    lower = " (lower is wider)" if measure_named(diversity).sign < 0 else ""
    return Figure(
        id="plane",
        title="Quality and diversity",
        caption=f"Each file at {quality} and {diversity}: {measure_named(diversity).summary}. Bars: 95 % intervals over "
        f"{_units(files)}, each axis for itself. A decoding trick and a trained policy stand on one plane only where k, token budget and "
        "prompts are equal.",
        data=data,
        layout=layout_of({"x": [quality], "y": [diversity.replace("_", " ") + lower]}),
        panel_height=460,
        notes=tuple(notes),
        names=("plane",),
    )


def curves_figure(files: Sequence[FileMeasurement], names: Sequence[str]) -> Figure | None:
    """Return the measures over steps of the files that have steps, with 95 % bands; None where none has."""
    stepped = [(i, one) for i, one in enumerate(files) if len(one.steps) > 1]
    if not stepped:
        return None
    there = list(dict.fromkeys(name for _, one in stepped for name in one.metrics))
    first = [name for name in QUALITIES if name in there][:1]
    wide = [name for name in there if measure_named(name).sign]
    lead = headline(wide) if wide else None
    order = [*first, *([lead] if lead else []), *(name for name in wide if name != lead), "length"]
    panels = [name for name in dict.fromkeys(order) if name in there][:_PANELS]
    data: list[dict[str, Any]] = []
    for panel, metric in enumerate(panels, start=1):
        axis = "" if panel == 1 else str(panel)
        for i, one in stepped:
            if metric not in one.metrics:
                continue
            colour, dash, symbol = looks(i)
            known = [(step, row) for step, row in one.series(metric) if row.value is not None and step is not None]
            shared = {
                "type": "scatter",
                "name": escape(names[i]),
                "legendgroup": f"f{i}",
                "xaxis": f"x{axis}",
                "yaxis": f"y{axis}",
            }
            banded = [(step, row) for step, row in known if row.low is not None]
            if len(banded) > 1:
                steps = [step for step, _ in banded]
                data.append({
                    **shared, "mode": "lines", "x": steps + steps[::-1], "fill": "toself", "fillcolor": f"{colour}/0.16",
                    "y": [row.high for _, row in banded] + [row.low for _, row in banded][::-1], "line": {"width": 0},
                    "hoverinfo": "skip", "showlegend": False, "meta": {"role": "band"},
                })  # fmt: skip
            data.append({
                **shared, "mode": "lines+markers", "x": [step for step, _ in known], "y": [row.value for _, row in known],
                "customdata": [_interval(row) for _, row in known], "line": {"color": colour, "width": 2.2, "dash": dash},
                "marker": {"symbol": symbol, "size": 5, "color": colour, "maxdisplayed": 12}, "showlegend": panel == 1,
                "meta": {"role": "mean over prompts"},
                "hovertemplate": "%{fullData.name}<br>step %{x}: %{customdata}<extra></extra>",
            })  # fmt: skip
    titles = [name.replace("_", " ") for name in panels]
    return Figure(
        id="curves",
        title="Step by step",
        caption=f"Mean over {_units([one for _, one in stepped])} at each step; bands: 95 % intervals. A change of the prompts from step to "
        "step moves these curves too; the verdict pairs equal prompts where it can.",
        data=data,
        layout=layout_of({"x": ["step"] * len(panels), "y": [""] * len(panels)}, headings=titles),
        panels=len(panels),
        columns=3,
        panel_height=250,
        names=tuple(titles),
    )


def _units(files: Sequence[FileMeasurement]) -> str:
    words = {"prompt": "prompts", "blocks_of_prompts": "blocks of prompts", "blocks_of_answers": "blocks of answers"}
    return " or ".join(dict.fromkeys(words[one.dealt] for one in files))


def _at(step: int | None) -> str:
    return "" if step is None else f"step {step}"


def _interval(row: TextMeasurement) -> str:
    ends = "" if row.low is None else f" ({number(row.low)} to {number(row.high)})"
    return f"{number(row.value)}{ends}, n = {plural(row.n, 'prompt')}"


def _bar(row: TextMeasurement, colour: str) -> dict[str, Any]:
    if row.low is None or row.high is None or row.value is None:
        return {"visible": False}
    return {
        "type": "data", "symmetric": False, "array": [row.high - row.value], "arrayminus": [row.value - row.low],
        "color": f"{colour}/0.6", "thickness": 1.4, "width": 4,
    }  # fmt: skip
