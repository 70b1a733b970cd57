"""What a study says in one or two sentences: only what its comparisons and fits support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def verdict_sentence(summary: Mapping[str, Any]) -> str:
    """Return the verdict in words: the frontier at the highest quality that tells, then the laws.

    The learning rate is named, because methods were not tuned separately.
    """
    parts = [_frontier_words(summary), _law_words(summary)]
    return " ".join(p for p in parts if p)


def _frontier_words(summary: Mapping[str, Any]) -> str:
    objectives, baseline = summary["objectives"], summary["baseline"]
    if len(objectives) < 2:
        return ""
    at = _telling_quality(summary)
    rows = [c for c in summary["comparisons"] if c["quality"] == at]
    if not rows:
        return ""
    title = objectives[baseline]["title"]
    rate = objectives[baseline]["settings"]["train"]["learning_rate"]
    where = "At the end of the runs" if at is None else f"At R ≥ {at:g}"
    groups: dict[str, list[str]] = {}
    for c in rows:
        name = objectives[c["a"]]["title"]
        tail = (
            "" if c["value"] is None or c["low"] is None else f" ({c['value']:+.3f}, {c['low']:.3f} to {c['high']:.3f})"
        )
        groups.setdefault(c["verdict"], []).append(name + tail)
    words = {
        "bought": "bought diversity",
        "lost": "lost diversity",
        "the same": f"kept the same diversity within {rows[0]['margin']:g}",
        "cannot tell": "cannot be told apart from it with these seeds",
    }
    said = "; ".join(f"{listed(groups[v])} {words[v]}" for v in words if v in groups)
    n = max(c["n_seeds"] for c in rows)
    return f"{where}, against {title} and at learning rate {rate:g} ({n} paired seeds): {said}."


def _telling_quality(summary: Mapping[str, Any]) -> float | None:
    """Return the highest quality at which most comparisons have a value; None means the end of the runs."""
    best: tuple[int, float] | None = None
    for q in {c["quality"] for c in summary["comparisons"] if c["quality"] is not None}:
        known = sum(c["value"] is not None for c in summary["comparisons"] if c["quality"] == q)
        if known and (best is None or (known, q) > best):
            best = (known, q)
    return None if best is None else best[1]


def _law_words(summary: Mapping[str, Any]) -> str:
    words = {"holds": "holds for", "does not hold": "does not hold for", "cannot tell": "is left open by the data of"}
    said = []
    for law, name in (("R-D", "R = −a·exp(c·D)+b"), ("R-H", "R = −a₀·exp(c₀·H)+b₀")):
        verdicts: dict[str, list[str]] = {}
        for entry in summary["objectives"].values():
            verdicts.setdefault(entry["fits"][law]["verdict"], []).append(entry["title"])
        said.append(f"{name} " + ", and ".join(f"{words[v]} {listed(verdicts[v])}" for v in words if v in verdicts))
    return f"The law {'; the law '.join(said)} (all seeds together)."


def listed(names: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
