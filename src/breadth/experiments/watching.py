"""How runs stand at this moment, read from what they have written: nothing here asks a running process anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from breadth.experiments.evidence import read_events
from breadth.experiments.notation import is_number
from breadth.laws.forecast import forecast
from breadth.ledger.run import Run, find_runs, load_run

BARS = "▁▂▃▄▅▆▇█"
METRICS = {"R": "quality", "D": "diversity", "H": "policy_entropy"}
SILENT = 120.0  # seconds without a new training step, and ten times the run's own pace, after which it is called silent
WAITING, GOING, DONE, STOPPED, SILENT_STATE = "waiting", "going", "done", "stopped", "silent"


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as it stands. ``series`` holds (steps, values) of R, D and H; ``seconds_left`` is None where no pace is known."""

    path: Path
    label: str
    seed: int
    state: str  # "waiting" | "going" | "silent" | "stopped" (it was asked to: ``forecast`` holds the reason) | "done"
    step: int
    steps: int | None
    series: dict[str, list[tuple[int, float]]]
    seconds_left: float | None
    silent_for: float | None  # seconds since the last training step
    forecast: str  # a sentence, or why there is none

    def last(self, letter: str) -> float | None:
        """Return the last measurement of R, D or H."""
        return self.series[letter][-1][1] if self.series.get(letter) else None


def look(paths: list[Path], *, target_quality: float = 0.9, now: float | None = None) -> list[RunView]:
    """Return how the runs at or below some paths stand; runs of a study that have not begun are ``waiting``.

    Parameters
    ----------
    paths : list of Path
        Run folders or study folders.
    target_quality : float
        R at which the diversity that will be left is forecast.
    now : float, optional
        Seconds since 1970; default the clock's.

    Raises
    ------
    FileNotFoundError
        Where a path is neither a run nor a study, nor holds one.
    """
    now = datetime.now(UTC).timestamp() if now is None else now
    views: list[RunView] = []
    for path in paths:
        folders = find_runs(path) if path.exists() else []
        planned = _planned(path)
        if not folders and not planned:
            raise FileNotFoundError(
                f"{path}: no run or study folder there (a run folder holds config.json and ledger.jsonl)"
            )
        begun = {folder.resolve() for folder in folders}
        views += [_look(load_run(folder), target_quality, now) for folder in folders]
        for label, seed, steps in planned:
            folder = path / "runs" / label / f"seed-{seed}"
            if folder.resolve() not in begun:
                nothing: dict[str, list[tuple[int, float]]] = {letter: [] for letter in METRICS}
                views.append(RunView(folder, label, seed, WAITING, 0, steps, nothing, None, None, ""))
    return views


def over(views: list[RunView]) -> bool:
    """Return whether there is nothing left to wait for."""
    return all(view.state in (DONE, STOPPED) for view in views)


def sparkline(points: list[tuple[int, float]], width: int, *, top: float | None = None) -> str:
    """Return values over steps as a line of bars from 0 to ``top`` (default: the largest); empty without values.

    Where there are more values than characters, each character is the mean over its stretch of checkpoints.

    Examples
    --------
    >>> sparkline([(0, 0.0), (10, 0.5), (20, 1.0)], 8)
    '▁▅█'
    >>> sparkline([(i, float(i)) for i in range(100)], 4), sparkline([], 4)
    ('▁▃▆█', '')
    """
    values = [value for _, value in points]
    if not values:
        return ""
    n = min(width, len(values))
    cuts = [round(i * len(values) / n) for i in range(n + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in zip(cuts, cuts[1:], strict=False)]
    top = max(max(values), 1e-12) if top is None else top
    return "".join(BARS[min(len(BARS) - 1, max(0, int(mean / top * len(BARS))))] for mean in means)


def _planned(path: Path) -> list[tuple[str, int, int | None]]:
    """Return (label, seed, steps) of the runs that a study's settings name; empty for something else."""
    file = path / "study.json"
    if not file.is_file():
        return []
    settings = json.loads(file.read_text(encoding="utf-8"))
    seeds = (settings.get("study") or {}).get("seeds") or []
    common = (settings.get("train") or {}).get("steps")
    return [
        (label, int(seed), ((entry or {}).get("train") or {}).get("steps", common))
        for label, entry in (settings.get("objectives") or {}).items()
        for seed in seeds
    ]


def _look(run: Run, target_quality: float, now: float) -> RunView:
    rows = run.training()
    step = int(rows[-1]["step"]) if rows else max(run.steps, default=0)
    steps = int(run.settings["train"]["steps"])
    series = {}
    for letter, metric in METRICS.items():
        known = {int(r["step"]): r["value"] for r in run.rows if r["metric"] == metric and is_number(r.get("value"))}
        series[letter] = sorted(known.items())
    done = (run.path / "done.json").is_file()
    stop = None if done else _stop(run.path)
    pace = _pace(run.path, step)
    silent_for = None if done or stop else _silent_for(run.path, now)
    quiet = silent_for is not None and silent_for > max(SILENT, 10 * (pace or 0.0))
    return RunView(
        path=run.path,
        label=run.label,
        seed=run.seed,
        state=DONE if done else STOPPED if stop else SILENT_STATE if quiet else GOING,
        step=step,
        steps=steps,
        series=series,
        seconds_left=None if done or stop or quiet or pace is None else pace * (steps - step),
        silent_for=silent_for,
        forecast=""
        if done
        else f"{run.label}, seed {run.seed}: stopped, {stop}"
        if stop
        else _forecast(run, target_quality),
    )


def _stop(folder: Path) -> str | None:
    """Return why a run stopped before its end, where it was asked to stop there (``stopped.json``)."""
    file = folder / "stopped.json"
    if not file.is_file():
        return None
    return str(json.loads(file.read_text(encoding="utf-8")).get("reason") or "no reason was written")


def _pace(folder: Path, step: int) -> float | None:
    """Return the seconds per training step since the run was last started; None before it has taken a step."""
    started: tuple[float, int] | None = None
    for event in read_events(folder / "events.jsonl"):
        if event.get("event") in ("started", "resumed") and event.get("time"):
            started = _seconds(event["time"]), int(event.get("step") or 0)
    steps = folder / "steps.jsonl"
    if started is None or not steps.is_file() or step <= started[1]:
        return None
    return max(0.0, steps.stat().st_mtime - started[0]) / (step - started[1])


def _silent_for(folder: Path, now: float) -> float | None:
    times = [file.stat().st_mtime for name in ("steps.jsonl", "ledger.jsonl") if (file := folder / name).is_file()]
    return max(0.0, now - max(times)) if times else None


def _seconds(text: Any) -> float:
    return datetime.fromisoformat(str(text)).timestamp()


def _forecast(run: Run, target_quality: float) -> str:
    if len(run.steps) < 3:
        return f"{run.label}, seed {run.seed}: a forecast needs 3 checkpoints, there are {len(run.steps)}"
    try:
        return forecast(run, target_quality).sentence
    except ValueError as error:  # a run without R or D
        return f"{run.label}, seed {run.seed}: no forecast ({error})"
