"""From settings to the things they name: the task, the objective, the starting policy; and the checks that need all of them."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import ValidationError

from breadth import catalogue
from breadth.cache import cache_folder
from breadth.config import (
    Common,
    ConfigError,
    Kind,
    RunSettings,
    StudySettings,
    build_settings,
    cross_checks,
    nearest,
    read_toml,
)
from breadth.engine.checkpoint import WEIGHTS, CheckpointError, file_hash
from breadth.engine.streams import trainable
from breadth.ledger.rows import write_atomic
from breadth.objectives.composition import Objective
from breadth.studies import paths as studies
from breadth.tasks.protocol import Task

PRIOR_FORMAT = 1  # part of the cache key: raised when pre-training changes what it computes


@dataclass(frozen=True)
class Prior:
    """A starting policy on disk. ``key`` is the hash of its resolved settings, or of its weights if it came by path."""

    path: Path
    key: str
    from_cache: bool
    seconds: float | None  # of its training, whenever that was
    facts: dict[str, Any]


def task_of(settings: Common) -> Task:
    """Return the task that the settings name; ``kind = "package.module:Class"`` names one that is not in the catalogue."""
    return make(settings.task, catalogue.task)


def objective_of(settings: RunSettings) -> Objective:
    """Return the objective that the settings name."""
    return make(settings.objective, catalogue.objective)


def make(entry: Kind, build: Callable[..., Any]) -> Any:
    """Return what a catalogue name or a ``module:Class`` path gives, called with the entry's numbers."""
    if entry.kind.startswith("object:"):
        raise ConfigError(
            "task",
            [
                f"this run's task {entry.kind.removeprefix('object:')!r} was an object, not a name: hand it over (task=...)"
            ],
        )
    if ":" in entry.kind:
        module, _, name = entry.kind.partition(":")
        return getattr(importlib.import_module(module), name)(**entry.numbers)
    return build(entry.kind, **entry.numbers)


def catalogue_checks(settings: Common) -> list[str]:
    """Return problems of the task and of every objective: unknown names, unknown or unusable numbers."""
    problems = []
    try:
        make(settings.task, catalogue.task)
    except (ValueError, TypeError, ImportError, AttributeError, KeyError, OSError) as error:
        problems.append(f"task.{_plain(error)}" if str(error).startswith("kind") else f"task: {_plain(error)}")
    if isinstance(settings, RunSettings):
        entries = {"objective": settings.objective}
    elif isinstance(settings, StudySettings):
        entries = {f"objectives.{k}": Kind(kind=e.kind or k, **e.numbers) for k, e in settings.objectives.items()}
    else:
        entries = {}
    for where, entry in entries.items():
        try:
            reason = trainable(make(entry, catalogue.objective))
            if reason is not None:
                problems.append(f"{where}: {reason}")
        except (ValueError, TypeError, ImportError, AttributeError, KeyError) as error:
            problems.append(f"{where}: {_plain(error)}")
    return problems


def _plain(error: BaseException) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def quality_target_settings(data: Mapping[str, Any], target: float, *, where: str) -> dict[str, Any]:
    """Return the ``[objective]`` table that meets a quality target on the task of a run's settings.

    Tasks whose answers are right or wrong (``correct_at`` 1) get the entropy among correct answers, graded ones the anchored form.
    """
    try:
        kind = Kind.model_validate(data["task"])
    except (KeyError, ValidationError):
        raise ConfigError(where, ["task: missing or without a kind"]) from None
    graded = make(kind, catalogue.task).describe().correct_at < 1
    return {"kind": "quality_target", "target": target, "form": "anchored" if graded else "correct_entropy"}


CHECKS: tuple[Callable[[Any], list[str]], ...] = (cross_checks, catalogue_checks)


def resolve(settings: RunSettings) -> RunSettings:
    """Return settings with nothing left to defaults of the code: every number of the objective, passes and minibatches."""
    objective = objective_of(settings)
    train = settings.train
    recommended = {name: int(objective.recommended.get(name, 1)) for name in ("inner_epochs", "minibatches")}
    missing = {name: number for name, number in recommended.items() if getattr(train, name) is None}
    return settings.model_copy(
        update={
            "objective": Kind(kind=settings.objective.kind, **{**objective.settings, **settings.objective.numbers}),
            "train": train.model_copy(update=missing),
        }
    )


def settings_of_run(folder: Path) -> RunSettings:
    """Return the resolved settings that a run folder holds."""
    path = Path(folder) / "config.json"
    return build_settings(RunSettings, json.loads(path.read_text()), where=str(path))


def study_file(name: str) -> Path:
    """Return the TOML of a study: one that comes with the package, or a path."""
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        if path.is_file():
            return path
        if name.removesuffix(".toml") not in studies():
            raise ConfigError(
                "study", [f"{name}: no such file; studies that come with breadth: {', '.join(studies())}"]
            )
    found = studies().get(name.removesuffix(".toml"))
    if found is None:
        raise ConfigError(
            "study", [f"unknown study {name!r}{nearest(name, studies())}; a path to a TOML file works too"]
        )
    return found


