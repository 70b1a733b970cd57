"""The corpus-tilt frontier as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table


def tilt_tables(found: Mapping[str, Any]) -> list[Table | str]:
    """Return the points, the top molecules, and a line on what they rest on."""
    points = Table(title="Corpus tilt: weights ∝ exp(β·score)", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("β", "R", "D", "± (how)", "H nats", "in effect", "KL"):
        points.add_column(name, justify="right")
    for p in found["points"]:
        how = "bound" if p["method"] == "sum" else "s.e."
        cells = (f"{p['quality']:.3f}", f"{p['diversity']:.4f}", f"{p['error']:.1g} ({how})", f"{p['entropy']:.2f}")
        points.add_row(f"{p['beta']:.4g}", *cells, f"{p['effective']:,.0f}", f"{p['kl']:.2f}")
    tops = Table(title="Known molecules by score", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("score ≥", "molecules", "mean", "D", "circles"):
        tops.add_column(name, justify="right")
    for row in found["tops"]:
        numbers = ["–" if row[k] is None else f"{row[k]:.3f}" for k in ("quality", "diversity")]
        tops.add_row(
            f"{row['at']:g}", f"{row['n']:,}", *numbers, "–" if row["circles"] is None else str(row["circles"])
        )
    rests = f"{found['n']:,} molecules of {found['corpus']['source']}, mean score {found['quality']:.3f}, best {found['best']:.3f}"
    if found["n_excluded"]:
        rests += f"; {found['n_excluded']:,} left out that stand in the excluded file"
    if found["n_unscored"]:
        rests += f"; {found['n_unscored']:,} unscored"
    unmet = [f"R = {t['quality']:g} {t['reason']}" for t in found["targets"] if t["reason"]]
    return [points, tops, rests, *unmet]
