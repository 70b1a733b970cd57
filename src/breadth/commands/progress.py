"""Live progress of a study or a run: stage, step, R, D, H, seconds left. Plain lines where the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from breadth.commands.output import errors
from breadth.config import RunSettings, StudySettings
from breadth.experiments.runner import RunState

PLAIN_EVERY = 10.0  # seconds between lines where nothing can be redrawn


class StudyProgress:
    """Draws what a study reports; a :class:`breadth.experiments.study.Watcher`."""

    def __init__(self, settings: StudySettings, folder: Path, live: Live | None) -> None:
        self.settings, self.folder, self.live = settings, folder, live
        self.started = self._stage_started = time.perf_counter()
        self.name = ""
        self._prior: dict[str, Any] = {}
        self._states: Sequence[RunState] = ()
        self._first_steps: int | None = None
        self._first_prior: int | None = None
        self._last_line = 0.0

    def stage(self, name: str) -> None:
        self.name = name
        self._states, self._first_steps = (), None
        self._stage_started = time.perf_counter()
        self._draw(force=True)

    def prior(self, row: dict[str, Any], steps: int) -> None:
        if self._first_prior is None:
            self._first_prior = row.get("step", 0)
            self._stage_started = time.perf_counter()
        self._prior = {**row, "steps": steps}
        self._draw()

    def runs(self, states: Sequence[RunState]) -> None:
        self._states = states
        done = sum(s.step for s in states)
        if self._first_steps is None:
            self._first_steps = done
            self._stage_started = time.perf_counter()
        self._draw()

    def note(self, text: str) -> None:
        """Print a line that stays, above what is redrawn."""
        (self.live.console if self.live is not None else errors).print(text, highlight=False, soft_wrap=True, markup=False)

    def seconds_left(self) -> float | None:
        """Return the estimated seconds to the end of the stage, or None before there is a pace to judge by."""
        if self.name == "prior" and self._first_prior is not None:
            done, total, first = self._prior.get("step", 0), self._prior["steps"], self._first_prior
        elif self._states:
            done, total, first = (
                sum(s.step for s in self._states),
                sum(s.steps for s in self._states),
                self._first_steps or 0,
            )
        else:
            return None
        if done <= first:
            return None
        return (time.perf_counter() - self._stage_started) / (done - first) * (total - done)

    def _head(self) -> str:
        left = self.seconds_left()
        tail = "" if left is None else f" · about {left:.0f} s left in this stage"
        return f"{self.settings.name} · {self.name} · {time.perf_counter() - self.started:.0f} s{tail}"

    def _draw(self, *, force: bool = False) -> None:
        if self.live is not None:
            self.live.update(self.render())
            return
        now = time.perf_counter()
        if force or now - self._last_line >= PLAIN_EVERY:
            self._last_line = now
            errors.print(self._head() + self._plain(), highlight=False, soft_wrap=True)

    def _plain(self) -> str:
        if self.name == "prior" and self._prior:
            loss = self._prior.get("loss")
            return f" · step {self._prior['step']}/{self._prior['steps']}" + (
                "" if loss is None else f" · loss {loss:.3f}"
            )
        if self._states:
            done = sum(s.done for s in self._states)
            going = [s for s in self._states if not s.done and s.step]
            shown = "; ".join(
                f"{s.label}/{s.seed} step {s.step} R {_number(s.quality)} D {_number(s.diversity)} H {_number(s.entropy)}"
                for s in going
            )
            return f" · {done} of {len(self._states)} runs done" + (f" · {shown}" if shown else "")
        return ""

    def render(self) -> Group:
        """Return what is drawn: a headline, and a table of the runs."""
        parts: list[Any] = [Text(self._head(), style="bold")]
        if self.name == "prior" and self._prior:
            table = Table.grid(padding=(0, 2))
            loss = self._prior.get("loss")
            table.add_row(
                "prior",
                ProgressBar(total=self._prior["steps"], completed=self._prior["step"], width=30),
                f"{self._prior['step']}/{self._prior['steps']}",
                "" if loss is None else f"loss {loss:.3f}",
            )
            parts.append(table)
        if self._states:
            table = Table(box=None, pad_edge=False)
            for name in ("objective", "seed", "", "step", "R", "D", "H"):
                table.add_column(name, justify="left" if name in ("objective", "") else "right")
            for s in self._states:
                style = "dim" if not s.step and not s.done else ""
                table.add_row(
                    s.label,
                    str(s.seed),
                    ProgressBar(total=max(1, s.steps), completed=s.steps if s.done else s.step, width=24),
                    f"{s.step}/{s.steps}",
                    _number(s.quality),
                    _number(s.diversity),
                    _number(s.entropy),
                    style=style,
                )
            parts.append(table)
        return Group(*parts)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


@contextmanager
def study_watcher(settings: StudySettings, folder: Path, *, quiet: bool) -> Iterator[StudyProgress]:
    """Give a watcher that draws on standard error; plain lines without a terminal, or with ``quiet``."""
    if quiet or not errors.is_terminal:
        yield StudyProgress(settings, folder, None)
        return
    with Live(console=errors, refresh_per_second=4, transient=True) as live:
        yield StudyProgress(settings, folder, live)


@contextmanager
def train_watcher(settings: RunSettings, folder: Path, *, quiet: bool) -> Iterator[StudyProgress]:
    """The same for a single run."""
    study = StudySettings(
        name=settings.name,
        objectives={settings.name: {}},
        **{k: getattr(settings, k) for k in ("task", "model", "prior", "train", "sample", "measure", "engine")},
    )
    with study_watcher(study, folder, quiet=quiet) as watcher:
        yield watcher
