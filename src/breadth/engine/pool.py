"""A pool: many answers of one policy to many prompts, judged; what pairs and examples are chosen from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from breadth.data_settings import PoolSettings
from breadth.engine.gpt import GPT
from breadth.engine.regroup import Drawn, join_rollouts
from breadth.engine.run_frame import RunFrame
from breadth.engine.streams import judge
from breadth.records import Rollouts
from breadth.seeds import derive_seed
from breadth.selection.rarity import rarity_of_distance, rarity_of_key
from breadth.tasks.protocol import Task

CHUNK = 1024  # answers drawn together; bounds memory


@dataclass(frozen=True)
class Pool:
    """N = P·G judged answers; their rewards (NaN = unscored), correctness and groups as arrays (N,)."""

    drawn: Drawn

    @property
    def rollouts(self) -> Rollouts:
        return self.drawn.rollouts

    @property
    def reward(self) -> np.ndarray:
        return self.drawn.judged.scored.values

    @property
    def correct(self) -> np.ndarray:
        return self.drawn.judged.streams["correct"].cpu().numpy()

    @property
    def keys(self) -> list[str | None]:
        return self.drawn.judged.keys

    @property
    def group(self) -> np.ndarray:
        return self.rollouts.group.cpu().numpy()

    def tokens(self, row: int) -> list[int]:
        """Return the completion tokens of one answer."""
        return self.rollouts.tokens[row][self.rollouts.mask[row]].tolist()

    def facts(self) -> dict[str, Any]:
        """Return what a log says of a pool; None where nothing could be scored."""
        good = self.reward[~np.isnan(self.reward)]
        return {
            "reward": float(good.mean()) if len(good) else None,
            "reward_error": float(good.std(ddof=1) / np.sqrt(len(good))) if len(good) > 1 else None,
            "n_unscored": int(np.isnan(self.reward).sum()),
            "pool": len(self.reward),
            "pool_correct": int(self.correct.sum()),
            "pool_keys": len({(p, k) for p, k in zip(self.rollouts.prompt, self.keys, strict=True) if k is not None}),
        }


def draw_pool(run: RunFrame, model: GPT, settings: PoolSettings, *, number: int) -> Pool:
    """Draw and judge the pool with this number: the same seed and number give the same pool from the same weights."""
    seed = run.settings.seed
    prompts = run.controls.prompts(run.task, settings.prompts, seed=derive_seed(seed, "pool prompts", number))
    at_once = max(1, CHUNK // settings.samples)
    parts = []
    for first in range(0, len(prompts), at_once):
        generator = torch.Generator().manual_seed(derive_seed(seed, "pool", number, first))
        parts.append(
            run.sample_groups(model, prompts[first : first + at_once], settings.samples, generator, first_group=first)
        )
    rollouts = join_rollouts(parts)
    drawn = Drawn(rollouts, judge(rollouts, run.task, needs=(), reward=run.reward, timeout=run.settings.train.reward_timeout))
    return Pool(run.controls.judged(drawn, "pool", number))


def rarity(pool: Pool, task: Task, kind: str) -> np.ndarray:
    """Return how rare each answer of a pool is, (N,), larger = rarer.

    Parameters
    ----------
    kind : str
        ``class_share``: 1 − share of its key among all answers of the pool to the same prompt (those without a key are one class).
        ``distance``: mean distance to the other answers of its group; 1 without a key. ``surprisal``: −log π per token.
    """
    if kind == "surprisal":
        logp = pool.rollouts.logp_old.double().sum(-1) / pool.rollouts.mask.sum(-1)
        return -logp.cpu().numpy()
    if kind == "class_share":
        return rarity_of_key(pool.rollouts.prompt, pool.keys)
    texts, prompts = pool.rollouts.text, pool.rollouts.prompt
    return rarity_of_distance(
        pool.group,
        np.array([key is not None for key in pool.keys]),
        lambda rows: task.distance_within([texts[i] for i in rows], prompts[rows[0]]),
    )
