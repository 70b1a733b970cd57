"""A task that a tiny model learns in a few steps: four digits, right when the first of them suits the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import breadth
from breadth.ledger.run import Run
from breadth.records import TaskDescription
from breadth.tasks.protocol import Task
from breadth.tasks.scoring import ScoreFunction
from breadth.tasks.vocabulary import Vocabulary

SUITS = {"0": "01", "1": "23", "2": "45"}

TINY = {
    "model": {"n_layer": 1, "n_head": 2, "n_embd": 32},
    "prior": {"steps": 40, "batch_size": 64},
    "train": {"steps": 25, "prompts": 4, "group_size": 16, "learning_rate": 5e-3},
    "measure": {"every": 25, "sets": 6, "samples_per_set": 40},
}


def train(
    out: Path, objective: str, task: Task | None = None, reward: ScoreFunction | None = None, **tables: Any
) -> Run:
    """Train on the digits; tables change ``TINY``, and one called ``numbers`` holds the objective's own."""
    numbers = tables.pop("numbers", {})
    data = {name: {**TINY.get(name, {}), **tables.get(name, {})} for name in {*TINY, *tables}}
    return breadth.train(
        task=task or Digits(), objective=breadth.objective(objective, **numbers), reward=reward, out=out, **data
    )


class Digits(Task):
    """Prompts 0, 1, 2; an answer to 0 starts with 0 or 1, to 1 with 2 or 3, to 2 with 4 or 5. A third of random answers is right."""

    name = "digits"

    def prompts(self, n: int, *, seed: int, split: str = "train") -> list[str]:
        return [list(SUITS)[i] for i in np.random.default_rng(seed).integers(0, len(SUITS), n)]

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        asked = prompts or ["0"] * len(texts)
        return np.array([float(t[:1] in SUITS[p] and len(t) > 0) for t, p in zip(texts, asked, strict=True)])

    def describe(self) -> TaskDescription:
        return TaskDescription(
            name=self.name,
            summary="four digits, the first of which suits the prompt",
            quality="1 if the first digit suits the letter",
            parsable="any text",
            valid="right answers",
            correct_at=1.0,
            distances={"key": "1 where the texts differ"},
            max_tokens=4,
            end_token=False,
            max_prompt_tokens=1,
        )

    def valid(
        self, texts: Sequence[str], scores: np.ndarray, *, keys: Sequence[str | None] | None = None
    ) -> np.ndarray:
        return np.asarray(scores) == 1.0

    def vocabulary(self) -> Vocabulary:
        return Vocabulary([*"012345"], pattern=r"\S+", joiner=" ")

    def corpus(self, n: int, *, seed: int, split: str = "train") -> list[tuple[str, str]]:
        generator = np.random.default_rng(seed)
        return [(list(SUITS)[p], " ".join(map(str, row))) for p, row in
                zip(generator.integers(0, 3, n), generator.integers(0, 6, (n, 4)), strict=True)]  # fmt: skip
