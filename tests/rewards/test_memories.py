"""What is remembered across steps: visits, REINVENT's buckets, the best answers; and that it survives JSON."""

import json
import math

import pytest
import torch

from breadth.rewards.diversity_filter import PENALTIES, DiversityFilter, bucket_factor, shape_by_filter
from breadth.rewards.memory import VisitCounts
from breadth.rewards.replay import ReplayMemory

NAN = float("nan")


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_visits_are_counted_per_prompt_and_survive_json():
    visits = VisitCounts()
    visits.update([1, 1, 2, 1], ["b", "a", "a", None], flags(1, 1, 1, 1))
    visits.update(torch.tensor([1, 1]), ["a", "c"], flags(1, 0))
    assert visits.score([1, 1, 1, 2, 3, 1], ["a", "b", "c", "a", "a", None]).tolist() == [2, 1, 0, 1, 0, -1]
    state = json.loads(json.dumps(visits.state_dict()))
    other = VisitCounts()
    other.load_state_dict(state)
    other.update([1], ["a"], flags(1))
    assert other.score([1], ["a"]).item() == 3
    assert visits.score([1], ["a"]).item() == 2  # the state is a copy


def test_the_order_of_arrival_does_not_show_in_the_state():
    a, b = VisitCounts(), VisitCounts()
    a.update([1, 2, 1], ["x", "y", "z"], flags(1, 1, 1))
    b.update([1, 2, 1], ["z", "y", "x"], flags(1, 1, 1))
    assert json.dumps(a.state_dict()) == json.dumps(b.state_dict())


def test_numbers_and_text_are_the_same_label():
    visits = VisitCounts()
    visits.update([1], torch.tensor([7]), flags(1))
    assert visits.score(["1"], ["7"]).item() == 1


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        ("step", [1.0, 1.0, 1.0, 1.0, 0.0]),
        ("linear", [0.75, 0.5, 0.25, 0.0, 0.0]),
        ("sigmoid", [1 - 1 / (1 + math.exp(-(2 * c / 4 - 1) / 0.15)) for c in (1, 2, 3, 4, 5)]),
        ("tanh", [1 - math.tanh(3 * (c - 1) / 4) for c in (1, 2, 3, 4, 5)]),
        ("erf", [1 + math.erf(math.pi**0.5 / 4) - math.erf(math.pi**0.5 * c / 4) for c in (1, 2, 3, 4, 5)]),
        ("none", [1.0] * 5),
    ],
)
def test_penalties_by_hand(penalty, expected):
    got = bucket_factor(torch.arange(1, 6), bucket=4, penalty=penalty)
    assert got.tolist() == pytest.approx(expected, abs=1e-6)
    assert bucket_factor(torch.tensor([0, -1]), bucket=4, penalty=penalty).tolist() == [1.0, 1.0]


def test_penalties_fall_and_stay_between_0_and_1():
    for penalty in PENALTIES:
        got = bucket_factor(torch.arange(1, 60), penalty=penalty)
        assert (got.diff() <= 1e-6).all(), penalty
        assert 0 <= got.min() <= got.max() <= 1, penalty


def recall(memory, key, reward, prompt=None, **more):
    reward = torch.tensor(reward)
    prompt = torch.zeros(len(key), dtype=torch.int64) if prompt is None else torch.tensor(prompt)
    return memory.recall(prompt_id=prompt, key=key, reward=reward, scored=~reward.isnan(), **more)


def test_a_running_count_is_counted_before_it_is_tested():
    memory = DiversityFilter()
    got = recall(memory, ["a", "a", "b", None, "a", "a"], [1.0, 1.0, 1.0, 1.0, 0.3, NAN])
    assert got["count"].tolist() == [0, 1, 0, -1, 2, 2]
    assert got["bucket_count"].tolist() == [1, 2, 1, 0, 0, 0]  # 0.3 is below minscore, NaN is unscored
    shaped = shape_by_filter(torch.ones(6), torch.zeros(6), **got, bucket=1)
    assert shaped.tolist() == [1, 0, 1, 1, 1, 1]
    before = recall(DiversityFilter(within_batch="before"), ["a", "a"], [1.0, 1.0])
    assert before["bucket_count"].tolist() == [1, 1]
    assert memory.state_dict() == {"keys": {}, "buckets": {}}  # reading writes nothing


