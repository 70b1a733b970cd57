"""A study from settings to report: prior, runs, measurements, laws, frontier, page. Stopped anywhere, it goes on from there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from breadth.config import StudySettings
from breadth.experiments.assemble import prepare_prior, task_of
from breadth.experiments.runner import FolderLock, Job, RunFailed, RunState, run_jobs
from breadth.experiments.tuning import tune
from breadth.experiments.verdict import verdict_sentence
from breadth.ledger.events import EventLog, machine_facts
from breadth.ledger.rows import write_atomic


class Watcher(Protocol):
    """Who is told how a study goes on: the command line draws it, a notebook may ignore it."""

    def stage(self, name: str) -> None: ...

    def prior(self, row: dict[str, Any], steps: int) -> None: ...

    def runs(self, states: Sequence[RunState]) -> None: ...


class Silent:
    """A watcher that says nothing."""

    def stage(self, name: str) -> None: ...

    def prior(self, row: dict[str, Any], steps: int) -> None: ...

    def runs(self, states: Sequence[RunState]) -> None: ...


@dataclass(frozen=True)
class StudyResult:
    """What a study gives back: its folder, its summary (see docs/formats.md), and its page."""

    folder: Path
    summary: dict[str, Any] = field(repr=False)
    report: Path


def run_folder(out: Path, label: str, seed: int) -> Path:
    return out / "runs" / label / f"seed-{seed}"


def run_study(settings: StudySettings, out: Path, *, watcher: Watcher | None = None) -> StudyResult:
    """Run a study, or what is left of it, and write ``summary.json`` and ``report.html``.

    Parameters
    ----------
    out : folder
        Runs that lie there with equal settings are kept; runs with other settings are refused, with the differences.
    """
    from breadth.experiments.report import build_report
    from breadth.experiments.summary import summarise

    watcher = watcher or Silent()
    started = time.perf_counter()
    with FolderLock(out):
        events = EventLog(out / "events.jsonl")
        events.add("study started", **machine_facts())
        task = task_of(settings)
        watcher.stage("prior")
        prior = prepare_prior(
            settings, task, out / "prior", on_step=lambda row: watcher.prior(row, settings.prior.steps)
        )
        workers = settings.study.workers or len(os.sched_getaffinity(0))
        tuned = tune(settings, out, workers=workers, watcher=watcher)
        watcher.stage("runs")
        jobs = [
            Job(settings.run_settings(label, seed, **tuned.changes(label)), run_folder(out, label, seed), out / "prior")
            for seed in settings.study.seeds
            for label in settings.objectives
        ]
        write_atomic(out / "study.json", (json.dumps(settings.model_dump(mode="json"), indent=1) + "\n").encode())
        runs_started = time.perf_counter()
        try:
            run_jobs(jobs, workers=workers, on_state=watcher.runs)
        except RunFailed as error:
            events.add("study stopped", why=str(error))
            raise
        runs_seconds = time.perf_counter() - runs_started
        watcher.stage("laws and frontier")
        analysis_started = time.perf_counter()
        summary = summarise(out, settings, prior, task)
        summary["tuning"] = tuned.record()
        summary["verdict"] = verdict_sentence(summary)
        now = time.perf_counter()
        of_runs = [run["seconds"] for entry in summary["objectives"].values() for run in entry["runs"]]
        parts = [prior.seconds, *of_runs]
        summary["seconds"] = {
            "total": None if None in parts else round(sum(parts) + now - analysis_started, 2),
            "prior": prior.seconds,
            "runs": None if None in of_runs else round(sum(of_runs), 2),
            "prior_this_time": round(runs_started - started, 2),
            "runs_this_time": round(runs_seconds, 2),
            "analysis": round(now - analysis_started, 2),
            "total_this_time": round(now - started, 2),
        }
        write_atomic(
            out / "summary.json", (json.dumps(summary, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
        )
        watcher.stage("report")
        page = build_report(out, summary, out=out / "report.html", picture=task.picture)
        events.add("study finished", seconds=summary["seconds"])
    return StudyResult(out, summary, page)
