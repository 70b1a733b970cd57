"""Pictures of the laws' curves:  python docs/gallery/laws.py [FOLDER]

One SVG for each law of the catalogue, drawn from the function itself at the parameters that are written beside each curve.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from breadth import catalogue

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 700, 320, 74, 220, 20, 44
COLOURS = ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito: told apart by the colour-blind
DASHES = ("", "8 4", "2 4")

#: law -> axes (x, y), and three settings of its parameters; the first is what its page fits
SHOWN: dict[str, tuple[str, str, tuple[dict[str, float], ...]]] = {
    "exponential": (
        "D",
        "R",
        ({"a": 0.0109, "b": 1.023, "c": 5.024}, {"a": 0.1, "b": 1.1, "c": 2}, {"a": 1e-6, "b": 1, "c": 14}),
    ),
    "unit_exponential": ("D", "R", ({"a": 0.5, "b": 1.5}, {"a": 0.3, "b": 1.3}, {"a": 0.1, "b": 1.1})),
    "linear": ("D", "H", ({"a": 0.518, "b": -0.118}, {"a": 1, "b": 0}, {"a": -0.5, "b": 0.9})),
    "power": ("D", "R", ({"a": 0.9, "b": 1, "c": 4}, {"a": 0.9, "b": 1, "c": 1.5}, {"a": 0.9, "b": 1, "c": 12})),
    "power_origin": ("x", "y", ({"b1": 0.8, "b2": 2}, {"b1": 0.8, "b2": 0.5}, {"b1": 0.8, "b2": 6})),
    "saturating": ("x", "y", ({"b1": 0.9, "b2": 4}, {"b1": 0.9, "b2": 12}, {"b1": 0.9, "b2": 1.5})),
    "logistic": (
        "x",
        "y",
        ({"b1": 0.9, "b2": 5, "b3": 10}, {"b1": 0.9, "b2": 10, "b3": 20}, {"b1": 0.9, "b2": 4, "b3": 5}),
    ),
    "falling_logistic": (
        "D",
        "R",
        ({"b1": 1, "b2": 8, "b3": 10}, {"b1": 1, "b2": 24, "b3": 30}, {"b1": 1, "b2": 4, "b3": 5}),
    ),
    "theory": ("D", "R", ({"lam": 0.0548, "c": 5.024}, {"lam": 0.3, "c": 2}, {"lam": 0.5, "c": 0.5})),
}


def picture(name: str) -> str:
    """Return the curves of a law as an SVG: x from 0 to 1, each curve with its parameters at its end."""
    x_name, y_name, settings = SHOWN[name]
    function = catalogue.resolve(catalogue.lookup("law", name))
    x = np.linspace(0, 1, 101)
    curves = [np.asarray(function(x, **numbers), dtype=float) for numbers in settings]
    low, high = min(0.0, *(float(c.min()) for c in curves)), max(1.0, *(float(c.max()) for c in curves))

    def place(at: float, value: float) -> tuple[float, float]:
        return LEFT + at * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - (value - low) / (high - low) * (
            HEIGHT - TOP - BOTTOM
        )

    parts = []
    for i in range(5):
        tick, level = i / 4, low + i / 4 * (high - low)
        across, (left, up) = place(tick, low)[0], place(0, level)
        parts.append(f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>')
        parts.append(f'<line x1="{left:.1f}" x2="{WIDTH - RIGHT}" y1="{up:.1f}" y2="{up:.1f}" class="grid"/>')
        parts.append(f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{left - 8:.1f}" y="{up + 4:.1f}" text-anchor="end">{level:.2f}</text>')
    for i, (numbers, curve) in enumerate(zip(settings, curves, strict=True)):
        points = " ".join(
            f"{a:.1f},{b:.1f}" for a, b in (place(at, v) for at, v in zip(x.tolist(), curve.tolist(), strict=True))
        )
        parts.append(
            f'<polyline points="{points}" stroke="{COLOURS[i]}" stroke-dasharray="{DASHES[i]}" class="curve"/>'
        )
        words = ", ".join(f"{k} {v:g}" for k, v in numbers.items())
        line = TOP + 20 + 22 * i
        parts.append(f'<line x1="{WIDTH - RIGHT + 12}" x2="{WIDTH - RIGHT + 36}" y1="{line}" y2="{line}" '
                     f'stroke="{COLOURS[i]}" stroke-dasharray="{DASHES[i]}" class="curve"/>')  # fmt: skip
        parts.append(f'<text x="{WIDTH - RIGHT + 42}" y="{line + 4}">{escape(words)}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">
<title>{escape(name.replace("_", " "))}: three curves</title>
<style>text {{ font: 12px system-ui, sans-serif; fill: #1b1f24; }} .grid {{ stroke: #e4e7eb; }} .curve {{ fill: none; stroke-width: 2; }}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{body}
<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{x_name}</text>
<text x="16" y="{middle}" text-anchor="middle">{y_name}</text>
</svg>
"""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "laws"
    folder.mkdir(parents=True, exist_ok=True)
    for name in catalogue.entries("law"):
        (folder / f"{name}.svg").write_text(picture(name), encoding="utf-8")
        print(f"written  {folder / f'{name}.svg'}")


if __name__ == "__main__":
    main()
