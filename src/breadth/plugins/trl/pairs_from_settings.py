"""``breadth train --engine trl`` for objectives that learn from pairs: a pool of the model's own answers, or a file, then TRL's DPO trainer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breadth import catalogue
from breadth.config import RunSettings
from breadth.data_settings import PreferenceSettings
from breadth.plugins.trl.altered_rewards import alters
from breadth.plugins.trl.from_settings import NATIVE, check, peft_of, training_arguments
from breadth.plugins.trl.from_task import training_prompts
from breadth.plugins.trl.pools import StartingModel, after_prompt, pair_rows
from breadth.tasks.protocol import Task


def pair_trainer(
    settings: RunSettings, task: Task, out: Path, *, own: dict[str, Any], tables: Mapping[str, Any], world: int,
    given: Mapping[str, Any], callback: Any,
) -> Any:  # fmt: skip
    """Return the trainer of a pair objective, its pairs drawn and judged (or read), and kept in the run folder.

    Raises
    ------
    ConfigError
        Settings that TRL's trainer cannot carry; a pool that gives no pair.
    """
    from accelerate import PartialState
    from datasets import Dataset

    from breadth.plugins.trl.dpo import BreadthDPOConfig, BreadthDPOTrainer

    wanted = settings.preference or PreferenceSettings()
    arguments = {
        **training_arguments(settings, out, given),
        "preset": settings.objective.kind,
        "preset_settings": settings.objective.numbers,
        "max_length": None,  # answers are no longer than the task allows: nothing is cut
    }
    size = int(own.get("per_device_train_batch_size", 0)) or _largest(wanted.batch, world, settings.train.micro_batch)
    arguments |= {
        "per_device_train_batch_size": size, "gradient_accumulation_steps": max(1, wanted.batch // (size * world)), **own,
    }  # fmt: skip
    problems = _unsuited(settings, wanted)
    if wanted.batch % (size * world):
        problems.append(
            f"preference.batch: expected a multiple of per_device_train_batch_size × processes = {size} × {world}, got {wanted.batch}"
        )
    check(settings, arguments, BreadthDPOConfig, "DPOConfig", problems)
    arguments["model_init_kwargs"] = tables["model"]
    args = BreadthDPOConfig(**arguments)
    PartialState()  # processes know each other before the trainer is there
    objective = catalogue.objective(settings.objective.kind, **settings.objective.numbers)
    model = StartingModel(settings, tables["model"], on_gpu=not arguments["use_cpu"])
    prompts = [] if wanted.path is not None else training_prompts(task, settings, wanted.prompts)
    rows = pair_rows(settings, task, objective, prompts, model, out)
    model.forget()
    sides = ("chosen", "rejected")
    joined = [{s: after_prompt(model.tokenizer, row["prompt"], row[s]) for s in sides} for row in rows]
    data = Dataset.from_list([{"prompt": row["prompt"], **pair} for row, pair in zip(rows, joined, strict=True)])
    return BreadthDPOTrainer(
        settings.prior.path, args=args, train_dataset=data, callbacks=[callback], peft_config=peft_of(tables["peft"])
    )


def _unsuited(settings: RunSettings, wanted: PreferenceSettings) -> list[str]:
    """Return the problems of settings that pairs in TRL cannot carry; each names what can."""
    problems = []
    if wanted.refresh is not None:
        problems.append(
            f"preference.refresh: TRL's DPO trainer learns from one set of pairs; new pools on the way: {NATIVE}"
        )
    if (settings.train.inner_epochs or 1) > 1 or (settings.train.minibatches or 1) > 1:
        problems.append(
            f"train.inner_epochs, train.minibatches: here a batch of pairs is one optimiser step; several: {NATIVE}"
        )
    if alters(settings):
        problems.append(f"control.reward, train.reward_schedule, train.reward_transform: for pairs {NATIVE}")
    if settings.partition is not None or settings.sft is not None:
        problems.append("partition, sft: pairs read neither; remove them")
    return problems


def _largest(batch: int, world: int, limit: int) -> int:
    """Return the largest micro-batch of pairs that divides a process's share; a pair is two sequences."""
    share = max(1, batch // world)
    return max(size for size in range(1, share + 1) if share % size == 0 and (size == 1 or 2 * size <= limit))
