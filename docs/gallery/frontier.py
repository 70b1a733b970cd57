"""Attainment frontiers as pictures:  python docs/gallery/frontier.py [STUDY.json ... --out FOLDER]

Each file is what docs/make_decision.py keeps of a study's summary, or a ``summary.json`` itself. D over the quality that is asked for, mean
over seeds, where all seeds that count reached it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 840, 420, 78, 210, 18, 48
STRETCH = 0.25  # of quality, up to the highest that all seeds of an objective reached
# Okabe and Ito's colours, twice with two kinds of lines
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b1f24")


def picture(study: dict[str, Any]) -> str:
    """Return the frontiers of a study as SVG; qualities that not all seeds of an objective reached are left out of its line."""
    curves = study["frontier"].get("curves", study["frontier"])
    lines: dict[str, list[tuple[float, float]]] = {}
    for label, curve in curves.items():
        most = max(curve["n_seeds"], default=0)
        lines[label] = [
            (q, d)
            for q, d, n in zip(curve["quality"], curve["diversity"], curve["n_seeds"], strict=True)
            if d is not None and n == most
        ]
    end = max((q for points in lines.values() for q, _ in points), default=0.0)
    # the last stretch: below it hardly any objective has paid yet
    lines = {
        label: near for label, points in lines.items() if (near := [(q, d) for q, d in points if q >= end - STRETCH])
    }
    everything = [point for points in lines.values() for point in points]
    left, right = min(q for q, _ in everything), max(q for q, _ in everything)
    low, high = min(d for _, d in everything), max(d for _, d in everything)
    spare = 0.05 * (high - low or 1.0)

    def x(quality: float) -> float:
        return LEFT + (quality - left) / ((right - left) or 1.0) * (WIDTH - LEFT - RIGHT)

    def y(diversity: float) -> float:
        return HEIGHT - BOTTOM - (diversity - low + spare) / (high - low + 2 * spare) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for i in range(6):
        quality, diversity = left + i / 5 * (right - left), low + i / 5 * (high - low)
        parts.append(
            f'<line x1="{x(quality):.1f}" x2="{x(quality):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>'
        )
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(diversity):.1f}" y2="{y(diversity):.1f}" class="grid"/>'
        )
        parts.append(f'<text x="{x(quality):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{quality:.2f}</text>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y(diversity) + 4:.1f}" text-anchor="end">{diversity:.{3 if high - low < 0.1 else 2}f}</text>'
        )
    for i, (label, points) in enumerate(lines.items()):
        style = f'stroke="{COLOURS[i % len(COLOURS)]}" class="{"curve" if i < len(COLOURS) else "curve dashed"}"'
        title = escape(study["objectives"][label]["title"])
        path = " ".join(f"{x(q):.1f},{y(d):.1f}" for q, d in points)
        parts.append(f'<polyline points="{path}" {style}><title>{title}</title></polyline>')
        at = TOP + 14 + 22 * i
        parts.append(f'<line x1="{WIDTH - RIGHT + 14}" x2="{WIDTH - RIGHT + 42}" y1="{at}" y2="{at}" {style}/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 50}" y="{at + 4}">{title}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">
<title>{escape(study["title"])}: diversity over the quality that is asked for</title>
<style>text {{ font: 12px system-ui, sans-serif; fill: #1b1f24; }} .grid {{ stroke: #e4e7eb; }}
.curve {{ fill: none; stroke-width: 2; }} .dashed {{ stroke-dasharray: 7 4; }}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
{body}
<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">quality that is asked for (R at least)</text>
<text transform="rotate(-90 16 {middle})" x="16" y="{middle}" text-anchor="middle">most diversity attained (D), mean over seeds</text>
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path, nargs="*", default=sorted((HERE / "data").glob("*.json")))
    parser.add_argument("--out", type=Path, default=HERE)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for path in given.studies:
        study = json.loads(path.read_text(encoding="utf-8"))
        target = given.out / f"frontier-{study['study']}.svg"
        target.write_text(picture(study), encoding="utf-8")
        print(f"written  {target}")


if __name__ == "__main__":
    main()
