"""From rollouts to the named streams that objectives are made of: reward, kind, correct, sequence log-probabilities, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from breadth.partitions.canonical import kinds_from_keys
from breadth.records import Rollouts
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import Scored, ScoreFunction, score_batch

if TYPE_CHECKING:
    from breadth.objectives.composition import Objective


#: what the loop can hand to an objective; ``trainable`` compares an objective's needs with it
SUPPLIED = frozenset(
    {"reward", "group", "scored", "parsable", "correct", "kind", "key", "bucket_key", "prompt_id", "distance", "length", "mask", "entropy", "seed"}
    | {"seq_logp", "seq_logp_ref", "logp_old", "logp_ref"}
    | {"value", "value_old", "value_target", "log_z"}  # of the heads, see breadth.engine.heads
)
REFERENCE = frozenset({"logp_ref", "seq_logp_ref"})
TRAINED = ("policy", "actor_critic", "group")  # families


def trainable(objective: Objective) -> str | None:
    """Return why the native loop cannot train with an objective, or None where it can."""
    if objective.family not in TRAINED:
        return (
            f"{objective.name!r} is of the family {objective.family!r}: the loop samples its own rollouts and trains with "
            f"{', '.join(map(repr, TRAINED))}"
        )
    missing = sorted(set(objective.needs) - SUPPLIED)
    if missing:
        return f"{objective.name!r} needs {', '.join(missing)}, which the native loop does not supply: call the objective from a trainer of your own"
    return None


@dataclass(frozen=True)
class Judged:
    """Rollouts after scoring. ``streams`` holds tensors of shape (N,) (``distance``: (N, N))."""

    streams: dict[str, Any]
    quality: np.ndarray  # (N,) NaN = unscored
    scored: Scored
    keys: list[str | None]


def judge(rollouts: Rollouts, task: Task, *, needs: Sequence[str], reward: ScoreFunction | None = None) -> Judged:
    """Score rollouts and tell them apart.

    Parameters
    ----------
    needs : names of streams
        ``distance`` is only computed when it is among them.
    reward : function, optional
        Replaces the task's reward; quality stays the task's.
    """
    texts, prompts, device = rollouts.text, rollouts.prompt, rollouts.tokens.device
    graded = reward is not None or type(task).reward is not Task.reward
    scored = score_batch(reward or task.reward, texts, prompts)
    quality = score_batch(task.score, texts, prompts).values if graded else scored.values
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
        "kind": torch.as_tensor(kinds_from_keys(keys, group), device=device),
        "key": keys,
        "prompt_id": rollouts.prompt_id,
        "seq_logp": rollouts.logp_old.sum(-1),
        "length": rollouts.mask.sum(-1),
        "logp_old": rollouts.logp_old,
        "entropy": rollouts.entropy,
        "mask": rollouts.mask,
    }
    if "bucket_key" in needs:
        streams["bucket_key"] = task.bucket_key(texts)
    if "distance" in needs:
        streams["distance"] = _distances(task, texts, parsable, group, device)
    return Judged(streams, quality, scored, keys)


def _distances(task: Task, texts: list[str], parsable: np.ndarray, group: np.ndarray, device: torch.device) -> Tensor:
    """Return distances inside each group, (N, N); an unparsable answer is at distance 1 from every other."""
    n = len(texts)
    out = np.ones((n, n), dtype=np.float32)
    for label in np.unique(group):
        rows = np.flatnonzero((group == label) & parsable)
        if len(rows) > 1:
            out[np.ix_(rows, rows)] = task.distance([texts[i] for i in rows])
    np.fill_diagonal(out, 0.0)
    return torch.as_tensor(out, device=device)
