"""What a report rests on: a study's summary beside the rows that its runs left on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from breadth.experiments.notation import display_names, is_number
from breadth.ledger.rows import read_rows

TILT = "tilt.json"  # what ``breadth tilt`` leaves in a study's folder


@dataclass(frozen=True, slots=True)
class RunEvidence:
    """One run: its measurements with their line numbers, its training steps, and where its last samples lie."""

    label: str
    seed: int
    path: str  # relative to the study's folder
    complete: bool
    rows: tuple[Mapping[str, Any], ...] = ()  # of ledger.jsonl, each with its "line"
    steps: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    samples: Path | None = None  # Parquet of the last checkpoint

    def series(self, metric: str) -> dict[int, Mapping[str, Any]]:
        """Return step -> ledger row of a metric, by rising step, without rows that hold no value."""
        rows = {int(r["step"]): r for r in self.rows if r["metric"] == metric and is_number(r.get("value"))}
        return dict(sorted(rows.items()))


@dataclass(frozen=True)
class Evidence:
    """A study as a report sees it."""

    folder: Path
    summary: Mapping[str, Any]
    runs: tuple[RunEvidence, ...]
    names: Mapping[str, str] = field(default_factory=dict)  # label -> the name to show
    tilt: Path | None = None  # a saved corpus tilt; None: the folder's own, if it is there

    @property
    def tilt_file(self) -> Path | None:
        """The saved corpus tilt that belongs beside the policies; None where there is none."""
        if self.tilt is not None:
            return self.tilt
        own = self.folder / TILT
        return own if own.is_file() else None

    @property
    def labels(self) -> list[str]:
        """The objectives, in the summary's order, which is also the order of their colours."""
        return list(self.summary.get("objectives", {}))

    def of(self, label: str) -> list[RunEvidence]:
        """Return the runs of one objective."""
        return [run for run in self.runs if run.label == label]

    def metric(self, role: str) -> str:
        """Return the ledger's name of a role: "quality", "diversity", "entropy" or "frontier_diversity"."""
        default = {"quality": "quality", "diversity": "diversity", "entropy": "policy_entropy"}
        return (self.summary.get("metrics") or {}).get(role) or default.get(role, "diversity_valid")

    def sample_sizes(self) -> tuple[int, int]:
        """Return the largest (n, number of sets) behind a quality row; (0, 0) where there is no ledger."""
        rows = [r for run in self.runs for r in run.rows if r["metric"] == self.metric("quality")]
        return max((r.get("n") or 0 for r in rows), default=0), max((len(r.get("sets") or ()) for r in rows), default=0)


def read_evidence(folder: Path, summary: Mapping[str, Any], *, tilt: Path | None = None) -> Evidence:
    """Return the evidence of the study in ``folder``; what a run did not write is left empty. ``tilt``: a saved corpus tilt.

    Raises
    ------
    LedgerError
        A line of a ledger or of the training steps is damaged; names file and line. Half a last line (an interrupted
        write) is left out.
    """
    runs = []
    for label, entry in summary.get("objectives", {}).items():
        for run in entry.get("runs") or ():
            home = folder / run["path"]
            samples = sorted((home / "samples").glob("step-*.parquet"))
            runs.append(
                RunEvidence(
                    label=label,
                    seed=int(run["seed"]),
                    path=run["path"],
                    complete=bool(run.get("complete")),
                    rows=tuple(read_lines(home / "ledger.jsonl")),
                    steps=tuple(read_lines(home / "steps.jsonl")),
                    events=tuple(read_events(home / "events.jsonl")),
                    samples=samples[-1] if samples else None,
                )
            )
    return Evidence(folder, summary, tuple(runs), display_names(summary), tilt)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file, each with its ``line`` (from 1); empty where there is no such file."""
    if not path.exists():
        return []
    return [{**row, "line": line} for line, row in enumerate(read_rows(path), start=1)]


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events of a run; lines that a crash cut are passed over, as no number rests on them."""
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def plain(value: Any, digits: int = 6) -> Any:
    """Return ``value`` ready for strict JSON: floats to ``digits`` significant digits, what is not finite as None."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): plain(v, digits) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v, digits) for v in value]
    return value
