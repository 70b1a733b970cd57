"""Rewards that are not the task's own: controls that say nothing of the answer, schedules and transforms of what the objective sees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from breadth.config import RunSettings
from breadth.plugins.trl.gathering import everywhere, world
from breadth.seeds import numpy_generator

Reward = Callable[..., Sequence[float | None]]
TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "half": lambda x: x / 2,
    "double": lambda x: 2 * x,
    "square": np.square,
    "root": np.sqrt,
}


class AlteredReward:
    """A reward function of TRL whose values are replaced (control), or changed on their way to the objective (schedule, transform).

    Parameters
    ----------
    reward : function
        The task's: (completions, prompts=, …) -> one number each, None = unscored, which stays None.
    settings : RunSettings
        ``control.reward``, ``train.reward_schedule`` and ``train.reward_transform`` are read.
    prior_rewards : (n,) array, optional
        What ``control.reward = "random"`` draws from where no ``reward_mean`` is given.
    updates : int
        Optimiser steps for each batch of completions: a schedule counts batches.

    Source: arXiv 2506.10947 (random rewards). Departures: those of docs/controls.md; draws are named by (seed, batch), as many processes
    as there are.
    """

    def __init__(
        self, reward: Reward, settings: RunSettings, *, prior_rewards: np.ndarray | None = None, updates: int = 1
    ) -> None:
        self.reward, self.settings, self.prior_rewards, self.updates = reward, settings, prior_rewards, updates
        self.__name__ = getattr(reward, "__name__", "reward")

    def __call__(self, completions: Sequence[Any], *, trainer_state: Any = None, **columns: Any) -> list[float | None]:
        """Return this process's rewards."""
        batch = (0 if trainer_state is None else int(trainer_state.global_step)) // self.updates
        given = [math.nan if v is None else float(v) for v in self.reward(completions=completions, **columns)]
        parts = everywhere(lambda: given)
        first = sum(len(part) for part in parts[: world()[0]])
        values = self._changed(self._controlled(np.array([v for part in parts for v in part]), batch), batch)
        return [None if math.isnan(v) else v for v in values[first : first + len(given)].tolist()]

    def _controlled(self, values: np.ndarray, batch: int) -> np.ndarray:
        control = self.settings.control
        if control is None or control.reward == "task":
            return values
        generator = numpy_generator(self.settings.seed, "control", "reward", batch)
        out, known = values.copy(), ~np.isnan(values)
        n = int(known.sum())
        if control.reward == "shuffled":
            out[known] = generator.permutation(values[known])
        elif self.prior_rewards is None:
            out[known] = generator.random(n) < float(control.reward_mean or 0.0)
        else:
            out[known] = generator.choice(self.prior_rewards, size=n)
        return out

    def _changed(self, values: np.ndarray, batch: int) -> np.ndarray:
        train = self.settings.train
        how = train.reward_transform
        if how in ("square", "root") and (values < 0).any():
            raise ValueError(f"train.reward_transform: {how!r} needs rewards of 0 or more, got {np.nanmin(values):g}")
        values = TRANSFORMS[how](values) if how is not None else values
        batches = max(1, train.steps // self.updates)
        return values * max(0.0, 1 - batch / batches) if train.reward_schedule == "linear" else values


def alters(settings: RunSettings) -> bool:
    """Return whether these settings change what the objective sees of a reward."""
    control = settings.control is not None and settings.control.reward != "task"
    return control or settings.train.reward_schedule == "linear" or settings.train.reward_transform is not None
