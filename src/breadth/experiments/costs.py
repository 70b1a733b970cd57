"""What each run cost: seconds, rollouts and tokens, from its events and training steps; missing is a dash with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.notation import DASH, Shown, duration, is_number, number, plural

EXAMPLES = "it learns from examples: what was drawn to make them stands in its events"


@dataclass(frozen=True, slots=True)
class Cost:
    """One run's bill. None = not known."""

    name: str
    seed: int
    steps: int
    seconds: float | None
    rollouts: int | None  # drawn in training
    tokens: int | None  # of them
    measured: int  # samples drawn to measure
    unscored: int  # rollouts of training that could not be scored
    reason: str  # why rollouts are not known


def costs_of(evidence: Evidence) -> list[Cost]:
    """Return the bill of every run, in the order of the page."""
    return [_cost(evidence, run) for run in evidence.runs]


def costs(evidence: Evidence, _: Any) -> dict[str, Any] | None:
    """Return the words of the section; None where no run left training steps or seconds."""
    found = costs_of(evidence)
    if not any(cost.steps or cost.seconds for cost in found):
        return None
    rows = [
        {
            "name": cost.name,
            "seed": cost.seed,
            "steps": f"{cost.steps:,}",
            "seconds": _shown(cost.seconds, duration(cost.seconds), "no finished run, or its events do not say"),
            "rollouts": _shown(cost.rollouts, f"{cost.rollouts:,}" if cost.rollouts is not None else DASH, cost.reason),
            "tokens": _shown(cost.tokens, f"{cost.tokens:,}" if cost.tokens is not None else DASH, cost.reason),
            "measured": f"{cost.measured:,}",
            "unscored": f"{cost.unscored:,}",
            "pace": number(cost.tokens / cost.seconds, 0) if cost.tokens and cost.seconds else DASH,
        }
        for cost in found
    ]
    return {"title": _title(found), "rows": rows}


def _title(found: list[Cost]) -> str:
    parts = []
    if rollouts := sum(cost.rollouts or 0 for cost in found):
        parts.append(plural(rollouts, "rollout"))
    if tokens := sum(cost.tokens or 0 for cost in found):
        parts.append(plural(tokens, "token"))
    seconds = [cost.seconds for cost in found if cost.seconds is not None]
    words = " of ".join(parts[::-1] if len(parts) == 2 else parts) if parts else plural(len(found), "run")
    return f"Training took {words}" + (
        f" and {duration(sum(seconds))} over {plural(len(seconds), 'run')}" if seconds else ""
    )


def _cost(evidence: Evidence, run: RunEvidence) -> Cost:
    settings = _settings(evidence, run)
    per_group = (settings.get("train") or {}).get("group_size")
    prompts = (settings.get("train") or {}).get("prompts")
    rollouts: int | None = 0
    tokens: float | None = 0.0
    reason = ""
    for row in run.steps:
        if "n_examples" in row:
            rollouts = tokens = None
            reason = EXAMPLES
            break
        groups = row.get("groups_drawn", prompts)
        if not is_number(groups) or not is_number(per_group):
            rollouts = tokens = None
            reason = "the run's settings do not say how many rollouts a step has"
            break
        rollouts = (rollouts or 0) + int(groups) * int(per_group)
        length = row.get("length")
        tokens = None if tokens is None or not is_number(length) else tokens + length * int(groups) * int(per_group)
    if not run.steps:
        rollouts = tokens = None
        reason = "the run left no training steps"
    quality = run.series(evidence.metric("quality"))
    return Cost(
        name=evidence.names[run.label],
        seed=run.seed,
        steps=len(run.steps),
        seconds=_seconds(run),
        rollouts=rollouts,
        tokens=None if tokens is None else round(tokens),
        measured=sum(int(row.get("n") or 0) + int(row.get("n_unscored") or 0) for row in quality.values()),
        unscored=sum(int(row.get("n_unscored") or 0) for row in run.steps),
        reason=reason,
    )


def _seconds(run: RunEvidence) -> float | None:
    """Return the seconds of the sittings that finished; a sitting that was broken off has none."""
    known = [
        event["seconds"] for event in run.events if event.get("event") == "finished" and is_number(event.get("seconds"))
    ]
    return sum(known) if known else None


def _settings(evidence: Evidence, run: RunEvidence) -> Mapping[str, Any]:
    path = evidence.folder / run.path / "config.json"
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}


def _shown(value: float | None, text: str, reason: str) -> Shown:
    return Shown(text, value=value, reason="" if value is not None else reason or "not known")
