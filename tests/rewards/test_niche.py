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


def test_the_memory_of_niching_reads_the_bucket_that_it_is_told_to():
    n = 3
    streams = {
        "reward": torch.tensor([0.9, 0.8, 0.7]), "group": torch.zeros(n).long(), "prompt_id": torch.zeros(n).long(), "key": ["a", "b", "c"],
        "bucket_key": ["x", "x", "y"], "tokens": torch.ones(n, 2).long(), "mask": torch.ones(n, 2, dtype=torch.bool), "distance": 1 - torch.eye(n),
        "seq_logp": torch.zeros(n), "seq_logp_ref": torch.zeros(n),
        "scored": torch.ones(n, dtype=torch.bool), "parsable": torch.ones(n, dtype=torch.bool),
    }  # fmt: skip
    kept = {}
    for bucket_by in ("key", "bucket_key"):
        objective = breadth.objective("niching", replay_per_bucket=1, bucket_by=bucket_by)
        assert ("bucket_key" in objective.needs) is (bucket_by == "bucket_key")
        objective.observe(**streams)
        kept[bucket_by] = set(objective.state_dict()["replay"]["stored"]["0"])
    assert kept == {"key": {"a", "b", "c"}, "bucket_key": {"a", "c"}}


def test_the_logged_niche_count_is_the_mean_over_scored_rollouts():
    from breadth.objectives.niching import report_niches

    distance = torch.tensor([[0.0, 0.1, 0.9], [0.1, 0.0, 0.9], [0.9, 0.9, 0.0]])
    streams = {"group": torch.zeros(3).long(), "distance": distance, "scored": torch.ones(3, dtype=torch.bool)}
    count = niche_count(streams["group"], distance=distance, radius=0.65, scored=streams["scored"])
    found = report_niches(torch.zeros(3), torch.zeros(3), streams, {"radius": 0.65})
    assert found == {"niche_count": pytest.approx(float(count.mean()))} and 1 < found["niche_count"] < 2


def test_niches_are_those_of_each_group():
    distance = torch.zeros(5, 5)  # all alike
    found = share_in_niche(torch.ones(5), torch.tensor([0, 0, 0, 1, 1]), distance=distance, radius=0.65, strength=1.0)
    assert torch.allclose(found, 1 - torch.tensor([3.0, 3.0, 3.0, 2.0, 2.0]).log())


def test_sigma_of_niching_is_the_inverse_of_the_pull_towards_the_reference():
    group, alone = torch.zeros(2, dtype=torch.int64), torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    streams = {"reward": torch.tensor([0.0, 1.0]), "group": group, "distance": alone, "scored": torch.ones(2, dtype=torch.bool)}
    streams |= {"parsable": streams["scored"], "seq_logp": torch.tensor([-4.0, -2.0]), "seq_logp_ref": torch.tensor([-1.0, -3.0])}
    found = breadth.objective("niching", sigma=5.0).advantage(**streams)
    assert found.tolist() == pytest.approx([-0.5 + 0.2 * 2.0, 0.5 - 0.2 * 2.0])  # the reward and the log-ratio, both centred
