"""The strokes that figures are made of: Plotly traces with colour tokens instead of colours.

A token ("@c0", "@ink", "@c0/0.4" for two fifths opaque) becomes a theme's colour by :func:`resolve`, so that one
description serves the light page, the dark page and a file on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import fmean
from typing import Any

from breadth.experiments.checkpoints import hover_words, point_key
from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import is_number, plural

# Okabe and Ito's colours, safe for the common colour blindnesses. (light, dark): where a colour of theirs has less than
# 3:1 contrast on the theme's background it is darkened or lightened in its own hue.
PALETTE = (
    ("#0072B2", "#4BA6E0"),  # blue
    ("#D55E00", "#F0843C"),  # vermillion
    ("#009E73", "#22B98E"),  # bluish green
    ("#B8659A", "#DB93BD"),  # reddish purple
    ("#1A1A1A", "#F2F2F2"),  # black
    ("#B07700", "#E69F00"),  # orange
    ("#2B8CC4", "#8CCDF2"),  # sky blue
    ("#8F8500", "#F0E442"),  # yellow
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")
TONES = {"ink": ("#1B1F24", "#E7EAEE"), "grid": ("#E4E7EB", "#2F353D"), "axis": ("#8B949E", "#6B7480")}


def theme_colours(dark: bool) -> dict[str, str]:
    """Return token -> colour of a theme: "c0" ... for the objectives, "ink", "grid", "axis"."""
    pairs = {**{f"c{i}": pair for i, pair in enumerate(PALETTE)}, **TONES}
    return {token: pair[dark] for token, pair in pairs.items()}


def resolve(value: Any, dark: bool = False, key: str = "") -> Any:
    """Return a figure description with its colour tokens replaced; only keys that end in "color" or "colors" are looked at."""
    if isinstance(value, Mapping):
        return {k: resolve(v, dark, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(v, dark, key) for v in value]
    if isinstance(value, str) and key.endswith(("color", "colors")) and value.startswith("@"):
        token, _, opacity = value[1:].partition("/")
        colour = theme_colours(dark)[token]
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})" if opacity else colour
    return value


def looks(index: int) -> tuple[str, str, str]:
    """Return (colour token, dash, symbol) of the objective at ``index``; a ninth differs from the first by its dash."""
    turn = index // len(PALETTE)
    return (
        f"@c{index % len(PALETTE)}",
        DASHES[(index + turn) % len(DASHES)],
        SYMBOLS[(index + turn) % len(SYMBOLS)],
    )


def bundle(
    lines: Sequence[tuple[RunEvidence, Mapping[int, tuple[float, str]]]],
    index: int,
    name: str,
    panel: int,
    letter: str,
    markers: bool = True,
) -> list[dict[str, Any]]:
    """Return the thin lines of the runs and the bold line of their mean; none for runs without values."""
    colour, dash, symbol = looks(index)
    letter = escape(letter).replace("%", "&#37;")  # a name with %{…} in it would be taken for a template
    shared = {"type": "scatter", "name": escape(name), "legendgroup": f"o{index}", **_axes(panel)}
    traces = []
    for run, points in lines:
        if points:
            traces.append(
                {
                    **shared,
                    "x": list(points),
                    "y": [value for value, _ in points.values()],
                    "customdata": [words for _, words in points.values()],
                    "mode": "lines",
                    "line": {"color": f"{colour}/0.45", "width": 1},
                    "showlegend": False,
                    "meta": {"role": f"seed {run.seed}"},
                    "hovertemplate": f"%{{fullData.name}}, seed {run.seed}<br>step %{{x}}: {letter} %{{y:.4g}}<br>"
                    "%{customdata}<extra></extra>",
                }
            )
    complete = [points for run, points in lines if run.complete and points]
    at = sorted(set.intersection(*(set(p) for p in complete))) if complete else []
    mean = f"mean of {plural(len(complete), 'seed')}"
    if traces and not at:  # without a mean the thin lines need a place in the legend
        traces[0]["showlegend"] = panel == 1
    if at:
        traces.append(
            {
                **shared,
                "x": at,
                "y": [fmean(p[step][0] for p in complete) for step in at],
                "mode": "lines+markers" if markers else "lines",
                "line": {"color": colour, "width": 2.6, "dash": dash},
                "marker": {"symbol": symbol, "size": 6, "color": colour, "maxdisplayed": 9},
                "showlegend": panel == 1,
                "meta": {"role": mean},
                "hovertemplate": f"%{{fullData.name}}, {mean}<br>step %{{x}}: {letter} %{{y:.4g}}<extra></extra>",
            }
        )
    return traces


def cloud(
    evidence: Evidence,
    label: str,
    index: int,
    panel: int,
    *,
    x_role: str,
    y_role: str,
    opacity: float,
    legend: bool = True,
) -> list[dict[str, Any]]:
    """Return the checkpoints of all runs of an objective as one trace of points.

    ``customdata`` of a point: which checkpoint it is, its numbers, and the key by which the page shows its samples.
    """
    points = []
    for run in evidence.of(label):
        x, y = run.series(evidence.metric(x_role)), run.series(evidence.metric(y_role))
        words = hover_words(evidence, run)
        points += [
            (
                x[step]["value"],
                y[step]["value"],
                [f"seed {run.seed}, step {step}", words[step], point_key(evidence, run, step)],
            )
            for step in x
            if step in y
        ]
    if not points:
        return []
    colour, _, symbol = looks(index)
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": escape(evidence.names[label]),
            "legendgroup": f"o{index}",
            **_axes(panel),
            **dict(zip(("x", "y", "customdata"), map(list, zip(*points, strict=True)), strict=True)),
            "marker": {"symbol": symbol, "size": 6, "color": f"{colour}/{opacity}"},
            "showlegend": panel == 1 and legend,
            "meta": {"role": "checkpoint"},
            "hovertemplate": "%{fullData.name}, %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
        }
    ]


def curve(fit: Mapping[str, Any] | None, index: int, name: str, panel: int) -> tuple[list[dict[str, Any]], str]:
    """Return the traces of a fitted curve and its band, and why there is none where there is none."""
    if not fit:
        return [], "not fitted"
    if fit["verdict"] == "cannot tell":
        return [], "the data cannot tell (why: see the fits)"
    band = fit.get("band")
    if not band:
        return [], "the summary holds none"
    colour, _, _ = looks(index)
    shared = {"type": "scatter", "mode": "lines", "name": escape(name), "legendgroup": f"o{index}", "showlegend": False}
    traces = [
        {**shared, **_axes(panel), **part, "fillcolor": f"{colour}/0.16"}
        for part in _ribbon(band["x"], band["low"], band["high"])
    ]
    traces.append(
        {
            **shared,
            **_axes(panel),
            "x": band["x"],
            "y": band["value"],
            "line": {"color": colour, "width": 2.4, "dash": "solid" if fit["verdict"] == "holds" else "dash"},
            "meta": {"role": f"fit ({fit['verdict']})"},
            "hovertemplate": f"%{{fullData.name}}: fit {fit['verdict']}<br>x %{{x:.4g}}, R %{{y:.4g}}<extra></extra>",
        }
    )
    return traces, ""


def staircase(curve: Mapping[str, Any], index: int, name: str, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return a frontier: its band, its single seeds, its mean. D at q holds down to the next lower q."""
    colour, dash, _ = looks(index)
    q = curve["quality"]
    shared = {"type": "scatter", "mode": "lines", "name": escape(name), "legendgroup": f"o{index}", **_axes(1)}
    traces = [
        {**shared, **part, "fillcolor": f"{colour}/0.16"}
        for part in _ribbon(*_stairs(q, curve.get("low"), curve.get("high")))
    ]
    for seed, values in zip(seeds, curve.get("seeds") or (), strict=False):
        line = {"color": f"{colour}/0.45", "width": 1, "shape": "vh"}
        role = {"meta": {"role": f"seed {seed}"}, "hoverinfo": "skip", "showlegend": False}
        traces.append({**shared, "x": q, "y": values, "line": line, **role})
    counts = curve.get("n_seeds") or [None] * len(q)
    traces.append(
        {
            **shared,
            "x": q,
            "y": curve["diversity"],
            "customdata": [plural(n, "seed") if n else "" for n in counts],
            "line": {"color": colour, "width": 2.6, "dash": dash, "shape": "vh"},
            "meta": {"role": "mean"},
            "hovertemplate": "%{fullData.name}, %{customdata}<br>q %{x:.3f}: D %{y:.4g}<extra></extra>",
        }
    )
    return traces


