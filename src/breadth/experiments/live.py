"""Forecasts while the native loop trains: a line in the log, a row in ``forecasts.jsonl``, a stop at the floor of diversity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from breadth.config import ForecastSettings
from breadth.laws.live import live_forecast
from breadth.ledger.events import EventLog
from breadth.ledger.rows import append_rows, keep_rows
from breadth.ledger.run import load_run

FORECASTS = "forecasts.jsonl"


@dataclass
class LiveForecasts:
    """What a run asks at its checkpoints (``on_checkpoint`` of the run frame); returns the reason to stop, or None.

    A forecast is written as it was made and never made again later; a run that was resumed from an earlier checkpoint writes those
    after it anew, and they are equal.
    """

    settings: ForecastSettings
    folder: Path
    on_note: Callable[[str], None] = lambda text: None

    def __call__(self, step: int) -> str | None:
        s = self.settings
        run = load_run(self.folder)
        events = EventLog(self.folder / "events.jsonl")
        file = self.folder / FORECASTS
        keep_rows(file, lambda row: row["at_step"] < step, on_repair=lambda text: events.add("repaired", what=text))
        made = live_forecast(run, s.target_quality, stop_at_diversity=s.stop_at_diversity, metric=s.metric)
        number = run.steps.index(step)
        if number % s.every == 0 or made.stop is not None:
            append_rows(file, [made.row()])
            self.on_note(made.sentence)
            for warning in made.warnings:
                self.on_note(f"warning: {warning}")
                events.add("forecast warning", step=step, what=warning)
        if made.stop is not None:
            self.on_note(f"stopped at step {step}: {made.stop}")
        return made.stop
