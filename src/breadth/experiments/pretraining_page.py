"""The page of a prior: learning curves and property histograms in one file that opens without a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from breadth.ledger.rows import write_atomic

TITLES = {
    "mw": "molecular weight, g/mol",
    "logp": "logP",
    "qed": "drug-likeness (QED)",
    "sa": "synthetic accessibility",
    "rings": "rings",
}
OURS, THEIRS = "#2a6fb0", "#b0b0b0"


def pretraining_figure(report: Mapping[str, Any]) -> go.Figure:
    """Return valid loss, validity and uniqueness over the steps, and a histogram of samples and corpus for each property."""
    curve = report["curve"]
    properties = report.get("distribution", {}).get("properties", {})
    names = ["loss on the validation split, nats a token", "validity and uniqueness of samples"]
    names += [TITLES.get(name, name) for name in properties]
    rows = -(-len(names) // 2)
    figure = make_subplots(rows=rows, cols=2, subplot_titles=names)
    steps = [row["step"] for row in curve]
    figure.add_scatter(
        x=steps,
        y=[r["valid_loss"] for r in curve],
        mode="lines+markers",
        name="valid loss",
        line_color=OURS,
        row=1,
        col=1,
    )
    for name, dash in (("validity", "solid"), ("uniqueness", "dot")):
        figure.add_scatter(
            x=steps,
            y=[row[name] for row in curve],
            mode="lines+markers",
            name=name,
            line={"color": OURS, "dash": dash},
            row=1,
            col=2,
        )
    for i, row in enumerate(properties.values(), 2):
        middles = [(a + b) / 2 for a, b in zip(row["edges"][:-1], row["edges"][1:], strict=True)]
        for which, name, colour in (("valid", "validation split", THEIRS), ("samples", "samples", OURS)):
            total = sum(row[which]) or 1
            shares = [n / total for n in row[which]]
            figure.add_scatter(
                x=middles, y=shares, name=name, line={"color": colour, "shape": "hvh"}, fill="tozeroy" if which == "valid" else None,
                showlegend=i == 2, row=i // 2 + 1, col=i % 2 + 1,
            )  # fmt: skip
    figure.update_layout(height=300 * rows, template="plotly_white", title=_headline(report), margin={"t": 90})
    return figure


def _headline(report: Mapping[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return (
        f"{report['parameters']:,} parameters, {report['steps']:,} steps: valid loss {number(report['valid_loss'])}, validity "
        f"{number(report['validity'])}, uniqueness {number(report['uniqueness'])}, novelty {number(report['novelty'])}"
    )


def write_page(report: Mapping[str, Any], path: Path) -> Path:
    """Write the page and return its path."""
    html = pretraining_figure(report).to_html(full_html=True, include_plotlyjs=True)
    write_atomic(path, html.encode())
    return path
