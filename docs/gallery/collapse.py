"""A run that collapses, step by step:  python docs/gallery/collapse.py [collapse.svg]

The log is the one that docs/collapsing.md makes; both lines are read from it by ``measure_file``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from panels import BLUE, ORANGE, first_block_of, framed

import breadth
from breadth.experiments.generations import measure_file

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 310, 56, 60, 32, 46


def picture() -> str:
    """Return different answers among k (left axis) and mean reward (right axis) over the steps, with 95 % intervals."""
    with first_block_of("collapsing.md"):
        measured = measure_file("completions", partition=breadth.partition("canonical"))
    rows = {
        name: [(step, row) for step, row in measured.rows if row.metric == name] for name in ("distinct_k", "quality")
    }
    steps = [step for step, _ in rows["distinct_k"]]
    top = {"distinct_k": max(row.high or row.value for _, row in rows["distinct_k"]), "quality": 1.0}

    def x(step: float) -> float:
        return LEFT + (step - steps[0]) / (steps[-1] - steps[0]) * (WIDTH - LEFT - RIGHT)

    def y(name: str, value: float) -> float:
        return HEIGHT - BOTTOM - value / top[name] * (HEIGHT - TOP - BOTTOM)

    parts = []
    for i in range(5):
        up = y("quality", i / 4)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up:.1f}" y2="{up:.1f}" class="grid"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{up + 4:.1f}" text-anchor="end" fill="{BLUE}">{i / 4 * top["distinct_k"]:.1f}</text>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{up + 4:.1f}">{i / 4:.2f}</text>')
    for step in steps:
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>')
    for name, colour, dash, words in (
        ("distinct_k", BLUE, "", "different answers among 8"),
        ("quality", ORANGE, "7 4", "mean reward"),
    ):
        points = " ".join(f"{x(step):.1f},{y(name, row.value):.1f}" for step, row in rows[name])
        parts.append(
            f'<polyline points="{points}" stroke="{colour}" stroke-dasharray="{dash}" class="line"><title>{words}</title></polyline>'
        )
        for step, row in rows[name]:
            if row.low is not None and row.high is not None:
                ends = f'y1="{y(name, row.low):.1f}" y2="{y(name, row.high):.1f}"'
                parts.append(f'<line x1="{x(step):.1f}" x2="{x(step):.1f}" {ends} stroke="{colour}" class="bar"/>')
    parts.append(f'<text x="{LEFT}" y="16">— different answers among 8 (left)</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="16" text-anchor="end">- - mean reward (right)</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">step of training</text>'
    )
    return framed("Different answers among eight and mean reward over the steps of a log", WIDTH, HEIGHT, parts)


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parent / "collapse.svg"
    target.write_text(picture(), encoding="utf-8")
    print(f"written  {target}")
