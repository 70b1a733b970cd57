"""What stands beside the policies as a stroke: the corpus-tilt frontier where one was saved, and the law that was published."""

from __future__ import annotations

from typing import Any

import numpy as np

from breadth.experiments.equal_quality import read_tilt
from breadth.experiments.evidence import TILT, Evidence
from breadth.laws.published import diversity_on_law, published_law

FILE = TILT
NAME = "corpus tilt (no policy)"


def tilt_traces(evidence: Evidence, *, x: str, y: str, legend: bool = True) -> list[dict[str, Any]]:
    """Return the frontier as one dotted line in the first panel; nothing where there is no file.

    Parameters
    ----------
    evidence : Evidence
        Knows the file.
    x, y : {"quality", "diversity"}
        Which of the two lies on which axis.

    Raises
    ------
    FileNotFoundError, ValueError
        A file was named and is not there; it is not what ``breadth tilt`` writes.
    """
    path = evidence.tilt_file
    if path is None:
        return []
    try:
        rows = [(p[x], p[y], f"β = {p['beta']:.4g}, {p['effective']:,.0f} molecules in effect") for p in read_tilt(path)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not what `breadth tilt` writes ({error}): write it again, or delete it") from None
    if not rows:
        return []
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": NAME,
            "legendgroup": "tilt",
            "xaxis": "x",
            "yaxis": "y",
            **dict(zip(("x", "y", "customdata"), map(list, zip(*rows, strict=True)), strict=True)),
            "line": {"color": "@ink", "width": 1.6, "dash": "dot"},
            "marker": {"color": "@ink", "size": 5, "symbol": "diamond-open"},
            "showlegend": legend,
            "meta": {"role": "corpus tilt"},
            "hovertemplate": "%{fullData.name}, %{customdata}<br>x %{x:.4g}, y %{y:.4g}<extra></extra>",
        }
    ]


def published_traces(evidence: Evidence, *, x: str, y: str, legend: bool = True) -> list[dict[str, Any]]:
    """Return the published law of the study's oracle as one dash-dotted line in the first panel; nothing where none was printed."""
    summary = evidence.summary
    task = (summary.get("settings") or {}).get("task") or {}
    law = published_law((summary.get("task") or {}).get("name"), task.get("oracle"))
    if law is None:
        return []
    points = [(float(q), diversity_on_law(float(q), a=law.a, b=law.b, c=law.c)) for q in np.linspace(0.0, law.b - law.a, 120)]
    rows = [{"quality": q, "diversity": d} for q, d in points if d is not None]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": law.name,
            "legendgroup": "published law",
            "xaxis": "x",
            "yaxis": "y",
            "x": [row[x] for row in rows],
            "y": [row[y] for row in rows],
            "line": {"color": "@ink", "width": 1.2, "dash": "dashdot"},
            "showlegend": legend,
            "meta": {"role": "published law"},
            "hovertemplate": "%{fullData.name}<br>x %{x:.4g}, y %{y:.4g}<extra></extra>",
        }
    ]
