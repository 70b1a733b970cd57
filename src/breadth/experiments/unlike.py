"""K agents trained one after another, each rewarded for being unlike the answers of those before it.

Agent i learns from r(x)·(1 − w·s(x)), where s(x) in [0, 1] is the largest similarity (1 − the task's distance) of x to an answer that an
earlier agent gave at its end. Agent 0 has no one before it: it is an ordinary run.

Source: the idea of Hu et al. 2023 (MolRL-MGPT, K agents from one prior, the later ones pushed from the earlier). Departures:
1. Theirs are trained in turn at each step; ours one after another. 2. Their push is σ₂·Σⱼ |log Pⱼ − log Pᵢ|·r(x), in likelihood and without
bound; ours is bounded, in the task's own distance, so that it cannot outweigh the reward or be earned by unlikely spellings.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from breadth.config import RunSettings
from breadth.experiments.assemble import resolve, task_of
from breadth.experiments.drawing import draw_samples
from breadth.experiments.front import train_settings
from breadth.experiments.study import Watcher
from breadth.ledger.rows import write_atomic
from breadth.ledger.run import Run
from breadth.tasks.protocol import Task

UNLIKE = "unlike.json"
N_REMEMBERED = 256  # distinct valid answers kept of each earlier agent


@dataclass
class UnlikeReward:
    """The task's reward, less for answers near those remembered. Called as a reward function; NaN stays NaN."""

    task: Task
    remembered: Sequence[str]
    weight: float
    _known: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight: expected a number from 0 to 1, got {self.weight}")

    def __call__(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        reward = np.asarray(self.task.reward(texts, prompts), dtype=float)
        return reward * (1 - self.weight * self.similarity(texts))

    def similarity(self, texts: Sequence[str]) -> np.ndarray:
        """Return the largest similarity of each text to a remembered answer, (n,) in [0, 1]; 0 where nothing is remembered."""
        if not self.remembered or not texts:
            return np.zeros(len(texts))
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            distance = self.task.distance([*new, *self.remembered])[: len(new), len(new) :]
            self._known.update(zip(new, (1 - distance.min(axis=1)).tolist(), strict=True))
        return np.clip([self._known[text] for text in texts], 0, 1)


def train_unlike(
    settings: RunSettings, out: Path, *, agents: int, weight: float, watcher: Watcher | None = None
) -> list[Run]:
    """Train K agents, each unlike those before it, and return their runs; agents that are done are kept.

    Parameters
    ----------
    settings : RunSettings
        Of each agent; agent i has the seed of the settings plus i, so that weight 0 gives K independent seeds.
    out : folder
        Gets ``agent-0``, ``agent-1``, …: run folders, each with ``unlike.json`` (weight, and the answers it was kept from).
    agents : int
        K, at least 2.
    weight : float
        w in [0, 1]: with 1 an answer that an earlier agent gives is worth nothing.

    Raises
    ------
    ValueError
        Fewer than two agents, a weight outside [0, 1], a task with more than one prompt, or a folder made with other numbers.
    """
    if agents < 2:
        raise ValueError(f"agents: expected 2 or more, got {agents}")
    settings = resolve(settings)
    task = task_of(settings)
    if len(set(task.prompts(64, seed=0))) > 1:
        raise ValueError(
            f"unlike agents: task {task.name!r} has many prompts, and answers are remembered for one: not supported yet"
        )
    runs: list[Run] = []
    remembered: list[str] = []
    for i in range(agents):
        folder = out / f"agent-{i}"
        about = {"agent": i, "weight": weight, "remembered": list(remembered)}
        _claim(folder, about)
        one = settings.model_copy(update={"seed": settings.seed + i, "label": settings.name})
        options: dict[str, Any] = {"reward": UnlikeReward(task, tuple(remembered), weight)} if i and weight else {}
        runs.append(train_settings(one, folder, watcher=watcher, **options))
        drawn = draw_samples(folder, n=4 * N_REMEMBERED, seed=settings.seed)
        valid = [text for text, good in zip(drawn.text, drawn.valid, strict=True) if good]
        distinct = list(dict(zip(reversed(task.key(valid)), reversed(valid), strict=True)).values())[::-1]
        remembered += distinct[:N_REMEMBERED]
    return runs


def _claim(folder: Path, about: dict[str, Any]) -> None:
    path = folder / UNLIKE
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if before != about:
            raise ValueError(
                f"{folder}: this agent was trained with weight {before['weight']} against {len(before['remembered'])} answers, now weight "
                f"{about['weight']} against {len(about['remembered'])}: use another output folder, or delete this one"
            )
        return
    if (folder / "config.json").is_file():
        raise ValueError(f"{folder}: a run that is no agent of an ensemble lies here: use another output folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(about, ensure_ascii=False) + "\n").encode())
