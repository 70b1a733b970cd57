"""``breadth train --engine trl``: a TOML file of breadth as a training in TRL."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breadth import catalogue
from breadth.config import ConfigError, RunSettings
from breadth.ledger.run import Run
from breadth.plugins.trl.versions import INSTALL, check_trl
from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch

#: what [trl] may hold besides the arguments of TRL's GRPOConfig
TABLES = ("peft", "model")


def train_with_trl(
    settings: RunSettings, out: str | Path, *, given: Mapping[str, Any] | None = None, task: Task | None = None,
    on_note: Callable[[str], None] = print,
) -> Run:  # fmt: skip
    """Train with TRL what the settings describe, into the run folder ``out``; an unfinished run there is continued.

    Parameters
    ----------
    settings : RunSettings
        ``prior.path`` is a folder or a hub name. ``[trl]`` holds arguments of TRL's ``GRPOConfig`` by name, and the tables ``peft`` (of
        ``LoraConfig``) and ``model`` (of ``from_pretrained``).
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

    from breadth.plugins.trl.callback import BreadthCallback
    from breadth.plugins.trl.grpo import BreadthGRPOConfig, BreadthGRPOTrainer

    out = Path(out)
    task = task or catalogue.task(settings.task.kind, **settings.task.numbers)
    own = dict(settings.trl or {})
    tables = {name: own.pop(name, None) for name in TABLES}
    world = int(os.environ.get("WORLD_SIZE", "1"))
    arguments = {**_arguments(settings, task, out, given or {}, world, own), **own}
    _check(settings, arguments, BreadthGRPOConfig)
    if tables["model"]:
        arguments["model_init_kwargs"] = tables["model"]
    functions = rewards_of(task, catalogue.objective(settings.objective.kind, **settings.objective.numbers).needs)
    args = BreadthGRPOConfig(**{"reward_weights": [1 / len(functions)] * len(functions), **arguments})
    measure, forecast = settings.measure, settings.forecast
    callback = BreadthCallback(
        task if settings.task.kind.startswith("object:") else settings.task.model_dump(), out,
        objective=settings.objective.model_dump(), every=measure.every, sets=measure.sets, samples_per_set=measure.samples_per_set,
        temperature=measure.temperature, top_p=measure.top_p, top_k=measure.top_k, max_tokens=settings.sample.max_tokens,
        keep_samples=measure.keep_samples, forecast=False if forecast is None else forecast.model_dump(), study=settings.study,
        label=settings.label, seed=settings.seed, on_note=on_note,
    )  # fmt: skip
    trainer = BreadthGRPOTrainer(
        settings.prior.path, functions, args, train_dataset=_dataset(task, settings), callbacks=[callback],
        peft_config=_peft(tables["peft"]), partition=TaskPartition(task), key=task.key, correct=_correct(task),
        bucket_key=None if type(task).bucket_key is Task.bucket_key else lambda texts, prompts: task.bucket_key(texts),
    )  # fmt: skip
    folder = Path(args.output_dir)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)) if folder.is_dir() else None)
    trainer.save_model(str(out / "model"))
    return callback.record.run()


def _arguments(
    settings: RunSettings, task: Task, out: Path, given: Mapping[str, Any], world: int, own: Mapping[str, Any]
) -> dict[str, Any]:
    import torch

    train, sample, engine = settings.train, settings.sample, given.get("engine", {})
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
    if settings.prior.path is None:
        problems.append(
            "prior.path: --engine trl starts from a model: give a folder or a hub name such as Qwen/Qwen2.5-0.5B-Instruct"
        )
    elif settings.prior.path.count("/") > 1 and not Path(settings.prior.path).expanduser().is_dir():
        problems.append(f"prior.path: {settings.prior.path}: no such folder")
    if problems:
        raise ConfigError("breadth train --engine trl", problems)
    gpu = torch.cuda.is_available() and engine.get("device") != "cpu"
    schedule: dict[str, Any] = {"lr_scheduler_type": "constant_with_warmup"}
    if train.schedule == "cosine":
        schedule = {
            "lr_scheduler_type": "cosine_with_min_lr",
            "lr_scheduler_kwargs": {"min_lr_rate": train.final_rate_share},
        }
    return {
        "output_dir": str(out / "trl"), "objective": settings.objective.kind, "objective_settings": settings.objective.numbers,
        "max_steps": train.steps, "num_generations": train.group_size, "per_device_train_batch_size": size,
        "steps_per_generation": share // size, "gradient_accumulation_steps": share // size // parts,
        "num_iterations": train.inner_epochs or 1, "learning_rate": train.learning_rate, "warmup_steps": train.warmup_steps, **schedule,
        "weight_decay": train.weight_decay, "adam_beta1": train.beta1, "adam_beta2": train.beta2, "max_grad_norm": train.clip_norm,
        "temperature": sample.temperature, "top_p": sample.top_p, "top_k": sample.top_k,
        "max_completion_length": sample.max_tokens or task.describe().max_tokens, "seed": settings.seed,
        "correct_at": task.describe().correct_at, "max_unscored_share": train.max_unscored_share, "use_cpu": not gpu,
        "bf16": engine.get("precision", "bf16" if gpu else "fp32") == "bf16", "gradient_checkpointing": gpu,
        "logging_steps": 1, "save_steps": settings.measure.every, "report_to": list(settings.engine.trackers) or "none",
        "ddp_find_unused_parameters": False,
    }  # fmt: skip