def load_study(
    name: str, overrides: Any = (), *, objectives: list[str] | None = None, seeds: int | None = None
) -> StudySettings:
    """Return the settings of a study, checked. ``seeds`` is a number of seeds, ``objectives`` a choice among its labels or any catalogue names."""
    from breadth.config import apply_overrides

    path = study_file(name)
    data = apply_overrides(read_toml(path), overrides)
    data.setdefault("name", path.stem)
    if objectives is not None:
        known = data.get("objectives", {})
        data["objectives"] = {o: known.get(o, {}) for o in objectives}
        head = data.setdefault("study", {})
        if head.get("baseline") not in objectives:
            head["baseline"] = objectives[0]
    if seeds is not None:
        data.setdefault("study", {})["seeds"] = list(range(seeds))
    return build_settings(StudySettings, data, where=str(path), checks=CHECKS)


def prior_key(settings: Common, task: Task) -> str:
    """Return the hash of everything that decides a prior: corpus and vocabulary, model, pre-training, threads, precision."""
    identity = task.corpus_identity()
    if (
        identity is None and ":" in settings.task.kind
    ):  # an object or a class from elsewhere: its settings do not tell it apart
        identity = _corpus_hash(settings, task)
    decides = {
        "format": PRIOR_FORMAT,
        "corpus": settings.task.model_dump(mode="json") if identity is None else identity,
        "model": settings.model.model_dump(mode="json"),
        "prior": settings.prior.model_dump(mode="json", exclude={"path", "checkpoint_every"}),
        "engine": settings.engine.model_dump(mode="json", include={"threads", "device", "precision", "compile"}),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _corpus_hash(settings: Common, task: Task) -> str:
    """Return a hash of the texts that a prior would learn from, the vocabulary, and the length of completions."""
    about, size = task.describe(), settings.prior.corpus_size or settings.prior.steps * settings.prior.batch_size
    digest = hashlib.sha256(json.dumps([task.vocabulary().to_dict(), about.max_tokens, about.end_token]).encode())
    for text in task.corpus(size, seed=settings.prior.seed):
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def prepare_prior(
    settings: Common, task: Task, target: Path, *, on_step: Callable[[dict[str, Any]], None] = lambda row: None
) -> Prior:
    """Put the starting policy into ``target``: from its path, from the cache, or by pre-training it (into the cache).

    A second process that asks for the same prior waits for the first.
    """
    if settings.prior.path is not None:
        source = Path(settings.prior.path).expanduser()
        if not (source / WEIGHTS).is_file():
            raise ConfigError("prior.path", [f"{source}: expected a model folder with config.json and {WEIGHTS}"])
        key, from_cache, seconds = file_hash(source / WEIGHTS)[:16], True, None
    else:
        key = prior_key(settings, task)
        root = cache_folder() / "priors"
        source, timing = root / key, root / f"{key}.seconds.json"
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{key}.lock"):
            from_cache = (source / WEIGHTS).is_file()
            if not from_cache:
                from breadth.engine.pretrain import pretrain

                started = time.perf_counter()
                pretrain(
                    task,
                    model=settings.model,
                    prior=settings.prior,
                    engine=settings.engine,
                    work=root / f"{key}.work",
                    target=source,
                    on_step=on_step,
                )
                write_atomic(timing, json.dumps({"seconds": round(time.perf_counter() - started, 2)}).encode())
                shutil.rmtree(root / f"{key}.work", ignore_errors=True)
        seconds = json.loads(timing.read_text())["seconds"] if timing.is_file() else None
    weights = file_hash(source / WEIGHTS)
    if (target / WEIGHTS).is_file():
        if file_hash(target / WEIGHTS) != weights:
            raise CheckpointError(
                f"{target}: holds another prior than the settings name: the runs here cannot be compared with new ones. Use another "
                "output folder, or delete this one"
            )
    else:
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(source, temporary)
        temporary.rename(target)
    facts_path = target / "breadth.json"
    facts = json.loads(facts_path.read_text()) if facts_path.is_file() else {}
    return Prior(target, key, from_cache, seconds, {**facts, "weights": weights[:16]})


def note_prior(run_folder: Path, prior: Path) -> None:
    """Write down in a run folder where its prior lies, relative to it, and the hash of its weights."""
    note = {"path": os.path.relpath(prior, run_folder), "weights": file_hash(prior / WEIGHTS)[:16]}
    write_atomic(run_folder / "prior.json", (json.dumps(note) + "\n").encode())


def prior_of_run(run_folder: Path) -> Path:
    """Return the prior of a run; ``CheckpointError`` where it is gone or is another one now."""
    note = json.loads((run_folder / "prior.json").read_text())
    path = (run_folder / note["path"]).resolve()
    if not (path / WEIGHTS).is_file():
        raise CheckpointError(
            f"{run_folder}: its prior should lie at {path}, and is not there: put it back to measure this run"
        )
    found = file_hash(path / WEIGHTS)[:16]
    if found != note["weights"]:
        raise CheckpointError(
            f"{path}: expected the prior with weights {note['weights']}, found {found}: it is not the one this run started from"
        )
    return path
