"""From rollouts to the named streams that objectives are made of: reward, kind, correct, sequence log-probabilities, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from breadth.records import Rollouts
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import Scored, ScoreFunction, score_batch

if TYPE_CHECKING:
    from breadth.objectives.composition import Objective
    from breadth.partitions.function import Partition


#: what the loop can hand to an objective; ``trainable`` compares an objective's needs with it
SUPPLIED = frozenset(
    {"reward", "group", "scored", "parsable", "correct", "kind", "key", "bucket_key", "prompt_id", "distance", "length", "mask", "entropy", "seed"}
    | {"reward_vector", "tokens"}
    | {"seq_logp", "seq_logp_ref", "logp_old", "logp_ref"}
    | {"value", "value_old", "value_target", "log_z"}  # of the heads, see breadth.engine.heads
)
NOVELTY = frozenset({"prediction_error", "in_top_k"})  # of the model that ``objective.novelty`` asks for
REFERENCE = frozenset({"logp_ref", "seq_logp_ref"})
TRAINED = ("policy", "actor_critic", "group")  # families that learn from rollouts of their own
EXAMPLES = frozenset({"pair", "sft"})  # families that learn from examples, see breadth.engine.example_run


def trainable(objective: Objective) -> str | None:
    """Return why the native loop cannot train with an objective, or None where it can."""
    learner = getattr(objective, "inner", getattr(objective, "pairs", None))  # of a selection
    if objective.family == "selection" and learner is None:
        return f"{objective.name!r} only selects: it names no objective that learns from what it keeps"
    if learner is not None:
        return trainable(learner)
    if objective.family not in EXAMPLES | set(TRAINED):
        return f"{objective.name!r} is of the family {objective.family!r}, which the native engine does not train"
    if objective.family in EXAMPLES:
        return None  # pairs and logits are all that these families can ask for
    novelty = NOVELTY if getattr(objective, "novelty", None) is not None else frozenset()
    missing = sorted(set(objective.needs) - SUPPLIED - novelty)
    if missing:
        return f"{objective.name!r} needs {', '.join(missing)}, which the native loop does not supply: call the objective from a trainer of your own"
    return None


def suits(objective: Objective, task: Task, *, reward: ScoreFunction | None = None) -> str | None:
    """Return which stream of an objective a task does not have, and what to do, or None where it has them all."""
    learner = getattr(objective, "inner", objective)  # of a selection
    needs = learner.needs
    if "bucket_key" in needs and type(task).bucket_key is Task.bucket_key:
        return f"{learner.name!r} needs bucket_key, which the task {task.name!r} does not have: use bucket_by = 'key'"
    if getattr(learner, "augmentation_rounds", 0) and type(task).respell is Task.respell:
        return f"{learner.name!r} learns from other spellings, and the task {task.name!r} knows one of each answer: use molecules, or rounds = 0"
    if "reward_vector" in needs and reward is None and not task.reward_names():
        return (
            f"{learner.name!r} needs reward_vector, and the task {task.name!r} has one reward: give it several (for molecules: "
            "oracle = 'components'; for a task of your own: reward_names and reward_vector), or let the reward function return K numbers "
            "per text"
        )
    return None


@dataclass(frozen=True)
class Judged:
    """Rollouts after scoring. ``streams`` holds tensors of shape (N,) (``distance``: (N, N))."""

    streams: dict[str, Any]
    quality: np.ndarray  # (N,) NaN = unscored
    scored: Scored
    keys: list[str | None]


def judge(
    rollouts: Rollouts,
    task: Task,
    *,
    needs: Sequence[str],
    reward: ScoreFunction | None = None,
    timeout: float | None = None,
    partition: Partition | None = None,
) -> Judged:
    """Score rollouts and tell them apart.

    Parameters
    ----------
    needs : names of streams
        ``distance`` and ``reward_vector`` are only computed when they are among them.
    reward : function, optional
        Replaces the task's reward; quality stays the task's. It may return K rewards per text, (n, K): ``reward_vector``, and
        ``reward`` is their mean.
    timeout : float, optional
        Seconds for one call of the reward and of the score, see :func:`breadth.tasks.scoring.score_batch`.
    partition : Partition, optional
        Tells ``kind`` and ``distance`` in the place of the task. Keys stay the task's.

    Raises
    ------
    ValueError
        A reward vector is needed and the reward function returned one number per text.
    """
    texts, prompts, device = rollouts.text, rollouts.prompt, rollouts.tokens.device
    graded = reward is not None or type(task).reward is not Task.reward
    scored = score_batch(reward or task.reward, texts, prompts, vectors=reward is not None, timeout=timeout)
    if "reward_vector" in needs:
        scored = _with_vector(scored, task, texts, prompts, own=reward is not None)
    quality = score_batch(task.score, texts, prompts, timeout=timeout).values if graded else scored.values
    keys = task.key(texts, prompts)
    parsable = np.array([k is not None for k in keys])
    group = rollouts.group.cpu().numpy()
    description = task.describe()
    with np.errstate(invalid="ignore"):
        correct = quality >= description.correct_at  # NaN compares False
    streams: dict[str, Any] = {
        "reward": torch.as_tensor(scored.values, dtype=torch.float32, device=device),
        "group": rollouts.group,
        "scored": torch.as_tensor(~np.isnan(scored.values), device=device),
        "parsable": torch.as_tensor(parsable, device=device),
        "correct": torch.as_tensor(correct, device=device),
        "kind": torch.as_tensor(_kinds(task, partition, needs, texts, prompts, group, keys), device=device),
        "key": keys,
        "prompt_id": rollouts.prompt_id,
        "seq_logp": rollouts.logp_old.sum(-1),
        "length": rollouts.mask.sum(-1),
        "logp_old": rollouts.logp_old,
        "entropy": rollouts.entropy,
        "mask": rollouts.mask,
    }
    if scored.vector is not None:
        streams["reward_vector"] = torch.as_tensor(scored.vector, dtype=torch.float32, device=device)
    if "tokens" in needs:
        streams["tokens"] = rollouts.tokens
    if "bucket_key" in needs:
        streams["bucket_key"] = task.bucket_key(texts)
    if "distance" in needs:
        if partition is None:
            streams["distance"] = _distances(task, texts, prompts, parsable, group, device)
        else:
            between = partition.distance(texts, group=group, prompts=prompts)  # NaN outside a group, where nobody reads
            streams["distance"] = torch.as_tensor(np.nan_to_num(between, nan=1.0), dtype=torch.float32, device=device)
    return Judged(streams, quality, scored, keys)


def _kinds(
    task: Task, partition: Partition | None, needs: Sequence[str], texts: list[str], prompts: list[str], group: np.ndarray,
    keys: list[str | None],
) -> np.ndarray:  # fmt: skip
    """Return the class of each answer inside its group: the task's, or those of a partition where the objective reads them."""
    if partition is None or "kind" not in needs:
        return task.kinds(texts, prompts, group=group, keys=keys)
    return partition(texts, group=group, prompts=prompts)