def test_scaffolds_are_buckets_of_their_own():
    memory = DiversityFilter(bucket_by="bucket_key")
    assert memory.needs == ("prompt_id", "key", "bucket_key")
    streams = {
        "key": ["Cc1ccccc1", "Oc1ccccc1", "CCO"],
        "reward": [0.9, 0.9, 0.9],
        "bucket_key": ["ring", "ring", None],
    }
    got = recall(memory, **streams)
    assert got["bucket_count"].tolist() == [1, 2, 1]
    reward = torch.tensor(streams["reward"])
    memory.note(
        prompt_id=torch.zeros(3, dtype=torch.int64), key=streams["key"], bucket_key=streams["bucket_key"],
        reward=reward, scored=reward > 0,
    )  # fmt: skip
    assert memory.state_dict()["buckets"] == {"0": {"None": 1, "ring": 2}}
    again = recall(memory, **streams)
    assert again["count"].tolist() == [1, 1, 1]
    assert again["bucket_count"].tolist() == [3, 4, 2]
    once = shape_by_filter(reward, torch.zeros(3), **again, same_key_factor=0.0)
    assert once.tolist() == [0, 0, 0]  # as REINVENT's scaffold filters: a molecule is rewarded once
    half = shape_by_filter(reward, torch.zeros(3), **again, same_key_factor=0.5, penalty="none")
    assert half.tolist() == pytest.approx([0.45] * 3)


def test_filter_survives_json():
    memory = DiversityFilter()
    memory.update([0, 0], ["a", "b"], flags(1, 1))
    other = DiversityFilter()
    other.load_state_dict(json.loads(json.dumps(memory.state_dict())))
    assert other.state_dict() == memory.state_dict()


def test_replay_keeps_the_best_distinct_answers():
    memory = ReplayMemory(capacity=3)
    memory.update([0] * 4, ["a", "b", "c", "a"], flags(1, 1, 1, 1), reward=torch.tensor([0.5, 0.25, 1.0, 0.75]))
    memory.update([0, 0, 0, 1], ["d", None, "e", "a"], flags(1, 1, 1, 1), reward=torch.tensor([0.5, 1.0, NAN, 0.125]))
    assert memory.score([0] * 5, ["a", "b", "c", "d", "e"]).nan_to_num(nan=-1).tolist() == [0.75, -1, 1.0, 0.5, -1]
    assert [entry["key"] for entry in memory.sample(0, 9, seed=3)] == ["c", "a", "d"]
    assert memory.sample(0, 2, seed=3) == memory.sample(0, 2, seed=3)
    assert memory.sample(5, 2, seed=3) == []
    other = ReplayMemory(capacity=3)
    other.load_state_dict(json.loads(json.dumps(memory.state_dict())))
    assert other.sample(0, 2, seed=1) == memory.sample(0, 2, seed=1)
    assert list(memory.state_dict()["stored"]["0"]) == ["c", "a", "d"]


def test_replay_by_reward_never_draws_what_earned_nothing():
    memory = ReplayMemory()
    memory.update(
        [0, 0, 0], ["a", "b", "c"], flags(1, 1, 1), reward=torch.tensor([0.0, 1.0, -1.0]), text=["A", "B", "C"]
    )
    assert memory.sample(0, 3, seed=0, weighting="reward") == [{"key": "b", "reward": 1.0, "text": "B"}]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: VisitCounts().score([1, 2], ["a"]), "keys: expected 2 labels, one per prompt id, got 1"),
        (
            lambda: VisitCounts().update([1], ["a"], flags(1, 1)),
            r"mask: expected shape \(1,\), one per key, got \(2,\)",
        ),
        (
            lambda: VisitCounts().load_state_dict({"keys": {}}),
            "VisitCounts: expected a state with keys counts, got keys",
        ),
        (lambda: DiversityFilter().load_state_dict({}), "expected a state with keys keys, buckets, got none"),
        (lambda: DiversityFilter(bucket_by="scaffold"), "bucket_by: expected one of key, bucket_key, got 'scaffold'"),
        (lambda: DiversityFilter(within_batch="after"), "within_batch: expected one of running, before, got 'after'"),
        (lambda: bucket_factor(torch.ones(1), penalty="cubic"), "penalty: expected one of step, linear, sigmoid"),
        (lambda: bucket_factor(torch.ones(1), bucket=0), "bucket: expected an integer >= 1, got 0"),
        (lambda: ReplayMemory(capacity=0), "capacity: expected an integer >= 1, got 0"),
        (lambda: ReplayMemory().sample(0, -1, seed=0), "n: expected an integer >= 0, got -1"),
        (lambda: ReplayMemory().sample(0, 1, seed=0, weighting="best"), "weighting: expected one of uniform, reward"),
        (
            lambda: ReplayMemory().update([0], ["a"], flags(1), reward=torch.ones(2)),
            "reward: expected 1 entries, one per key, got 2",
        ),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()
