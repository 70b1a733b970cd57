"""The corpus-tilt frontier as a stroke beside the policies, where ``breadth tilt`` left one in the study's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from breadth.experiments.notation import is_number

FILE = "tilt.json"
NAME = "corpus tilt (no policy)"


def tilt_traces(folder: Path, *, x: str, y: str, legend: bool = True) -> list[dict[str, Any]]:
    """Return the frontier as one dotted line in the first panel; nothing where there is no file.

    Parameters
    ----------
    folder : Path
        The study's.
    x, y : {"quality", "diversity"}
        Which of the two lies on which axis.

    Raises
    ------
    ValueError
        The file is there and is not what ``breadth tilt`` writes.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return []
    try:
        points = [
            p for p in json.loads(path.read_text())["points"] if is_number(p["quality"]) and is_number(p["diversity"])
        ]
        rows = [(p[x], p[y], f"β = {p['beta']:.4g}, {p['effective']:,.0f} molecules in effect") for p in points]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
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
