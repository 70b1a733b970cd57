"""Runs of a study, one process each, as many at a time as there are cores; watched through the files that they write."""

from __future__ import annotations

import json
import multiprocessing as mp
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from breadth.config import ConfigError, RunSettings
from breadth.experiments.lost import cause_of_death, lost_runs, memory_kills
from breadth.ledger.rows import write_atomic

if TYPE_CHECKING:
    from breadth.engine.run_frame import RunFrame
    from breadth.objectives.composition import Objective

POLL_SECONDS = 0.3
EXTENDABLE = "train.steps"  # the one setting that may grow in a finished run
WATCHING = "forecast"  # settings that look at a run and decide no update: they may change


class RunFailed(RuntimeError):
    """A run's process ended in an error (the message is the run's own), or without a word (the message says by which signal)."""


@dataclass(frozen=True)
class Job:
    """One run to be done: its settings, its folder, and the prior that it starts from."""

    settings: RunSettings
    folder: Path
    prior: Path


@dataclass(frozen=True)
class RunState:
    """What can be seen of a run from outside."""

    label: str
    seed: int
    step: int
    steps: int
    quality: float | None = None
    diversity: float | None = None
    entropy: float | None = None
    done: bool = False


def claim_folder(settings: RunSettings, folder: Path, *, write: bool = True) -> None:
    """Write the resolved settings into a run folder, or check that they are the ones that it was made with.

    Write only while holding the folder's lock; ``write=False`` merely checks.

    Raises
    ------
    ConfigError
        Lists every setting that differs from those of the run that is there.
    """
    path = folder / "config.json"
    wanted = settings.model_dump(mode="json")
    if path.is_file():
        before, now = _flat(_as_of_now(json.loads(path.read_text()))), _flat(wanted)
        differs = [k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k)]
        deciding = [k for k in differs if k.partition(".")[0] != WATCHING]
        growing = (
            deciding == [EXTENDABLE] and now[EXTENDABLE] > before[EXTENDABLE] and now["train.schedule"] == "constant"
            and now.get("train.reward_schedule") != "linear"
        )
        if deciding and not growing:
            raise ConfigError(
                str(folder),
                [f"{k}: the run that lies here has {before.get(k)!r}, now {now.get(k)!r} is asked for" for k in deciding]
                + ["use another output folder, or delete this one"],
            )
        if not differs:
            return
    if not write:
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(wanted, indent=1) + "\n").encode())


