"""What a tuned model has more or less of than its base:  python docs/gallery/two_models.py [two-models.svg]

The files are those that docs/two-models.md makes; every line is a row of ``compare_files``: difference, 95 % interval over prompts, verdict.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parent))
from panels import BLUE, ORANGE, first_block_of, framed

from breadth.experiments.generations import compare_files, measure_file
from breadth.experiments.notation import VERDICTS, number

WIDTH, LINE, LEFT, RIGHT, TOP, BOTTOM = 760, 24, 200, 190, 14, 44


def picture() -> str:
    """Return the differences, each in units of the base's value, so that shares and counts share an axis."""
    with first_block_of("two-models.md"):
        found = compare_files("tuned.jsonl", "base.jsonl")
        base = {row.metric: row.value for _, row in measure_file("base.jsonl").rows}
    rows = [row for row in found if row.value is not None and base.get(row.metric)]
    scale = {row.metric: abs(base[row.metric]) for row in rows}
    ends = [
        0.0,
        *(value / scale[row.metric] for row in rows for value in (row.low, row.high, row.value) if value is not None),
    ]
    low, high = 1.05 * min(ends), 1.05 * max(ends)
    height = TOP + LINE * len(rows) + BOTTOM

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP}" y2="{height - BOTTOM}" class="zero"/>']
    for tick in (min(ends), 0.0, max(ends)):
        parts.append(
            f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 16}" text-anchor="middle">{100 * tick:+.0f} %</text>'
        )
    for i, row in enumerate(rows):
        at, size = TOP + LINE * i + LINE / 2, scale[row.metric]
        colour = BLUE if (row.value or 0) >= 0 else ORANGE
        parts.append(f'<text x="{LEFT - 10}" y="{at + 4}" text-anchor="end">{escape(row.metric)}</text>')
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line x1="{x(row.low / size):.1f}" x2="{x(row.high / size):.1f}" y1="{at}" y2="{at}" stroke="{colour}" class="bar"/>'
            )
        parts.append(f'<circle cx="{x((row.value or 0) / size):.1f}" cy="{at}" r="4.5" fill="{colour}"/>')
        sign = VERDICTS.get(row.verdict, ("",))[0]
        parts.append(
            f'<text x="{WIDTH - RIGHT + 12}" y="{at + 4}">{number(row.value)}  {sign} {escape(row.verdict)}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 8}" text-anchor="middle">tuned − base, in shares of the base</text>'
    )
    return framed("Differences between two models, with 95 % intervals over prompts", WIDTH, height, parts)


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parent / "two-models.svg"
    target.write_text(picture(), encoding="utf-8")
    print(f"written  {target}")
