"""Write the tables of docs/forecasts.md from the scores:  python benchmarks/forecast_tables.py

Reads benchmarks/results/forecast_scores.json and forecast_scores_tasks.json (``forecast_scores.py`` writes them).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "forecasts.md"
NAMES = {
    "skill_persistence": "skill against persistence",
    "skill_spline": "skill against the spline",
    "coverage80": "in 80 %",
}

Rows = list[dict[str, Any]]


def pair(row: dict[str, Any] | None, suffix: str = "") -> str:
    """Return "median / mean" of an error, or a dash."""
    if row is None or row[f"median{suffix}"] is None:
        return "–"
    return f"{row[f'median{suffix}']:.3f} / {row[f'mean{suffix}']:.3f}"


def share(value: float | None) -> str:
    """Return a share in per cent, or a dash."""
    return "–" if value is None else f"{100 * value:.0f}%"


def ends(scores: Rows, quantity: str) -> str:
    """Return one line a study and share of training: errors of four forecasts, and coverage."""
    lines = [
        "| study left out | seen | runs | before | now | persistence | spline | 80 %, before | 80 %, now | 95 %, now |"
    ]
    lines.append("|" + "---|" * 10)
    for row in scores:
        kind, _, name = row["of"].partition(" ")
        if kind != "after" or row["quantity"] != quantity:
            continue
        old = next(
            (r for r in scores if (r["of"], r["quantity"], r["share"]) == (f"before {name}", quantity, row["share"])),
            None,
        )
        title = f"**{name}**" if name in ("all", "unseen") else name
        cells = [
            title,
            share(row["share"]),
            str(row["n"]),
            pair(old),
            pair(row),
            pair(row, "_persistence"),
            pair(row, "_spline"),
        ]
        covered = [
            share(None if old is None else old["coverage80"]),
            share(row["coverage80"]),
            share(row["coverage95"]),
        ]
        lines.append("| " + " | ".join([*cells, *covered]) + " |")
    return "\n".join(lines)


def plain(scores: Rows, of: str, quantity: str) -> str:
    """Return one line a share of training for one group of runs."""
    lines = ["| seen | runs | forecast | persistence | spline | 80 % | 95 % |", "|" + "---|" * 7]
    for row in scores:
        if (row["of"], row["quantity"]) == (of, quantity):
            cells = [share(row["share"]), str(row["n"]), pair(row), pair(row, "_persistence"), pair(row, "_spline")]
            lines.append("| " + " | ".join([*cells, share(row["coverage80"]), share(row["coverage95"])]) + " |")
    return "\n".join(lines)


def goals(intervals: Rows) -> str:
    """Return skills and coverage of D at the end with their intervals over studies."""
    lines = ["| of | seen | runs, studies | " + " | ".join(NAMES.values()) + " |", "|" + "---|" * 6]
    for of in dict.fromkeys(r["of"] for r in intervals):
        for at in dict.fromkeys(r["share"] for r in intervals):
            rows = {r["what"]: r for r in intervals if (r["of"], r["share"]) == (of, at)}
            if not rows:
                continue
            first = rows["coverage80"]
            cells = [of, share(at), f"{first['n']}, {first['n_studies']}"]
            for what in NAMES:
                r = rows[what]
                form = (lambda v: f"{100 * v:.1f}%") if what == "coverage80" else (lambda v: f"{v:+.2f}")
                cells.append(f"{form(r['value'])} ({form(r['low'])} to {form(r['high'])})")
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reached(rows: Rows) -> str:
    """Return how good the probabilities of reaching a target were, a line a study and share."""
    lines = ['| study | seen | asked | reached | Brier | base rate | "yes" right | "no" right |', "|" + "---|" * 8]
    for r in rows:
        cells = [
            r["of"],
            share(r["share"]),
            str(r["n"]),
            share(r["happened"]),
            f"{r['brier']:.3f}",
            f"{r['brier_base']:.3f}",
        ]
        right = [f"{r['n_yes_right']} of {r['n_yes']}", f"{r['n_no_right']} of {r['n_no']}"]
        lines.append("| " + " | ".join([*cells, *right]) + " |")
    return "\n".join(lines)


def main() -> None:
    """Write every table between its markers."""
    results = ROOT / "benchmarks" / "results"
    found, tasks = (
        json.loads((results / name).read_text()) for name in ("forecast_scores.json", "forecast_scores_tasks.json")
    )
    tables = {
        "forecast-goals": goals(found["intervals"]),
        "forecast-d": ends(found["scores"], "D at the end"),
        "forecast-r": ends(found["scores"], "R at the end"),
        "forecast-target": plain(found["scores"], "after all", "D at R >= 0.95"),
        "forecast-tasks": plain(tasks["scores"], "after all", "D at the end"),
        "forecast-reach": reached(found["reach"]),
    }
    text = PAGE.read_text()
    for name, table in tables.items():
        text, n = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.S
        )
        if n != 1:
            raise ValueError(f"{PAGE}: expected one pair of markers <!-- {name} -->, found {n}")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
