"""Headings that say what a figure says, computed from the study's own numbers; a plain name where there is nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from breadth.experiments.evidence import Evidence
from breadth.experiments.notation import VERDICTS, is_number, level, number, plural
from breadth.experiments.table import LAWS, ResultRow, baseline, headline_quality, matched_qualities


def of_steps(rows: Sequence[ResultRow]) -> str:
    """Return the span of final R and D over the objectives."""
    parts = []
    for role, letter in (("quality", "R"), ("diversity", "D")):
        known = sorted((row.final[role].value, row.name) for row in rows if row.final[role].value is not None)
        if len(known) > 1:
            (low, worst), (high, best) = known[0], known[-1]
            parts.append(f"{letter} from {number(low)} for {worst} to {number(high)} for {best}")
        elif known:
            parts.append(f"{letter} at {number(known[0][0])} for {known[0][1]}")
    return f"Training ends with {'; '.join(parts)}" if parts else "Quality, diversity and entropy over training"


def of_laws(rows: Sequence[ResultRow]) -> str:
    """Return how often each of the two quality laws holds over the objectives' pooled checkpoints."""
    parts = []
    for law in ("R-D", "R-H"):
        counts = Counter(row.laws[law][0] for row in rows if row.laws[law][0] in VERDICTS)
        if total := sum(counts.values()):
            unknown = f" ({counts['cannot tell']} cannot tell)" if counts["cannot tell"] else ""
            words = plural(total, "objective") if not parts else str(total)
            parts.append(
                f"the {LAWS[law]} law{' holds' if not parts else ''} for {counts['holds']} of {words}{unknown}"
            )
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}" if text else "Quality–diversity laws"


def of_frontier(summary: Mapping[str, Any], rows: Sequence[ResultRow]) -> str:
    """Return who keeps the most and the least diversity at the headline quality, and who does not get there."""
    at = headline_quality(summary)
    if at is None:
        return "The frontier of quality and diversity"
    i = matched_qualities(summary).index(at)
    known = sorted((row.at_quality[i].value, row.name) for row in rows if row.at_quality[i].value is not None)
    missing = [row.name for row in rows if row.at_quality[i].value is None]
    if not known:
        return f"No objective reaches R ≥ {level(at)}"
    (low, least), (high, most) = known[0], known[-1]
    text = f"At R ≥ {level(at)} the mean D is {number(high)} for {most}"
    text += f", the highest, and {number(low)} for {least}, the lowest" if len(known) > 1 else ""
    return text + (f"; not reached by {' and '.join(missing)}" if missing else "")


def of_comparisons(summary: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the count of each verdict against the baseline."""
    reference = baseline(summary)
    counts = Counter(str(row["verdict"]) for row in summary.get("comparisons", ()) if row["b"] == reference)
    if not counts:
        return "Comparisons at equal quality"
    words = {"bought": "bought diversity", "lost": "lost it", "the same": "kept the same", "cannot tell": "cannot tell"}
    parts = [f"{counts[verdict]} {said}" for verdict, said in words.items() if counts[verdict]]
    total = plural(sum(counts.values()), "comparison")
    return f"Of {total} with {names.get(reference, reference)}: {', '.join(parts)}"


def of_numbers(evidence: Evidence) -> str:
    """Return how many numbers the ledgers hold."""
    count = sum(is_number(row.get("value")) for run in evidence.runs for row in run.rows)
    return f"Every number: {plural(count, 'measurement')} with the ledger rows they stand in"


def of_passes(evidence: Evidence) -> str:
    """Return how many objectives fall behind their prior within the tries that were measured."""
    from breadth.experiments.pass_curves import FAMILIES, curve_of, tries_in

    metric = FAMILIES["pass"]
    found = []
    for label in evidence.labels:
        runs = [(run.seed, run.rows) for run in evidence.of(label) if run.complete and tries_in(run.rows, metric)]
        if runs:
            found.append(curve_of(label, runs, metric))
    if not found:
        return "Success over the number of tries"
    behind = sum(curve.crossing is not None for curve in found)
    verb = "falls" if behind == 1 else "fall"
    return f"{behind} of {plural(len(found), 'objective')} {verb} behind the prior within {max(curve.k[-1] for curve in found)} tries"