def _largest(share: int, limit: int, group: int) -> int:
    """Return the largest micro-batch up to ``limit`` that divides a process's rollouts, of whole groups where that is possible."""
    fits = [size for size in range(1, min(share, max(limit, 1)) + 1) if share % size == 0]
    whole = [size for size in fits if size % group == 0]
    return max(whole or fits or [1])


def _check(settings: RunSettings, arguments: Mapping[str, Any], config: Any) -> None:
    from breadth.config import nearest

    known = config.__dataclass_fields__
    problems = [
        f"trl.{name}: unknown argument of TRL's GRPOConfig{nearest(name, known)}"
        for name in arguments
        if name not in known
    ]
    if settings.preference is not None or settings.sft is not None:
        problems.append(
            "preference, sft: --engine trl trains on rollouts; for pairs use BreadthDPOTrainer, see docs/trl.md"
        )
    if settings.control is not None:
        problems.append("control: the controls run in breadth's own loop; leave --engine out")
    if settings.train.reward_schedule is not None:
        problems.append("train.reward_schedule: runs in breadth's own loop only")
    if settings.train.reward_transform is not None:
        problems.append("train.reward_transform: runs in breadth's own loop only")
    if problems:
        raise ConfigError("breadth train --engine trl", problems)


def _dataset(task: Task, settings: RunSettings) -> Any:
    from datasets import Dataset

    from breadth.plugins.trl.group_reward import add_uid

    train = settings.train
    n = -(-train.steps // (train.minibatches or 1)) * train.prompts  # one pass over them
    prompts = task.prompts(max(n, train.prompts), seed=derive_seed(settings.seed, "prompts"), split="train")
    if not all(prompts):
        raise ConfigError(
            "breadth train --engine trl",
            [f"task {task.name!r}: its prompt is empty, and a transformers model needs a prompt"],
        )
    return add_uid(Dataset.from_dict({"prompt": list(prompts)}))


def _peft(table: Mapping[str, Any] | None) -> Any:
    if not table:
        return None
    try:
        from peft import LoraConfig
    except ImportError:
        raise ImportError(f"[trl.peft] needs peft: {INSTALL.replace('trl', 'trl,peft')} or pip install peft") from None
    return LoraConfig(**{"task_type": "CAUSAL_LM", **table})


class TaskPartition:
    """A task's classes and distances in the shape of a partition."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, texts: Sequence[str], *, group: Any, prompts: Sequence[str]) -> np.ndarray:
        return np.asarray(self.task.kinds(texts, prompts, group=group))

    def distance(self, texts: Sequence[str], *, prompts: Sequence[str]) -> np.ndarray:
        """Return (n, n) distances of answers to one prompt; 1 to what cannot be parsed."""
        rows = [i for i, key in enumerate(self.task.key(texts, prompts)) if key is not None]
        out = np.ones((len(texts), len(texts)))
        if len(rows) > 1:
            out[np.ix_(rows, rows)] = self.task.distance_within([texts[i] for i in rows], prompts[0])
        np.fill_diagonal(out, 0.0)
        return out


def _correct(task: Task) -> Any:
    """Return who is correct by quality, where the task's reward is another number than its quality."""
    if type(task).reward is Task.reward:
        return None
    mark = task.describe().correct_at
    return lambda texts, prompts: (score_batch(task.score, texts, prompts).values >= mark).tolist()


def rewards_of(task: Task, needs: Sequence[str]) -> list[Any]:
    """Return TRL's reward functions of a task: one, or one for each of its rewards where the objective reads them all."""

    def reward(completions: Sequence[str], prompts: Sequence[str], **columns: Any) -> list[float | None]:
        values = score_batch(task.reward, list(completions), list(prompts)).values
        return [None if np.isnan(value) else float(value) for value in values]

    if "reward_vector" not in needs:
        return [reward]
    names = task.reward_names()
    if not names:
        raise ConfigError(
            "breadth train --engine trl",
            [f"task {task.name!r} has one reward, and the objective reads several (reward_vector)"],
        )
    seen: dict[str, Any] = {}

    def column(k: int) -> Any:
        def one(completions: Sequence[str], prompts: Sequence[str], **columns: Any) -> list[float | None]:
            asked = (tuple(completions), tuple(prompts))
            if seen.get("asked") != asked:
                scored = score_batch(task.reward_vector, list(completions), list(prompts), vectors=True)
                seen.update(asked=asked, vector=scored.vector if scored.vector is not None else scored.values[:, None])
            return [None if np.isnan(value) else float(value) for value in seen["vector"][:, k]]

        one.__name__ = names[k]
        return one

    return [column(k) for k in range(len(names))]
