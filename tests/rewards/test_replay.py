"""Replay memories: with what probability an entry is drawn, under each weighting."""

from collections import Counter

import pytest
import torch

from breadth.rewards.replay import ReplayMemory

DRAWS = 4_000


def shares(weighting: str) -> dict[str, float]:
    """Three entries of one bucket with the rewards 0.1, 0.2, 0.3, one of another with 0.4, and one that is worth nothing."""
    memory = ReplayMemory()
    reward = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.0])
    memory.update([0] * 5, list("abcde"), torch.ones(5, dtype=torch.bool), reward=reward, bucket_keys=["x", "x", "x", "y", "z"])
    drawn = Counter(memory.sample(0, 1, seed=seed, weighting=weighting)[0]["key"] for seed in range(DRAWS))
    return {key: drawn[key] / DRAWS for key in "abcde"}


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [("uniform", [0.2] * 5), ("reward", [0.1, 0.2, 0.3, 0.4, 0.0]), ("bucket", [1 / 9, 1 / 9, 1 / 9, 1 / 3, 1 / 3])],
)
def test_how_often_an_entry_is_drawn(weighting, expected):
    found = list(shares(weighting).values())
    assert found == pytest.approx(expected, abs=0.03)  # four standard errors of a share of 0.4
