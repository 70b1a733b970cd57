"""Reading a run folder back: its settings, its measurements as series, its training steps."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from breadth.ledger.rows import LedgerError, check_ledger, read_rows


@dataclass(frozen=True)
class Run:
    """One training run as it lies on disk. ``label`` is the objective's name in its study."""

    path: Path
    settings: dict[str, Any]
    rows: list[dict[str, Any]] = field(repr=False)

    @property
    def label(self) -> str:
        return self.settings.get("label") or self.settings["objective"]["kind"]

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def study(self) -> str:
        return self.settings["study"]

    @property
    def complete(self) -> bool:
        """True where the last step of the settings has been measured."""
        return bool(self.steps) and self.steps[-1] >= self.settings["train"]["steps"]

    @cached_property
    def steps(self) -> list[int]:
        """Measured steps, ascending."""
        return sorted({row["step"] for row in self.rows})

    @cached_property
    def metrics(self) -> list[str]:
        """Names of the measured metrics, in ledger order."""
        return list(dict.fromkeys(row["metric"] for row in self.rows))

    @cached_property
    def prior_hash(self) -> str | None:
        """Hash of the weights at step 0; runs are comparable only where it is the same."""
        return next((row["checkpoint"] for row in self.rows if row["step"] == 0), None)

    def series(self, metric: str) -> list[dict[str, Any]]:
        """Return the ledger rows of a metric, by step.

        Raises
        ------
        ValueError
            Where the run has no such metric; names the ones it has.
        """
        found = sorted((row for row in self.rows if row["metric"] == metric), key=lambda row: row["step"])
        if not found:
            raise ValueError(f"{self.path}: no metric {metric!r}; measured: {', '.join(self.metrics) or 'nothing yet'}")
        return found

    def at(self, step: int) -> dict[str, dict[str, Any]]:
        """Return the ledger rows of a step by metric."""
        return {row["metric"]: row for row in self.rows if row["step"] == step}

    def training(self) -> list[dict[str, Any]]:
        """Return the rows of ``steps.jsonl``; empty where there is none yet."""
        path = self.path / "steps.jsonl"
        return read_rows(path) if path.is_file() else []


def load_run(path: str | Path) -> Run:
    """Return a run folder as a :class:`Run`.

    Raises
    ------
    FileNotFoundError
        Where the folder is no run folder: says what a run folder holds.
    LedgerError
        Where the ledger is damaged.
    """
    path = Path(path)
    config = path / "config.json"
    if not config.is_file():
        inside = sorted(str(p.parent.relative_to(path)) for p in path.glob("**/ledger.jsonl")) if path.is_dir() else []
        hint = f"; run folders below it: {', '.join(inside[:5])}" if inside else ""
        raise FileNotFoundError(f"{path}: not a run folder: expected config.json and ledger.jsonl in it{hint}")
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"{config}: not JSON ({error}): the run's settings are damaged") from None
    if not isinstance(settings, dict):
        raise LedgerError(f"{config}: expected a JSON object, got {type(settings).__name__}: the run's settings are damaged")
    ledger = path / "ledger.jsonl"
    rows = read_rows(ledger) if ledger.is_file() else []
    check_ledger(ledger, rows)
    return Run(path, settings, rows)


def find_runs(path: str | Path) -> list[Path]:
    """Return the run folders at or below a path, sorted; a study's folder gives all its runs.

    Runs that only chose a study's learning rates (below ``tuning/``) are no results: they are found when the path leads to them.
    """
    path = Path(path)
    if (path / "config.json").is_file() and (path / "ledger.jsonl").is_file():
        return [path]
    found = (p.parent for p in path.glob("**/ledger.jsonl") if (p.parent / "config.json").is_file())
    return sorted(p for p in found if "tuning" not in p.relative_to(path).parts)
