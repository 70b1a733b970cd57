"""The functions behind ``breadth.study``, ``breadth.train`` and ``breadth.measure``, for use from Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from breadth.config import RunSettings, build_settings
from breadth.experiments.assemble import CHECKS, cross_checks, load_study, prepare_prior, resolve, task_of
from breadth.experiments.runner import Job, RunState, claim_folder, run_job
from breadth.experiments.study import Silent, StudyResult, Watcher, run_study
from breadth.ledger.rows import write_atomic
from breadth.ledger.run import Run, load_run
from breadth.objectives.composition import Objective
from breadth.records import Measurement
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import ScoreFunction


def study(
    name: str,
    *,
    objectives: Sequence[str] | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    watcher: Watcher | None = None,
    settings: Sequence[str] = (),
) -> StudyResult:
    """Run a study and return its folder, summary and page; what is done already is not done again.

    Parameters
    ----------
    name : str
        ``"circle"``, ``"line"``, ``"qed"``, or the path of a TOML file.
    objectives, seeds, steps, out
        As the options of ``breadth study``.
    settings : sequence of "key=value"
        As ``--set``.

    Runs are processes of their own: in a script, call this under ``if __name__ == "__main__":``.
    """
    extra = [] if steps is None else [f"train.steps={steps}"]
    loaded = load_study(
        name, [*settings, *extra], objectives=None if objectives is None else list(objectives), seeds=seeds
    )
    return run_study(loaded, Path(out) if out is not None else Path("runs") / loaded.name, watcher=watcher)


def train(
    *,
    task: str | Task,
    objective: str | Objective,
    reward: ScoreFunction | None = None,
    out: str | Path = "runs/run",
    seed: int = 0,
    watcher: Watcher | None = None,
    **settings: Mapping[str, Any],
) -> Run:
    """Train one policy in this process and return its run.

    Parameters
    ----------
    task : name or Task
        A catalogue name, or an object of your own (see docs/tasks/write-your-own.md).
    objective : name or Objective
        A catalogue name, or what :func:`breadth.objective` returns.
    reward : function of (texts, prompts), optional
        Replaces the task's reward in training. Quality in the ledger stays the task's score.
    out : folder
        An unfinished run there is continued.
    **settings : tables
        ``train={"steps": 100}``, ``model=...``, ``prior=...``, ``sample=...``, ``measure=...``, ``engine=...``: as in the TOML file.

    Raises
    ------
    ConfigError
        With all problems at once.
    """
    data = {
        "task": {"kind": task} if isinstance(task, str) else {"kind": f"object:{task.name}"},
        "objective": {"kind": objective}
        if isinstance(objective, str)
        else {"kind": objective.name, **objective.settings},
        "seed": seed,
        **settings,
    }
    checks = CHECKS if isinstance(task, str) else (cross_checks,)
    built = build_settings(RunSettings, data, where="breadth.train", checks=checks)
    given: dict[str, Any] = {} if reward is None else {"reward": reward}
    return train_settings(built, Path(out), watcher=watcher, task=None if isinstance(task, str) else task, **given)


def train_settings(
    settings: RunSettings, out: Path, *, watcher: Watcher | None = None, task: Task | None = None, **options: Any
) -> Run:
    """Do the run that the settings describe, prior included, in this process."""
    watcher = watcher or Silent()
    settings = resolve(settings)
    claim_folder(settings, out, write=False)  # before a prior is trained for nothing; the run claims it under its lock
    given: dict[str, Any] = {} if task is None else {"task": task}
    given["on_note"] = getattr(watcher, "note", lambda text: None)
    task = task or task_of(settings)
    watcher.stage("prior")
    prior = prepare_prior(settings, task, out / "prior", on_step=lambda row: watcher.prior(row, settings.prior.steps))
    watcher.stage("runs")
    last: dict[str, float | None] = {}

    def tell(step: int) -> None:
        watcher.runs(
            [
                RunState(
                    settings.name,
                    settings.seed,
                    step,
                    settings.train.steps,
                    last.get("quality"),
                    last.get("diversity"),
                    last.get("policy_entropy"),
                )
            ]
        )

    def on_measure(step: int, rows: list[Measurement]) -> None:
        last.update({m.metric: m.value for m in rows})
        tell(step)

    run_job(
        Job(settings, out, prior.path), on_step=lambda row: tell(row["step"]), on_measure=on_measure, **given, **options
    )
    return load_run(out)


def measure(path: str | Path, **options: Any) -> dict[int, list[Measurement]]:
    """Measure the checkpoints of a run folder again; see ``breadth measure``. Returns measurements by step."""
    from breadth.experiments.measure import measure_run

    return measure_run(Path(path), **options)


def report_runs(
    paths: Sequence[Path], *, out: Path | None = None, baseline: str | None = None, live: int | None = None, tilt: Path | None = None
) -> tuple[dict[str, Any], Path]:
    """Summarise any runs and write their page; return the summary and the page's path.

    ``live``: the page loads itself again every so many seconds. ``tilt``: a saved corpus tilt to stand beside the policies.
    """
    from breadth.experiments.compare import Metrics, load_runs
    from breadth.experiments.report import build_report
    from breadth.experiments.summary import summarise_runs

    folder = Path(paths[0])
    runs = load_runs(paths)
    planned = _study_settings(paths)
    order = [label for label in planned.get("objectives", {}) if label in runs]
    runs = {label: runs[label] for label in [*order, *(label for label in runs if label not in order)]}
    head = planned.get("study") or {}
    read = Metrics(**{name: head[name] for name in ("diversity", "frontier_diversity") if name in head})
    given = baseline or (head.get("baseline") if head.get("baseline") in runs else None)
    summary, task = summarise_runs(runs, folder=folder, baseline=given, metrics=read)
    summary["title"] = head.get("title") or summary["title"]
    page = build_report(
        folder, summary, out=out or folder / "report.html", picture=None if task is None else task.picture, live=live, tilt=tilt
    )
    write_atomic(
        page.with_suffix(".json"), (json.dumps(summary, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()
    )
    return summary, page


def _study_settings(paths: Sequence[Path]) -> dict[str, Any]:
    """Return the settings of the study that a single path leads to; empty for runs, or for several folders."""
    file = Path(paths[0]) / "study.json"
    return json.loads(file.read_text(encoding="utf-8")) if len(paths) == 1 and file.is_file() else {}
