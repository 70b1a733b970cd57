"""Controls of a claim: rewards that say nothing about the answer, and training on a handful of prompts.

A gain that a method also shows under a reward which ignores the text is no effect of the reward; one that a single prompt
gives is no effect of the data. Both are settings of any run: ``[control]``.

Source: Shao et al. 2025, arXiv 2506.10947 (random rewards); Wang et al. 2025, arXiv 2504.20571 (one training prompt).
Departures: their random reward is 1 with probability ½, here its mean is that of the prior's own rewards unless a mean is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from breadth.data_settings import ControlSettings
from breadth.engine.regroup import Drawn
from breadth.seeds import derive_seed, numpy_generator
from breadth.tasks.few_prompts import distinct_prompts
from breadth.tasks.protocol import Task


@dataclass(frozen=True)
class Controls:
    """The controls of one run. ``rewards`` holds the prior's own, (n,), where the reward is random without a given mean."""

    settings: ControlSettings
    seed: int
    correct_at: float = 1.0
    rewards: np.ndarray | None = None

    def prompts(self, task: Task, n: int, *, seed: int) -> list[str]:
        """Return the n prompts of a step: the task's, or picked from the few that the run is held to."""
        wanted = self.settings.prompts
        if wanted is None:
            return task.prompts(n, seed=seed)
        few = distinct_prompts(task, wanted, seed=derive_seed(self.seed, "control", "prompts"))
        picks = np.random.default_rng(seed).permutation(n) % len(few)  # as even as n allows
        return [few[i] for i in picks]

    def judged(self, drawn: Drawn, *path: int | str) -> Drawn:
        """Return a batch with the rewards of the control; ``path`` names the batch, so that each has its own draw.

        Correctness follows the new rewards. Keys, distances and what could not be scored stay.
        """
        if self.settings.reward == "task":
            return drawn
        j = drawn.judged
        generator = numpy_generator(self.seed, "control", "reward", *path)
        rewards, known = j.scored.values.copy(), ~np.isnan(j.scored.values)
        n = int(known.sum())
        if self.settings.reward == "shuffled":
            rewards[known] = generator.permutation(rewards[known])
        elif self.rewards is None:
            rewards[known] = generator.random(n) < self.settings.reward_mean
        else:
            rewards[known] = generator.choice(self.rewards, size=n)
        with np.errstate(invalid="ignore"):
            correct = rewards >= self.correct_at  # NaN compares False
        device = drawn.rollouts.tokens.device
        stream = torch.as_tensor(rewards, dtype=torch.float32, device=device)
        streams = {**j.streams, "reward": stream, "correct": torch.as_tensor(correct, device=device)}
        return replace(drawn, judged=replace(j, streams=streams, scored=replace(j.scored, values=rewards, vector=None)))
