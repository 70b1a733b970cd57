"""The molecules of a study in one table: D at equal R beside law and corpus, circles, hits, and what was found per oracle call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from breadth.experiments.equal_quality import levels, read_tilt
from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import is_number, number, shown
from breadth.experiments.summary import over_seeds
from breadth.experiments.table import matched_qualities
from breadth.laws.published import published_law
from breadth.ledger.rows import read_rows

CALLS = "calls.jsonl"
BUDGET = 10_000  # oracle calls of the published benchmark; fewer where a run made fewer
TOP = 10
COUNTS = {"circles": "circles", "hits": "hits", "diverse_hits": "diverse hits"}
NO_SCORE = "none of its oracle calls has a score"
NO_LOG = "no log of its oracle calls: it was trained before there was one, or went on from such a checkpoint"


@dataclass(frozen=True, slots=True)
class Calls:
    """What one run found in its first ``budget`` distinct molecules."""

    n_calls: int
    auc: float | None  # None: no call has a score
    diverse_hits: int


def molecule_table(evidence: Evidence, _: Any) -> dict[str, Any] | None:
    """Return the words of the section; None where the study is not about molecules."""
    summary = evidence.summary
    if (summary.get("task") or {}).get("name") != "molecules":
        return None
    qualities = matched_qualities(summary)
    law = published_law("molecules", ((summary.get("settings") or {}).get("task") or {}).get("oracle"))
    tilt = read_tilt(evidence.tilt_file) if evidence.tilt_file is not None else []
    found = calls_of(evidence)
    budget = min([BUDGET, *(len(rows) for rows in found.values())]) if found else None
    per_call = {key: _calls(rows, budget, _hit_at(summary)) for key, rows in found.items()} if budget else {}
    rows = []
    for line in levels(summary["objectives"], qualities, tilt=tilt, published=law):
        counts = {name: _at_level(evidence, line.label, line.quality, name) for name in COUNTS}
        mine = [per_call[key] for run in evidence.of(line.label) if (key := (run.label, run.seed)) in per_call]
        rows.append(
            {
                "name": evidence.names[line.label],
                "quality": f"{line.quality:g}",
                "policy": shown(line.policy, reason=line.policy_reason),
                "own_law": _plain(line.own_law, line.own_law_reason),
                "published": _plain(
                    line.published,
                    "no law was published for this oracle" if law is None else "the published law never reaches it",
                ),
                "tilt": _plain(line.tilt, line.tilt_reason),
                "counts": [
                    shown(counts[name], reason=line.policy_reason or "not measured", digits=0) for name in COUNTS
                ],
                "auc": shown(over_seeds([c.auc for c in mine]), reason=NO_SCORE if mine else NO_LOG),
                "call_hits": shown(over_seeds([float(c.diverse_hits) for c in mine]), reason=NO_LOG, digits=0),
            }
        )
    if not rows:
        return None
    return {
        "title": _title(rows),
        "rows": rows,
        "counts": list(COUNTS.values()),
        "budget": budget,
        "n_runs": len(per_call),
        "top": TOP,
        "hit_at": number(_hit_at(summary), 2),
        "law": law,
        "tilted": bool(tilt),
    }


def calls_of(evidence: Evidence) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Return the rows of every run that kept a log of its calls; runs without one are left out."""
    found = {}
    for run in evidence.runs:
        path = evidence.folder / run.path / CALLS
        rows = read_rows(path) if path.is_file() else []
        if rows:
            found[run.label, run.seed] = rows
    return found


def _calls(rows: Sequence[Mapping[str, Any]], budget: int, hit_at: float) -> Calls:
    from breadth.metrics.oracle_calls import auc_top_k
    from breadth.tasks.molecule_sets import diverse_hits

    keys = [row["key"] for row in rows]
    scores = [float("nan") if row["quality"] is None else row["quality"] for row in rows]
    every = max(1, min(100, budget // 10))
    return Calls(
        n_calls=len(keys),
        auc=auc_top_k(scores, keys=keys, k=TOP, budget=budget, every=every).auc,
        diverse_hits=diverse_hits(keys, scores, at_score=hit_at, calls=budget).n,
    )


def _hit_at(summary: Mapping[str, Any]) -> float:
    return float((summary.get("task") or {}).get("correct_at") or 0.5)


def _at_level(evidence: Evidence, label: str, quality: float, metric: str) -> dict[str, Any]:
    """Return a count over seeds, each at the checkpoint at which its run's D at this quality was read."""
    values = []
    for run in evidence.of(label):
        step = _step_of(evidence, run, quality)
        row = None if step is None else run.series(metric).get(step)
        values.append(row["value"] if row is not None else None)
    return over_seeds(values)


def _step_of(evidence: Evidence, run: RunEvidence, quality: float) -> int | None:
    entries = evidence.summary["objectives"][run.label].get("runs") or ()
    rows = next((entry.get("at_quality") or () for entry in entries if entry["seed"] == run.seed), ())
    return next((row.get("step") for row in rows if round(row["quality"], 6) == round(quality, 6)), None)


def _plain(value: float | None, reason: str) -> Any:
    return shown({"value": value, "low": None, "high": None}, reason=reason)


def _title(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the headline: the widest policy at the highest quality that any reaches, beside law and corpus there."""
    reached = [row for row in rows if is_number(row["policy"].value)]
    if not reached:
        return "Molecules at equal quality: no objective reaches the qualities asked for"
    best = max(reached, key=lambda row: (float(row["quality"]), row["policy"].value))
    beside = [
        f"{words} {row.text}"
        for words, row in (("published law", best["published"]), ("tilted corpus", best["tilt"]))
        if is_number(row.value)
    ]
    return f"At R ≥ {best['quality']}, {best['name']} keeps D {best['policy'].text}{': ' + ', '.join(beside) if beside else ''}"
