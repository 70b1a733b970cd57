"""``breadth train --engine trl``: a TOML file of breadth as a training in TRL."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breadth import catalogue
from breadth.config import ConfigError, RunSettings
from breadth.data_settings import SECTIONS
from breadth.ledger.run import Run
from breadth.plugins.trl.altered_rewards import AlteredReward, alters
from breadth.plugins.trl.from_task import correct_of, dataset_of, partition_of, rewards_of
from breadth.plugins.trl.pools import WHERE, StartingModel
from breadth.plugins.trl.versions import INSTALL, check_trl
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task

#: what [trl] may hold besides the arguments of TRL's GRPOConfig (DPOConfig for pairs)
TABLES = ("peft", "model")
NATIVE = "breadth's own loop does it: leave --engine out"


def train_with_trl(
    settings: RunSettings, out: str | Path, *, given: Mapping[str, Any] | None = None, task: Task | None = None,
    on_note: Callable[[str], None] = print,
) -> Run:  # fmt: skip
    """Train with TRL what the settings describe, into the run folder ``out``; an unfinished run there is continued.

    Parameters
    ----------
    settings : RunSettings
        ``prior.path`` is a folder or a hub name. ``[trl]`` holds arguments of TRL's ``GRPOConfig`` by name (for objectives that learn from
        pairs: of its ``DPOConfig``), and the tables ``peft`` (of ``LoraConfig``) and ``model`` (of ``from_pretrained``).
    given : dict, optional
        The settings as the user wrote them: where ``[engine]`` says nothing, the accelerator and its bf16 are used.
    task : Task, optional
        Instead of the settings' own.

    Returns
    -------
    Run
        With ``trl/`` (TRL's checkpoints) and ``model/`` (the trained model) beside the files of every run.

    Raises
    ------
    ConfigError
        With all problems of the settings that TRL would meet.
    ImportError
        No TRL, or an untested one.
    """
    check_trl()
    from transformers.trainer_utils import get_last_checkpoint

    out = Path(out)
    task = task or catalogue.task(settings.task.kind, **settings.task.numbers)
    own = dict(settings.trl or {})
    tables = {name: own.pop(name, None) for name in TABLES}
    tables["model"] = {"use_safetensors": True, **(tables["model"] or {})}  # weights that would have to be unpickled are refused
    world = int(os.environ.get("WORLD_SIZE", "1"))
    start = starting_problems(settings)
    if start:
        raise ConfigError(WHERE, start)
    objective = catalogue.objective(settings.objective.kind, **settings.objective.numbers)
    if objective.family == "pair" or hasattr(objective, "pairs"):
        from breadth.plugins.trl.pairs_from_settings import pair_trainer as make
    else:
        make = _rollout_trainer
    callback = callback_of(settings, task, out, on_note)
    trainer = make(settings, task, out, own=own, tables=tables, world=world, given=given or {}, callback=callback)
    folder = Path(trainer.args.output_dir)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)) if folder.is_dir() else None)
    trainer.save_model(str(out / "model"))
    return callback.record.run()


def callback_of(settings: RunSettings, task: Task, out: Path, on_note: Callable[[str], None]) -> Any:
    """Return the callback that measures a training as the settings say."""
    from breadth.plugins.trl.callback import BreadthCallback

    measure, forecast = settings.measure, settings.forecast
    callback = BreadthCallback(
        task if settings.task.kind.startswith("object:") else settings.task.model_dump(), out,
        objective=settings.objective.model_dump(), every=measure.every, sets=measure.sets, samples_per_set=measure.samples_per_set,
        temperature=measure.temperature, top_p=measure.top_p, top_k=measure.top_k, max_tokens=settings.sample.max_tokens,
        keep_samples=measure.keep_samples, forecast=False if forecast is None else forecast.model_dump(), study=settings.study,
        label=settings.label, seed=settings.seed, on_note=on_note,
    )  # fmt: skip
    sections = {name: getattr(settings, name) for name in SECTIONS}
    callback.about |= {name: section.model_dump() for name, section in sections.items() if section is not None}
    return callback


def _rollout_trainer(
    settings: RunSettings, task: Task, out: Path, *, own: dict[str, Any], tables: Mapping[str, Any], world: int,
    given: Mapping[str, Any], callback: Any,
) -> Any:  # fmt: skip
    """Return the trainer of an objective that learns from its own rollouts."""
    from breadth.plugins.trl.grpo import BreadthGRPOConfig, BreadthGRPOTrainer

    arguments = {**_arguments(settings, task, out, given, world, own), **own}
    objective = catalogue.objective(settings.objective.kind, **settings.objective.numbers)
    check(settings, arguments, BreadthGRPOConfig, "GRPOConfig", _unsuited(settings, objective))
    arguments["model_init_kwargs"] = tables["model"]
    functions = rewards_of(task, objective.needs)
    altered = alters(settings)
    if altered:
        functions = [_altered(settings, task, functions[0], arguments, tables["model"])]
    controlled = settings.control is not None and settings.control.reward != "task"
    args = BreadthGRPOConfig(**{"reward_weights": [1 / len(functions)] * len(functions), **arguments})
    return BreadthGRPOTrainer(
        settings.prior.path, functions, args, train_dataset=dataset_of(task, settings), callbacks=[callback],
        peft_config=peft_of(tables["peft"]), partition=partition_of(settings, task), key=task.key,
        correct=None if controlled else correct_of(task, always=altered),
        bucket_key=None if type(task).bucket_key is Task.bucket_key else lambda texts, prompts: task.bucket_key(texts),
    )  # fmt: skip


def _altered(
    settings: RunSettings, task: Task, reward: Any, arguments: Mapping[str, Any], loading: Mapping[str, Any] | None
) -> AlteredReward:
    """Return the reward that the settings make of the task's; where it is random, the starting model is asked first."""
    control, prior = settings.control, None
    if control is not None and control.reward == "random" and control.reward_mean is None:
        model = StartingModel(settings, loading, on_gpu=not arguments["use_cpu"])
        prompts = task.prompts(control.reward_samples, seed=derive_seed(settings.seed, "control", "reward prompts"))
        prior = model.answers(prompts, 1, task, purpose="control reward").reward
        prior = prior[~np.isnan(prior)]
        model.forget()
    updates = arguments["steps_per_generation"] // arguments["gradient_accumulation_steps"] * arguments["num_iterations"]
    return AlteredReward(reward, settings, prior_rewards=prior, updates=updates)


def starting_problems(settings: RunSettings) -> list[str]:
    """Return what is wrong with the model that a training is to start from."""
    path = settings.prior.path
    if path is None:
        return ["prior.path: --engine trl starts from a model: give a folder or a hub name such as Qwen/Qwen2.5-0.5B-Instruct"]
    if path.count("/") > 1 and not Path(path).expanduser().is_dir():
        return [f"prior.path: {path}: no such folder"]
    return []


def _unsuited(settings: RunSettings, objective: Any) -> list[str]:
    """Return the problems of settings that rollouts in TRL cannot carry; each names what can."""
    problems = []
    if objective.family == "sft":
        problems.append(f"objective: {objective.name!r} learns from examples; {NATIVE}, or use sft_loss in TRL's SFTTrainer (docs/trl.md)")
    elif settings.preference is not None or settings.sft is not None:
        problems.append(f"preference, sft: {objective.name!r} learns from its own rollouts and reads neither; remove them")
    if alters(settings):
        if "reward_vector" in objective.needs:
            problems.append(f"control, train: {objective.name!r} reads several rewards, and a control, schedule or transform changes one: remove it")
        if objective.state_dict() and (settings.train.reward_schedule == "linear" or settings.train.reward_transform):
            problems.append(
                f"train: {objective.name!r} remembers rewards, in TRL changed ones (reward_schedule, reward_transform): {NATIVE}"
            )
        if settings.control is not None and settings.control.reward != "task" and settings.train.reward_transform is not None:
            problems.append(f"control.reward with train.reward_transform: who is correct would follow the transform in TRL: {NATIVE}")
    if settings.train.padded_likelihood:
        problems.append(f"train.padded_likelihood: {NATIVE}")
    if settings.train.replay_from is not None:
        problems.append(f"train.replay_from: {NATIVE}")
    if settings.partition is not None and settings.partition.learn_pairs is not None:
        problems.append(
            f"partition.learn_pairs: {NATIVE}; or fit a classifier first (breadth partition train) and name it in partition.settings.model"
        )
    return problems


def _arguments(
    settings: RunSettings, task: Task, out: Path, given: Mapping[str, Any], world: int, own: Mapping[str, Any]
) -> dict[str, Any]:
    train, sample = settings.train, settings.sample
    n, problems = train.prompts * train.group_size, []
    share = n // world
    if n % world:
        problems.append(f"train: prompts × group_size = {n} rollouts do not divide by {world} processes")
    size = int(own.get("per_device_train_batch_size", 0)) or _largest(share, train.micro_batch, train.group_size)
    parts = train.minibatches or 1
    if share % size or (share // size) % parts:
        problems.append(
            f"train: expected the {share} rollouts of a process (prompts × group_size / {world}) to be a multiple of "
            f"per_device_train_batch_size × minibatches = {size} × {parts}"
        )
    if problems:
        raise ConfigError(WHERE, problems)
    return {
        **training_arguments(settings, out, given), "objective": settings.objective.kind,
        "objective_settings": settings.objective.numbers, "num_generations": train.group_size, "per_device_train_batch_size": size,
        "steps_per_generation": share // size, "gradient_accumulation_steps": share // size // parts,
        "num_iterations": train.inner_epochs or 1, "temperature": sample.temperature, "top_p": sample.top_p, "top_k": sample.top_k,
        "max_completion_length": sample.max_tokens or task.describe().max_tokens, "correct_at": task.describe().correct_at,
        "max_unscored_share": train.max_unscored_share,
    }  # fmt: skip


def training_arguments(settings: RunSettings, out: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that every trainer of transformers takes: steps, optimiser, machine, files."""
    import torch

    train, engine = settings.train, given.get("engine", {})
    gpu = torch.cuda.is_available() and engine.get("device") != "cpu"
    schedule: dict[str, Any] = {"lr_scheduler_type": "constant_with_warmup"}
    if train.schedule == "cosine":
        schedule = {
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr_rate": train.final_rate_share},
        }
    return {
        "output_dir": str(out / "trl"), "max_steps": train.steps, "learning_rate": train.learning_rate,
        "warmup_steps": train.warmup_steps, **schedule, "weight_decay": train.weight_decay, "adam_beta1": train.beta1,
        "adam_beta2": train.beta2, "max_grad_norm": train.clip_norm, "seed": settings.seed, "use_cpu": not gpu,
        "bf16": engine.get("precision", "bf16" if gpu else "fp32") == "bf16", "gradient_checkpointing": gpu,
        "logging_steps": 1, "save_steps": settings.measure.every, "report_to": list(settings.engine.trackers) or "none",
        "ddp_find_unused_parameters": False,
    }  # fmt: skip


def _largest(share: int, limit: int, group: int) -> int:
    """Return the largest micro-batch up to ``limit`` that divides a process's rollouts, of whole groups where that is possible."""
    fits = [size for size in range(1, min(share, max(limit, 1)) + 1) if share % size == 0]
    whole = [size for size in fits if size % group == 0]
    return max(whole or fits or [1])


def check(
    settings: RunSettings, arguments: Mapping[str, Any], config: Any, name: str, problems: Sequence[str]
) -> None:
    """Raise a ConfigError with all problems: those given, and arguments that TRL's configuration does not have."""
    from breadth.config import nearest

    known = config.__dataclass_fields__
    unknown = [
        f"trl.{argument}: unknown argument of TRL's {name}{nearest(argument, known)}"
        for argument in arguments
        if argument not in known
    ]
    if unknown or problems:
        raise ConfigError(WHERE, [*unknown, *problems])


def peft_of(table: Mapping[str, Any] | None) -> Any:
    if not table:
        return None
    try:
        from peft import LoraConfig
    except ImportError:
        raise ImportError(f"[trl.peft] needs peft: {INSTALL.replace('trl', 'trl,peft')} or pip install peft") from None
    return LoraConfig(**{"task_type": "CAUSAL_LM", **table})
