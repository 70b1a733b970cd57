"""pass@k of every objective over the number of tries, as a multiple of the prior's own: above 1 training has paid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from panels import framed

from breadth.experiments.pass_curves import PassCurve

WIDTH, PANEL, LEFT, TOP, BOTTOM, LEGEND = 900, 300, 60, 30, 48, 190
# Okabe and Ito's colours, twice with two kinds of lines
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b1f24")


def picture(curves: Sequence[PassCurve]) -> str:
    """Return two panels as SVG: pass@k over k (the prior dotted), and the same divided by the prior's pass@k."""
    height = TOP + PANEL + BOTTOM
    inner = (WIDTH - LEGEND - 2 * LEFT) / 2
    k = curves[0].k
    longest = max(curves, key=lambda curve: len(curve.seeds))
    prior = dict(zip(longest.k, (e.value for e in longest.prior), strict=True))
    ratios = [
        (e.value or 0.0) / p.value for curve in curves for e, p in zip(curve.value, curve.prior, strict=True) if p.value
    ]
    top = math.ceil(2 * max([1.0, *ratios])) / 2

    def x(panel: int, tries: float) -> float:
        return LEFT + panel * (inner + LEFT) + math.log(tries) / math.log(k[-1] if k[-1] > 1 else 2) * inner

    def y(value: float, most: float) -> float:
        return TOP + PANEL - value / most * PANEL

    parts = []
    for panel, (most, name) in enumerate(((1.0, "pass@k"), (top, "pass@k over the prior's own"))):
        parts.append(f'<text x="{x(panel, 1):.1f}" y="{TOP - 10}">{name}</text>')
        for tries in k:
            parts.append(
                f'<line x1="{x(panel, tries):.1f}" x2="{x(panel, tries):.1f}" y1="{TOP}" y2="{TOP + PANEL}" class="grid"/>'
            )
            parts.append(f'<text x="{x(panel, tries):.1f}" y="{TOP + PANEL + 18}" text-anchor="middle">{tries}</text>')
        for step in range(6):
            value = most * step / 5
            parts.append(
                f'<line x1="{x(panel, 1):.1f}" x2="{x(panel, k[-1]):.1f}" y1="{y(value, most):.1f}" y2="{y(value, most):.1f}" class="grid"/>'
            )
            parts.append(
                f'<text x="{x(panel, 1) - 8:.1f}" y="{y(value, most) + 4:.1f}" text-anchor="end">{value:.1f}</text>'
            )
        parts.append(
            f'<text x="{x(panel, k[-1] ** 0.5):.1f}" y="{height - 10}" text-anchor="middle">k, answers to a prompt</text>'
        )
    dotted = 'stroke="#1b1f24" stroke-dasharray="2 4" class="line"'
    line = " ".join(f"{x(0, n):.1f},{y(value, 1.0):.1f}" for n, value in prior.items() if value is not None)
    parts.append(f'<polyline points="{line}" {dotted}><title>the prior</title></polyline>')
    parts.append(
        f'<polyline points="{x(1, 1):.1f},{y(1, top):.1f} {x(1, k[-1]):.1f},{y(1, top):.1f}" {dotted}><title>the prior</title></polyline>'
    )
    names = [("the prior", dotted)]
    for i, curve in enumerate(curves):
        dash = ' stroke-dasharray="7 4"' if i >= len(COLOURS) else ""
        dash = ' stroke-dasharray="2 2"' if i >= 2 * len(COLOURS) else dash
        style = f'stroke="{COLOURS[i % len(COLOURS)]}"{dash} class="line"'
        title = f"<title>{escape(curve.label)}</title>"
        plain = " ".join(
            f"{x(0, n):.1f},{y(e.value, 1.0):.1f}"
            for n, e in zip(curve.k, curve.value, strict=True)
            if e.value is not None
        )
        over = " ".join(
            f"{x(1, n):.1f},{y(e.value / p.value, top):.1f}"
            for n, e, p in zip(curve.k, curve.value, curve.prior, strict=True)
            if e.value is not None and p.value
        )
        parts += [f'<polyline points="{points}" {style}>{title}</polyline>' for points in (plain, over)]
        names.append((curve.label, style))
    for i, (name, style) in enumerate(names):
        at = TOP + 8 + i * min(20, PANEL / len(names))
        parts.append(
            f'<line x1="{WIDTH - LEGEND + 24}" x2="{WIDTH - LEGEND + 52}" y1="{at:.1f}" y2="{at:.1f}" {style}/>'
        )
        parts.append(f'<text x="{WIDTH - LEGEND + 60}" y="{at + 4:.1f}">{escape(name)}</text>')
    return framed("pass@k of every objective on countdown, beside the prior's own", WIDTH, height, parts)
