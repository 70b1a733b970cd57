"""What a study says in one or two sentences: only what its comparisons and fits support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from breadth.experiments.notation import display_names
from breadth.experiments.table import headline_quality


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
    names = display_names(summary)
    rates = {entry["settings"]["train"]["learning_rate"] for entry in objectives.values()}
    tuned = f"at learning rate {rates.pop():g}" if len(rates) == 1 else "each at its own learning rate"
    if summary.get("tuning"):
        tuned = "each at the learning rate chosen for it on other seeds"
    where = "At the end of the runs" if at is None else f"At R ≥ {at:g}"
    groups: dict[str, list[str]] = {}
    n = max(c["n_seeds"] for c in rows)
    for c in rows:
        fewer = "" if c["n_seeds"] == n else f", {c['n_seeds']} of {n} seeds"
        known = c["value"] is not None and c["low"] is not None
        tail = f" ({c['value']:+.3f}, {c['low']:.3f} to {c['high']:.3f}{fewer})" if known else ""
        groups.setdefault(c["verdict"], []).append(names[c["a"]] + tail)
    words = {
        "bought": "bought diversity",
        "lost": "lost diversity",
        "the same": f"kept the same diversity within {rows[0]['margin']:g}",
        "cannot tell": "cannot be told apart from it with " + ("this seed" if n == 1 else "these seeds"),
    }
    seeds = "seed" if n == 1 else "seeds"
    said = "; ".join(f"{listed(groups[v])} {words[v]}" for v in words if v in groups)
    return f"{where}, against {names[baseline]} and {tuned} ({n} paired {seeds}): {said}."


def _telling_quality(summary: Mapping[str, Any]) -> float | None:
    """Return the quality of the short table where a comparison can be read at it; None means the end of the runs."""
    at = headline_quality(summary)
    known = any(c["value"] is not None for c in summary["comparisons"] if c["quality"] is not None and round(c["quality"], 6) == at)
    return next((c["quality"] for c in summary["comparisons"] if known and c["quality"] is not None and round(c["quality"], 6) == at), None)


def _law_words(summary: Mapping[str, Any]) -> str:
    words = {"holds": "holds for", "does not hold": "does not hold for", "cannot tell": "is left open by the data of"}
    said, names = [], display_names(summary)
    for law, name in (("R-D", "R = −a·exp(c·D)+b"), ("R-H", "R = −a₀·exp(c₀·H)+b₀")):
        verdicts: dict[str, list[str]] = {}
        for label, entry in summary["objectives"].items():
            verdicts.setdefault(entry["fits"][law]["verdict"], []).append(names[label])
        said.append(f"{name} " + ", and ".join(f"{words[v]} {listed(verdicts[v])}" for v in words if v in verdicts))
    return f"The law {'; the law '.join(said)} (all seeds together)."


def listed(names: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