def _ribbon(x: Sequence[Any], low: Sequence[Any], high: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the area between two curves as one trace, or nothing where fewer than two points have both."""
    points = [p for p in zip(x, low, high, strict=False) if all(map(is_number, p))]
    if len(points) < 2:
        return []
    xs, lows, highs = map(list, zip(*points, strict=True))
    outline = {"x": xs + xs[::-1], "y": highs + lows[::-1], "fill": "toself", "line": {"width": 0}}
    return [{**outline, "hoverinfo": "skip", "showlegend": False, "meta": {"role": "band"}}]


def _stairs(
    x: Sequence[Any], low: Sequence[Any] | None, high: Sequence[Any] | None
) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the corners of a band that is constant from each point back to the one before."""
    if not low or not high:
        return [], [], []
    corners = [(left, i) for i in range(len(x)) for left in (x[max(i - 1, 0)], x[i])]
    return [at for at, _ in corners], [low[i] for _, i in corners], [high[i] for _, i in corners]


def _axes(panel: int) -> dict[str, str]:
    number_of_axis = "" if panel == 1 else str(panel)
    return {"xaxis": f"x{number_of_axis}", "yaxis": f"y{number_of_axis}"}


def layout_of(titles: Mapping[str, Sequence[str]], headings: Sequence[str] = ()) -> dict[str, Any]:
    """Return the layout of panels with these axis titles, and with a heading above each panel where there are some."""
    layout: dict[str, Any] = {
        "font": {"color": "@ink", "size": 12, "family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yref": "container", "yanchor": "top"},
        "margin": {"l": 56, "r": 12, "t": 44, "b": 48},
    }
    line = {"gridcolor": "@grid", "linecolor": "@axis", "tickcolor": "@axis"}
    line |= {"showline": True, "zeroline": False, "ticks": "outside", "automargin": True}
    for way, words in titles.items():
        for i, text in enumerate(words, start=1):
            layout[f"{way}axis{'' if i == 1 else i}"] = {**line, "title": {"text": escape(text), "standoff": 8}}
    place = {"x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "showarrow": False}
    place["font"] = {"size": 13, "weight": 600}
    layout["annotations"] = [
        {"text": escape(text), "xref": f"{axes['xaxis']} domain", "yref": f"{axes['yaxis']} domain", **place}
        for text, axes in ((text, _axes(i)) for i, text in enumerate(headings, start=1))
    ]
    return layout
