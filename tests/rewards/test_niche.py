"""Shared rewards by hand, who counts as a neighbour, and what is refused."""

import math

import pytest
import torch

import breadth
from breadth.rewards.niche import niche_count, share_in_niche
from breadth.rewards.replay import ReplayMemory

GROUP = torch.zeros(4, dtype=torch.int64)
APART = torch.tensor(
    [[0, 0.1, 0.9, 0.9], [0.1, 0, 0.3, 0.9], [0.9, 0.3, 0, 0.9], [0.9, 0.9, 0.9, 0]], dtype=torch.float64
)


def test_by_hand():
    assert niche_count(GROUP, distance=APART, radius=0.3).tolist() == [2, 3, 2, 1]
    shared = share_in_niche(torch.ones(4, dtype=torch.float64), GROUP, distance=APART, radius=0.3, strength=0.5)
    assert shared.tolist() == pytest.approx([1 - 0.5 * math.log(2), 1 - 0.5 * math.log(3), 1 - 0.5 * math.log(2), 1.0])
    rewarded = share_in_niche(torch.ones(4, dtype=torch.float64), GROUP, distance=APART, radius=0.3, strength=0.0)
    assert rewarded.tolist() == [1.0] * 4
    assert shared.tolist() != pytest.approx([1 + 0.5 * math.log(2), 1 + 0.5 * math.log(3), 1 + 0.5 * math.log(2), 1.0])


def test_neighbours_stand_in_the_same_group_and_are_parsable_and_scored():
    kept = torch.tensor([True, False, True, True])
    assert niche_count(GROUP, distance=APART, radius=0.3, parsable=kept).tolist() == [1, 1, 1, 1]
    assert niche_count(GROUP, distance=APART, radius=0.3, scored=torch.tensor([True, True, False, True])).tolist() == [
        2,
        2,
        1,
        1,
    ]
    assert niche_count(torch.tensor([0, 1, 1, 1]), distance=APART, radius=0.3).tolist() == [1, 2, 2, 1]


def test_equal_rewards_favour_the_lonely_one():
    method = breadth.objective("niching", replay_size=0, radius=0.3, strength=0.5)
    same = [-3.0] * 4
    found = method.advantage(reward=[1.0] * 4, group=[0] * 4, distance=APART, seq_logp=same, seq_logp_ref=same)
    assert found.argmax() == 3 and found.argmin() == 1 and float(found.sum()) == pytest.approx(0.0, abs=1e-6)


def test_bad_input():
    with pytest.raises(ValueError, match=r"radius: expected a distance in \[0, 1\), got 1.5"):
        niche_count(GROUP, distance=APART, radius=1.5)
    with pytest.raises(ValueError, match=r"distance: expected 4 × 4 numbers, one row per rollout, got \(3, 3\)"):
        niche_count(GROUP, distance=APART[:3, :3], radius=0.5)
    with pytest.raises(ValueError, match="strength: expected a number >= 0, got -1"):
        share_in_niche(torch.ones(4), GROUP, distance=APART, radius=0.5, strength=-1)
    with pytest.raises(ValueError, match="replay_weighting: expected one of uniform, reward, bucket, got 'best'"):
        breadth.objective("niching", replay_weighting="best")
    with pytest.raises(ValueError, match="bucket_by: expected one of key, bucket_key, got 'scaffold'"):
        breadth.objective("niching", bucket_by="scaffold")
    with pytest.raises(ValueError, match="replay_per_bucket >= 0, got 5, 1 and -1"):
        breadth.objective("niching", replay_size=5, replay_samples=1, replay_per_bucket=-1)


def test_a_bucket_keeps_its_best_and_no_more():
    memory = ReplayMemory(capacity=10, per_bucket=2)
    true = torch.ones(4, dtype=torch.bool)
    rewards = torch.tensor([0.1, 0.2, 0.3, 0.05])
    memory.update([0] * 4, ["a", "b", "c", "d"], true, reward=rewards, bucket_keys=["ring", "ring", "ring", None])
    assert memory.score([0] * 4, ["a", "b", "c", "d"]).nan_to_num(nan=-1).tolist() == pytest.approx(
        [-1, 0.2, 0.3, 0.05]
    )
    other = ReplayMemory(capacity=10, per_bucket=2)
    other.load_state_dict(memory.state_dict())
    assert other.state_dict() == memory.state_dict()
    assert list(memory.state_dict()["stored"]["0"]) == ["c", "b", "d"]


def test_buckets_are_drawn_alike():
    memory = ReplayMemory(capacity=100)
    n = 21
    keys = [f"k{i}" for i in range(n)]
    buckets = ["large"] * (n - 1) + ["small"]
    memory.update([0] * n, keys, torch.ones(n, dtype=torch.bool), reward=torch.ones(n), bucket_keys=buckets)
    drawn = [memory.sample(0, 1, seed=seed, weighting="bucket")[0]["key"] for seed in range(200)]
    share = drawn.count("k20") / len(drawn)
    assert 0.35 < share < 0.65  # a half; a draw over answers would give 1/21
