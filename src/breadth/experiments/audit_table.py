"""An audit as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

BAR = "█"


def audit_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the parts of the samples, the similarities to known actives where there is a table, and alerts."""
    step = "" if found["step"] is None else f", step {found['step']}"
    parts = Table(
        title=f"{found['source']}{step}: {found['n']:,} samples, hits ≥ {found['at_score']:g}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for name in ("samples", "n", "share", "distinct", "R", "D", "D unique", "hits", "diverse"):
        parts.add_column(name, justify="left" if name == "samples" else "right")
    for p in found["parts"]:
        numbers = [_number(p[key]) for key in ("quality", "diversity", "diversity_unique")]
        parts.add_row(
            p["name"].replace("_", " "), f"{p['n']:,}", f"{p['share']:.1%}", f"{p['n_distinct']:,}", *numbers, str(p["hits"]), str(p["diverse_hits"])
        )  # fmt: skip
    out = [parts]
    near, novel = found["nearest_active"], found["nearest_active_novel"]
    if near:
        table = Table(
            title="Similarity to the nearest known active (samples)", title_justify="left", box=box.SIMPLE_HEAD
        )
        for name in ("similarity", "all", "novel", ""):
            table.add_column(name, justify="left" if not name else "right")
        most = max(near["histogram"]) or 1
        for i, count in enumerate(near["histogram"]):
            edge = f"{i / 10:.1f}–{(i + 1) / 10:.1f}"
            table.add_row(edge, f"{count:,}", f"{novel['histogram'][i]:,}", BAR * round(30 * count / most))
        out.append(table)
    table = Table(
        title="What a chemist would object to (distinct molecules)", title_justify="left", box=box.SIMPLE_HEAD
    )
    for name in ("", "samples", "corpus"):
        table.add_column(name, justify="right" if name else "left")
    mine, theirs = found["looks"]["samples"], found["looks"]["corpus"]
    table.add_row("synthetic accessibility, mean (1 easy, 10 hard)", _number(mine["sa"], 2), _number(theirs["sa"], 2))
    for key, words in (("sa_hard_share", "above 6"), ("pains_share", "PAINS alerts"), ("brenk_share", "Brenk alerts")):
        table.add_row(words, _share(mine[key]), _share(theirs[key]))
    for name, count in [*mine["pains_most"][:2], *mine["brenk_most"][:3]]:
        table.add_row(f"  {name}", f"{count:,}", "")
    return [*out, table]


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
