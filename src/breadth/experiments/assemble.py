"""From settings to the things they name: the task, the objective, the starting policy; and the checks that need all of them."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
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
    nearest,
    read_toml,
)
from breadth.config_checks import cross_checks
from breadth.data_settings import SECTIONS
from breadth.engine.checkpoint import WEIGHTS, CheckpointError, file_hash
from breadth.engine.streams import suits, trainable
from breadth.engine.training_partition import READS_PARTITION, named_partition
from breadth.ledger.rows import clear_leftovers, commit_folder, write_atomic
from breadth.objectives.composition import Objective
from breadth.partitions.function import SOFT
from breadth.studies import paths as studies
from breadth.tasks.protocol import Task

PRIOR_FORMAT = 2  # part of the cache key: raised when pre-training changes what it computes


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
    problems, task = [], None
    try:
        task = make(settings.task, catalogue.task)
    except (ValueError, TypeError, ImportError, AttributeError, KeyError, OSError) as error:
        problems.append(f"task.{_plain(error)}" if str(error).startswith("kind") else f"task: {_plain(error)}")
    if isinstance(settings, RunSettings):
        entries = {"objective": settings.objective}
    elif isinstance(settings, StudySettings):
        entries = {f"objectives.{k}": Kind(kind=e.kind or k, **e.numbers) for k, e in settings.objectives.items()}
    else:
        entries = {}
    built: dict[str, Objective] = {}
    for where, entry in entries.items():
        try:
            objective = make(entry, catalogue.objective)
            reason = trainable(objective) or (None if task is None else suits(objective, task))
            if reason is not None:
                problems.append(f"{where}: {reason}")
            built[where] = objective
        except (ValueError, TypeError, ImportError, AttributeError, KeyError) as error:
            problems.append(f"{where}: {_plain(error)}")
    if isinstance(settings, StudySettings):
        known = [name for name in catalogue.entries("metric") if name.startswith("diversity")]
        for name in ("diversity", "frontier_diversity"):
            if not (given := getattr(settings.study, name)).startswith("diversity"):  # a task has further ones: diversity_<distance>
                problems.append(f"study.{name}: expected a ledger's metric of diversity such as {', '.join(known)}, got {given!r}")
    return problems + (_unused_sections(settings, built) if len(built) == len(entries) else [])


def section_of(objective: Objective) -> str | None:
    """Return the section that says what an objective learns from: ``preference``, ``sft``, or None for its own rollouts."""
    if objective.family == "pair" or hasattr(objective, "pairs"):
        return "preference"
    return "sft" if objective.family == "sft" else None


def _unused_sections(settings: Common, objectives: Mapping[str, Objective]) -> list[str]:
    """Return the problems of sections that no objective reads, and of controls that an objective would not notice."""
    problems = []
    of_all = {section_of(objective) for objective in objectives.values()}
    for name in ("preference", "sft"):
        if getattr(settings, name) is not None and name not in of_all:
            problems.append(f"{name}: no objective here learns from it: {', '.join(o.name for o in objectives.values())}; remove [{name}]")
    for where, objective in objectives.items():
        own = settings
        if isinstance(settings, StudySettings):
            own = settings.objectives[where.removeprefix("objectives.")]
            problems += [
                f"{where}.{name}: {objective.name!r} does not learn from it; remove it"
                for name in ("preference", "sft")
                if getattr(own, name) and name != section_of(objective)
            ]
        train = {**settings.train.model_dump(), **(own.train if isinstance(settings, StudySettings) else {})}
        if train.get("reward_transform") is not None and section_of(objective) is not None:
            problems.append(f"{where}: train.reward_transform changes the reward of rollouts, and {objective.name!r} learns from examples; remove it")
        if train.get("padded_likelihood") and getattr(objective, "inner", objective).family != "group":
            problems.append(
                f"{where}: train.padded_likelihood is about likelihoods of whole answers, and {objective.name!r} learns token by token; remove it"
            )
        if (known := train.get("replay_from")) is not None:
            if getattr(objective, "replay", None) is None:
                problems.append(
                    f"{where}: train.replay_from fills a replay memory, and {objective.name!r} has none: remove it, or give an objective with "
                    "replay_size its own (objectives.NAME.train.replay_from)"
                )
            elif not Path(known).expanduser().is_file():
                problems.append(f"{where}: train.replay_from {known!r}: there is no such file")
        problems += _partition_problems(settings, where, objective)
        control = dict(own.control or {}) if isinstance(settings, StudySettings) else settings.control
        reward = control.get("reward") if isinstance(control, dict) else getattr(control, "reward", None)
        if reward in ("random", "shuffled") and train.get("replay_from") is not None:
            problems.append(f"{where}: control.reward = {reward!r} replaces the rewards, and train.replay_from brings true ones; remove one of them")
        needs = getattr(objective, "inner", objective).needs
        if reward in ("random", "shuffled") and "reward_vector" in needs:
            problems.append(f"{where}: control.reward = {reward!r} replaces the one reward, and {objective.name!r} reads reward_vector")
    return problems


def _partition_problems(settings: Common, where: str, objective: Objective) -> list[str]:
    """Return the problems of a partition that an objective is to train with: none that reads it, or one that cannot be made."""
    label = where.removeprefix("objectives.")
    try:
        wanted = settings.run_settings(label, 0).partition if isinstance(settings, StudySettings) else settings.partition
    except ValidationError:
        return []  # a key or a value that the other checks name
    needs = set(getattr(objective, "inner", objective).needs)
    own = not isinstance(settings, StudySettings) or bool(settings.objectives[label].partition)
    if wanted is None or not (own or needs & READS_PARTITION):
        return []
    place = f"{where}.partition" if isinstance(settings, StudySettings) else "partition"
    if not needs & READS_PARTITION:
        return [f"{place}: {objective.name!r} reads neither {' nor '.join(sorted(READS_PARTITION, reverse=True))}; remove it"]
    if "kind" in needs and wanted.clustering == SOFT:
        return [f"{place}.clustering: 'soft' makes no classes, and {objective.name!r} reads kind: use another clustering"]
    try:
        named_partition(wanted)
    except (ValueError, TypeError, ImportError, OSError, KeyError) as error:
        return [f"{place}: {_plain(error).removeprefix('partition: ')}"]
    return []


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
    numbers = {**objective.settings, **settings.objective.numbers}
    if "of" in objective.settings:  # a table of the objective inside, with every number of its own
        numbers["of"] = objective.settings["of"]
    wanted = section_of(objective)
    sections = {
        name: (getattr(settings, name) or model()) if name == wanted else None
        for name, model in SECTIONS.items()
        if name in ("preference", "sft")
    }
    recommended = {name: int(objective.recommended.get(name, 1)) for name in ("inner_epochs", "minibatches")}
    missing = {name: number for name, number in recommended.items() if getattr(train, name) is None}
    return settings.model_copy(
        update={
            "objective": Kind(kind=settings.objective.kind, **numbers),
            "train": train.model_copy(update=missing),
            **sections,
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
        digest.update(("\x1f".join(text) if isinstance(text, tuple) else text).encode() + b"\n")
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
            clear_leftovers(root, re.escape(timing.name))
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
        clear_leftovers(target.parent, re.escape(target.name))
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")  # two processes may want the folder: one will be refused
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            shutil.copytree(source, temporary)
            commit_folder(temporary, target)
        except OSError:
            if not (target / WEIGHTS).is_file() or file_hash(target / WEIGHTS) != weights:
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
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
