"""Problems of settings that only show when two of them are looked at together."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from breadth.config import Common, ObjectiveEntry, StudySettings, TrainSettings, nearest, sentence
from breadth.data_settings import SECTIONS, data_problems


def cross_checks(settings: Common) -> list[str]:
    """Return the problems that only show when two settings are looked at together."""
    problems = []
    model, train, prior = settings.model, settings.train, settings.prior
    if prior.path is None and model.n_embd % model.n_head:
        problems.append(f"model.n_embd = {model.n_embd} is not a multiple of model.n_head = {model.n_head}")
    n = train.prompts * train.group_size
    if train.minibatches and train.minibatches > n:
        problems.append(
            f"train.minibatches = {train.minibatches} exceeds the {n} rollouts of a step (prompts × group_size)"
        )
    if train.schedule == "constant" and train.warmup_steps > train.steps:
        problems.append(f"train.warmup_steps = {train.warmup_steps} exceeds train.steps = {train.steps}")
    if settings.engine.precision == "bf16" and settings.engine.device == "cpu" and settings.engine.compile:
        problems.append("engine: bf16 with compile is not supported on the CPU: choose one of them")
    if settings.engine.cuda_graphs and settings.engine.device == "cpu":
        problems.append("engine: cuda_graphs needs a GPU, and engine.device = 'cpu': set device to 'cuda' or 'auto', or leave cuda_graphs out")
    problems += data_problems(settings)
    if isinstance(settings, StudySettings):
        head = settings.study
        if head.baseline is not None and head.baseline not in settings.objectives:
            problems.append(
                f"study.baseline = {head.baseline!r} is not among the objectives{nearest(head.baseline, settings.objectives)}"
            )
        if head.tune is not None and set(head.tune.seeds) & set(head.seeds):
            both = sorted(set(head.tune.seeds) & set(head.seeds))
            problems.append(f"study.tune.seeds: {both} are seeds of the study too: results must not rest on runs that chose the settings")
        if len(set(head.seeds)) != len(head.seeds) or not head.seeds:
            problems.append(f"study.seeds: expected distinct seeds, at least one, got {list(head.seeds)}")
        for label, entry in settings.objectives.items():
            if not label or any(c in label for c in "/\\") or label.startswith("."):
                problems.append(f"objectives: {label!r} cannot name a folder: use letters, digits, '_' and '-'")
            problems += _entry_problems(settings, label, entry)
    return problems


def _entry_problems(settings: StudySettings, label: str, entry: ObjectiveEntry) -> list[str]:
    """Return the problems of what one objective of a study changes in the sections of all."""
    sections: dict[str, type[BaseModel]] = {"train": TrainSettings, **SECTIONS}
    problems = [
        f"objectives.{label}.{section}.{key}: unknown key{nearest(key, model.model_fields)}"
        for section, model in sections.items()
        for key in getattr(entry, section)
        if key not in model.model_fields
    ]
    if problems:
        return problems
    for section in (name for name in sections if getattr(entry, name)):
        model = sections[section]
        shared = getattr(settings, section)
        try:
            model(**{**(shared.model_dump() if shared else {}), **getattr(entry, section)})
        except ValidationError as error:
            problems += [f"objectives.{label}.{section}.{sentence(e, model)}" for e in error.errors()]
    if problems or not any(getattr(entry, name) for name in SECTIONS):
        return problems
    return [f"objectives.{label}.{problem}" for problem in data_problems(settings.run_settings(label, 0))]