def _with_vector(scored: Scored, task: Task, texts: list[str], prompts: list[str], *, own: bool) -> Scored:
    """Return the scores with a vector (n, K): the reward function's ``own``, or the task's; a text that lacks either is unscored."""
    if own:
        if scored.vector is None:
            raise ValueError(
                "the reward function returned one number per text, and the objective needs reward_vector: expected K numbers for each "
                "text, (n, K)"
            )
        return scored
    found = score_batch(task.reward_vector, texts, prompts, vectors=True)
    vector = found.vector if found.vector is not None else found.values[:, None]
    known = ~np.isnan(vector).any(axis=1)
    return Scored(np.where(known, scored.values, np.nan), (*scored.failures, *found.failures), vector)


def vector_means(streams: dict[str, Any], task: Task) -> dict[str, float]:
    """Return the mean of each of several rewards over scored rollouts, ``reward_NAME``; empty where there is one reward."""
    vector = streams.get("reward_vector")
    if vector is None or not bool(streams["scored"].any()):
        return {}
    names = task.reward_names()
    names = names if len(names) == vector.shape[1] else tuple(map(str, range(vector.shape[1])))
    return {f"reward_{name}": mean for name, mean in zip(names, vector[streams["scored"]].mean(0).tolist(), strict=True)}


def _distances(
    task: Task, texts: list[str], prompts: list[str], parsable: np.ndarray, group: np.ndarray, device: torch.device
) -> Tensor:
    """Return distances inside each group, (N, N); an unparsable answer is at distance 1 from every other."""
    n = len(texts)
    out = np.ones((n, n), dtype=np.float32)
    for label in np.unique(group):
        rows = np.flatnonzero((group == label) & parsable)
        if len(rows) > 1:
            out[np.ix_(rows, rows)] = task.distance_within([texts[i] for i in rows], prompts[rows[0]])
    np.fill_diagonal(out, 0.0)
    return torch.as_tensor(out, device=device)
