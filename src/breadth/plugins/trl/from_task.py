"""A task as TRL's trainers take it: prompts, rewards, who says the same thing as whom, who is correct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from breadth.config import ConfigError, RunSettings
from breadth.plugins.trl.pools import WHERE
from breadth.seeds import derive_seed
from breadth.tasks.few_prompts import distinct_prompts
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import score_batch


def dataset_of(task: Task, settings: RunSettings) -> Any:
    from datasets import Dataset

    from breadth.plugins.trl.group_reward import add_uid

    train = settings.train
    n = -(-train.steps // (train.minibatches or 1)) * train.prompts  # one pass over them
    prompts = training_prompts(task, settings, max(n, train.prompts))
    if not all(prompts):
        raise ConfigError(
            WHERE,
            [f"task {task.name!r}: its prompt is empty, and a transformers model needs a prompt"],
        )
    return add_uid(Dataset.from_dict({"prompt": list(prompts)}))


def training_prompts(task: Task, settings: RunSettings, n: int) -> list[str]:
    """Return n training prompts, in a run that is held to few of them those, over and over."""
    few = settings.control.prompts if settings.control is not None else None
    if few is None:
        return list(task.prompts(n, seed=derive_seed(settings.seed, "prompts"), split="train"))
    found = distinct_prompts(task, few, seed=derive_seed(settings.seed, "control", "prompts"))
    order = np.random.default_rng(derive_seed(settings.seed, "prompts")).permutation(n) % len(found)  # as even as n allows
    return [found[i] for i in order]


def partition_of(settings: RunSettings, task: Task) -> Any:
    """Return who tells answers apart: the partition of the settings, or the task."""
    wanted = settings.partition
    if wanted is None:
        return TaskPartition(task)
    from breadth.partitions.front import partition

    return partition(wanted.backend, threshold=wanted.threshold, clustering=wanted.clustering, **wanted.settings)


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


def correct_of(task: Task, *, always: bool = False) -> Any:
    """Return who is correct by quality, where the task's reward is another number than its quality (or ``always``)."""
    if type(task).reward is Task.reward and not always:
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
            WHERE,
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
