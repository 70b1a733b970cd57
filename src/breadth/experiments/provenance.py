"""Where a study comes from: code, command, seeds, machine, prior, seconds, and every setting by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from breadth.experiments.evidence import Evidence
from breadth.experiments.notation import DASH, Shown, duration, plural, shown

# event in events.jsonl -> how it is called on the page
TROUBLES = {
    "refused": "Updates refused",
    "unscored": "Steps with rollouts that could not be scored",
    "repaired": "Files repaired",
    "resumed": "Runs continued after an interruption",
}


def provenance(evidence: Evidence) -> dict[str, Any]:
    """Return the tables of facts: ``study``, ``prior``, ``seconds``, ``settings``: lists of (name, text or Shown)."""
    summary = evidence.summary
    seeds = sorted({run.seed for run in evidence.runs})
    facts: list[tuple[str, Any]] = [
        ("study", _text(summary.get("study"))),
        ("command", _text(summary.get("command"))),
        ("commit", _text(summary.get("commit"), "not in a git work tree")),
        ("breadth", _text(summary.get("breadth"))),
        ("seeds", ", ".join(map(str, seeds)) or DASH),
        *_machine(evidence),
    ]
    return {
        "study": facts,
        "prior": _prior(evidence, summary.get("prior") or {}),
        "seconds": [
            (name.replace("_", " "), duration(value)) for name, value in (summary.get("seconds") or {}).items()
        ],
        "troubles": _troubles(evidence),
        "settings": flat(summary.get("settings") or {}),
    }


def _text(value: Any, reason: str = "not recorded") -> Any:
    return str(value) if value else Shown(DASH, reason=reason)


def _prior(evidence: Evidence, prior: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if not prior:
        return []
    cached = {True: "from the cache", False: "trained in this study"}.get(prior.get("from_cache"), DASH)
    parameters = prior.get("parameters")
    facts = [
        ("hash", _text(prior.get("hash"))),
        ("origin", cached),
        ("training", duration(prior.get("seconds"))),
        ("parameters", f"{parameters:,}" if parameters else DASH),
    ]
    letters = {"quality": "R", "diversity": "D", "entropy": "H"}
    return facts + [(letter, shown(prior.get(evidence.metric(role)))) for role, letter in letters.items()]


def _machine(evidence: Evidence) -> list[tuple[str, Any]]:
    """Return the versions and the machine: the study's, else those of the first run that recorded them."""
    recorded = (event for run in evidence.runs for event in run.events if event.get("packages"))
    facts = evidence.summary.get("machine") or next(recorded, {})
    versions = {"python": facts.get("python"), **(facts.get("packages") or {})}
    known = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    machine = ", ".join(str(facts[key]) for key in ("processor", "system") if facts.get(key))
    if machine and facts.get("cores"):
        machine += f", {plural(facts['cores'], 'core')}"
    reason = "no run recorded it"
    return [("versions", _text(known, reason)), ("machine", _text(machine, reason))]


def _troubles(evidence: Evidence) -> list[str]:
    """Return what went wrong on the way, by kind: how often, in how many runs, and the first reason that was given."""
    said = []
    for kind, words in TROUBLES.items():
        found = [(run.path, event) for run in evidence.runs for event in run.events if event.get("event") == kind]
        if found:
            first = found[0][1]
            reason = first.get("reason") or first.get("what") or "; ".join(map(str, first.get("reasons") or ()))
            runs = plural(len({path for path, _ in found}), "run")
            said.append(f"{words}: {len(found)} in {runs}{f'; the first: {reason}' if reason else ''}")
    return said


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested settings as (dotted name, text).

    Examples
    --------
    >>> flat({"task": {"name": "circle", "edges": 6}, "seeds": [0, 1]})
    [('task.name', 'circle'), ('task.edges', '6'), ('seeds', '[0, 1]')]
    """
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            rows += flat(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            rows.append((name, "none" if value is None else text))
    return rows


def settings_by_objective(evidence: Evidence) -> dict[str, Any]:
    """Return the objectives' settings side by side, those that differ first: rows of (name, [text], differs)."""
    by_label = {label: dict(flat(o.get("settings") or {})) for label, o in evidence.summary["objectives"].items()}
    names = list(dict.fromkeys(name for settings in by_label.values() for name in settings))
    rows = [(name, [settings.get(name, DASH) for settings in by_label.values()]) for name in names]
    marked = [(name, values, len(set(values)) > 1) for name, values in rows]
    sources = [
        (
            evidence.names[label],
            "; ".join(filter(None, [" → ".join(o.get("pieces") or ()), str(o.get("source") or "")])),
        )
        for label, o in evidence.summary["objectives"].items()
    ]
    return {
        "names": [evidence.names[label] for label in by_label],
        "rows": sorted(marked, key=lambda row: not row[2]),
        "sources": [(name, source) for name, source in sources if source],
    }