def _as_of_now(stored: dict[str, Any]) -> dict[str, Any]:
    """Return stored settings with what they do not name at its default: a run may be older than a setting."""
    from breadth.experiments.assemble import resolve

    try:
        return resolve(RunSettings.model_validate(stored)).model_dump(mode="json")
    except (ValueError, TypeError, ImportError):  # a key that is no more: the comparison names it
        return stored


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            out.update(_flat(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out


class FolderLock:
    """One process at a time in a folder; a second one is refused with the process number of the first."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._lock = FileLock(folder / ".lock")
        self._holder = folder / ".lock.pid"

    def __enter__(self) -> FolderLock:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            holder = self._holder.read_text().strip() if self._holder.is_file() else "?"
            raise RuntimeError(
                f"{self.folder}: in use by process {holder}: wait for it to end, or use another output folder"
            ) from None
        self._holder.write_text(f"{os.getpid()}\n")
        return self

    def __exit__(self, *exc: object) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()


@contextmanager
def open_run(
    job: Job, *, on_note: Callable[[str], None] = lambda text: None, objective: Objective | None = None, **options: Any
) -> Iterator[RunFrame]:
    """Lock and claim a run's folder, and give the loop that is ready to go in it.

    ``options`` go to :class:`breadth.engine.run_frame.RunFrame`; ``on_note`` is told of live forecasts; ``objective`` replaces the one that the
    settings name by an equal one (whose memory several runs share, say).
    """
    from breadth.engine.example_run import loop_of
    from breadth.engine.gpt import load_gpt2
    from breadth.engine.tokenizer import load_tokenizer
    from breadth.experiments.assemble import note_prior, objective_of, resolve, task_of
    from breadth.experiments.live import LiveForecasts
    from breadth.experiments.measure import CheckpointMeasure

    job = replace(job, settings=resolve(job.settings))
    with FolderLock(job.folder):
        claim_folder(job.settings, job.folder)
        note_prior(job.folder, job.prior)
        task = options.pop("task", None) or task_of(job.settings)
        prior = load_gpt2(job.prior, dropout=0.0)
        measure = CheckpointMeasure(job.settings, job.folder, task, prior, load_tokenizer(job.prior))
        objective = objective or objective_of(job.settings)
        if job.settings.forecast is not None:
            options.setdefault("on_checkpoint", LiveForecasts(job.settings.forecast, job.folder, on_note))
        yield loop_of(objective)(job.settings, job.folder, task, objective, job.prior, measure, **options)


def run_job(job: Job, **options: Any) -> None:
    """Do one run in this process; ``options`` as for :func:`open_run`."""
    with open_run(job, **options) as run:
        run.go()


def _die_with(parent: int) -> None:
    """End this process when the study's own is gone (killed, say): a run must not go on unseen and hold its folder."""

    def watch() -> None:
        while True:
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os._exit(1)
            time.sleep(1.0)

    threading.Thread(target=watch, daemon=True).start()


def _child(job: Job, report: Any, parent: int) -> None:
    """Body of a run's process: any error becomes a message to the parent."""
    _die_with(parent)
    try:
        run_job(job)
    except KeyboardInterrupt:
        report.send(("interrupted", ""))
    except Exception as error:  # reported by the parent with the run's name; nothing is lost, the run can go on
        import traceback

        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / "error.txt").write_text(traceback.format_exc())
        report.send(("failed", f"{type(error).__name__}: {error}"))
    else:
        (job.folder / "error.txt").unlink(missing_ok=True)
        report.send(("done", ""))


def run_jobs(
    jobs: Sequence[Job], *, workers: int, on_state: Callable[[list[RunState]], None] = lambda states: None
) -> None:
    """Do all runs, ``workers`` at a time; return when all are done.

    A run whose process is killed (for its memory, say) costs no other run: they go on to their ends, and then it is named.

    Raises
    ------
    RunFailed
        With the message of the first run that failed by an error of its own, which others may share: they are stopped, and go on when
        the study is started again. Or, when all others are done, with the runs that lost their process, and why.
    KeyboardInterrupt
        After stopping all runs.
    """
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["breadth.engine.loop", "breadth.experiments.measure", "breadth.catalogue"])
    waiting = [job for job in jobs if not _finished(job)]
    running: dict[int, tuple[Job, Any, Any]] = {}
    lost: list[str] = []
    kills = memory_kills()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                receive, send = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(job, send, os.getpid()), daemon=True)
                process.start()
                send.close()
                running[id(job)] = (job, process, receive)
            for key, (job, process, receive) in list(running.items()):
                if process.is_alive() and not receive.poll():
                    continue
                try:
                    outcome, message = receive.recv() if receive.poll() else ("lost", "")
                except EOFError:  # it died without a word
                    outcome, message = "lost", ""
                process.join()
                del running[key]
                name = f"{job.settings.name}, seed {job.settings.seed} ({job.folder})"
                if outcome == "lost":
                    step = look(job.settings, job.folder).step
                    cause = cause_of_death(process.exitcode, kills_before=kills, kills_now=memory_kills())
                    lost.append(f"{name}, at step {step} of {job.settings.train.steps}: {cause}")
                elif outcome != "done":
                    failed = f"{name}: {message or 'its process was interrupted'}"
                    raise RunFailed("\n".join([failed, *([lost_runs(lost, len(jobs), finished=False)] if lost else [])]))
            on_state([look(job.settings, job.folder) for job in jobs])
            time.sleep(POLL_SECONDS)
        if lost:
            raise RunFailed(lost_runs(lost, len(jobs), finished=True))
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            process.join(timeout=5)


def _finished(job: Job) -> bool:
    """Return whether a run is done with these very settings: no process need look at it again."""
    from breadth.experiments.assemble import resolve

    if not look(job.settings, job.folder).done:
        return False
    settings = resolve(job.settings)
    claim_folder(settings, job.folder, write=False)
    return json.loads((job.folder / "done.json").read_text())["step"] == settings.train.steps


def look(settings: RunSettings, folder: Path) -> RunState:
    """Return how far a run is, from the last lines of its files."""
    last = _last_line(folder / "steps.jsonl")
    values: dict[str, Any] = {}
    for row in _last_lines(folder / "ledger.jsonl", 60):
        values[row.get("metric", "")] = row.get("value")
    return RunState(
        settings.name,
        settings.seed,
        int(last.get("step", 0)) if last else 0,
        settings.train.steps,
        values.get("quality"),
        values.get("diversity"),
        values.get("policy_entropy"),
        (folder / "done.json").is_file(),
    )


def _last_line(path: Path) -> dict[str, Any] | None:
    rows = _last_lines(path, 1)
    return rows[-1] if rows else None


def _last_lines(path: Path, n: int) -> list[dict[str, Any]]:
    """Return up to n whole rows from the end of a file that another process is writing; torn lines are passed over."""
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - 1024 * n))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return []
    rows = []
    for line in lines[-n:]:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the first of the lines that were read may start in its middle
            continue
    return rows
