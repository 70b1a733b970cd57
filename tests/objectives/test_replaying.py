"""Objectives with a replay memory: what is stored, what is mixed into a batch, what a filter does not see twice."""

from __future__ import annotations

import json

import pytest
import torch

import breadth
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.policy import score_completions
from breadth.engine.replay import with_replayed
from breadth.objectives.remembering import RememberingObjective
from breadth.objectives.replaying import ReplayingObjective
from breadth.records import Rollouts

SIZES = {"replay_size": 3, "replay_samples": 2}


def streams(rewards, keys, prompt=7, tokens=None):
    n = len(rewards)
    ids = torch.tensor(tokens if tokens is not None else [[i + 1, i + 2] for i in range(n)])
    return {
        "reward": torch.tensor(rewards), "group": torch.zeros(n).long(), "prompt_id": torch.full((n,), prompt), "key": keys,
        "tokens": ids, "mask": torch.ones(ids.shape, dtype=torch.bool), "seq_logp": torch.zeros(n), "seq_logp_ref": torch.zeros(n),
        "scored": ~torch.isnan(torch.tensor(rewards)), "parsable": torch.tensor([k is not None for k in keys]),
    }  # fmt: skip


def test_without_a_size_nothing_changes():
    assert not isinstance(breadth.objective("reinvent"), RememberingObjective)
    assert type(breadth.objective("reinvent_filter")) is RememberingObjective
    assert breadth.objective("reinvent").settings["replay_size"] == 0
    again = breadth.objective("reinvent", **SIZES)
    assert {k: again.settings[k] for k in SIZES} == SIZES
    assert {"prompt_id", "key", "tokens"} <= set(again.needs) - set(again.advantage_needs)
    assert "ReplayMemory(capacity=3), 2 drawn per prompt" in str(again)


def test_the_best_distinct_answers_are_stored_and_nothing_twice():
    method = breadth.objective("reinvent", **SIZES)
    assert isinstance(method, ReplayingObjective)
    nan = float("nan")
    method.observe(**streams([0.1, 0.9, nan, 0.5, 0.9], ["a", "b", "c", "d", "b"]))
    method.observe(**streams([0.7, 0.0], ["e", None]))
    stored = method.state_dict()["replay"]["stored"]["7"]
    assert {key: round(entry["reward"], 6) for key, entry in stored.items()} == {"b": 0.9, "e": 0.7, "d": 0.5}
    assert stored["b"]["tokens"] == [2, 3]
    replayed = {**streams([1.0], ["z"]), "replayed": torch.tensor([True])}
    method.observe(**replayed)
    assert "z" not in method.state_dict()["replay"]["stored"]["7"]


def test_the_state_is_plain_json_and_goes_on():
    method = breadth.objective("reinvent_filter", **SIZES, bucket=1)
    method.observe(**streams([0.9, 0.8], ["a", "b"]))
    state = json.loads(json.dumps(method.state_dict()))
    other = breadth.objective("reinvent_filter", **SIZES, bucket=1)
    other.load_state_dict(state)
    assert other.state_dict() == method.state_dict()
    assert set(state) == {"memory", "replay"}
    with pytest.raises(ValueError, match=r"'reinvent': expected state replay, got keys memory, replay"):
        breadth.objective("reinvent", **SIZES).load_state_dict(state)


def test_what_a_filter_left_of_a_reward_is_stored_and_not_filtered_again():
    method = breadth.objective("reinvent_filter", **SIZES, bucket=1, penalty="step", sigma=1.0)
    method.observe(**streams([0.9, 0.9], ["a", "b"]))
    method.observe(
        **streams([0.9], ["a"], tokens=[[5, 6]])
    )  # the bucket of "a" is full: nothing is left, the old entry stays
    state = method.state_dict()
    assert state["replay"]["stored"]["7"]["a"]["tokens"] == [1, 2]
    fresh = streams([0.9, 0.9], ["a", "a"])
    flagged = {**fresh, "replayed": torch.tensor([False, True])}
    advantage = method.advantage(**flagged)
    assert advantage.tolist() == pytest.approx([0.0, 0.9])  # the sampled one is filtered, the replayed one is not
    method.observe(**flagged)
    assert method.state_dict()["memory"]["keys"]["7"]["a"] == state["memory"]["keys"]["7"]["a"] + 1


@pytest.fixture
def model():
    return GPT(GPTShape(vocab_size=9, n_positions=16, n_layer=1, n_head=2, n_embd=8, dropout=0.0), seed=0).eval()


def batch(keys=("a", "b"), prompts=(7, 8)):
    tokens = torch.tensor([[1, 2], [3, 0]])
    mask = torch.tensor([[True, True], [True, False]])
    zero = torch.zeros(2, 2)
    rollouts = Rollouts(
        prompt_tokens=torch.tensor([[4, 5], [0, 6]]), prompt_mask=torch.tensor([[True, True], [False, True]]), tokens=tokens,
        mask=mask, logp_old=zero - 1, logp_sampled=zero - 1, entropy=zero, group=torch.tensor([0, 1]),
        prompt_id=torch.tensor(prompts), text=["x", "y"], prompt=["p", "q"], ended=torch.ones(2).bool(),
    )  # fmt: skip
    given = streams([0.3, 0.4], list(keys))
    return rollouts, {**given, "group": rollouts.group, "prompt_id": rollouts.prompt_id, "tokens": tokens, "mask": mask}


def test_replayed_rollouts_stand_behind_the_batch_with_log_probabilities_of_the_moment(model):
    method = breadth.objective("reinvent", replay_size=5, replay_samples=5)
    method.observe(**streams([0.9, 0.8, 0.7], ["a", "c", "d"], prompt=7, tokens=[[1, 2, 3], [4, 5, 6], [7, 8, 1]]))
    method.observe(**streams([0.6], ["e"], prompt=8, tokens=[[2, 2, 2]]))
    rollouts, given = batch()
    mixed, out = with_replayed(method.replay, rollouts, given, model=model, banned=[0], micro_batch=2, seed=0)
    assert out["key"] == ["a", "b", "c", "d", "e"]  # "a" is in the batch already
    assert out["replayed"].tolist() == [False, False, True, True, True]
    assert out["reward"].tolist() == pytest.approx([0.3, 0.4, 0.8, 0.7, 0.6])
    assert out["group"].tolist() == [0, 1, 0, 0, 1] and out["length"].tolist() == [2, 1, 3, 3, 3]
    assert mixed.prompt_tokens[2:].tolist() == [[4, 5], [4, 5], [0, 6]]
    expected = score_completions(model, mixed, banned=[0])
    torch.testing.assert_close(mixed.logp_old[2:], expected[2:])
    assert torch.equal(mixed.logp_old[:2, :2], rollouts.logp_old)
    torch.testing.assert_close(out["seq_logp"], mixed.logp_old.sum(-1))
    assert {name for name in ("correct", "kind", "distance") if name in out} == set()


def test_the_same_seed_draws_the_same_and_an_empty_memory_nothing(model):
    method = breadth.objective("ahc", replay_size=9, replay_samples=3)
    rollouts, given = batch()
    same, out = with_replayed(method.replay, rollouts, given, model=model, banned=[0], micro_batch=2, seed=0)
    assert same is rollouts and not bool(out["replayed"].any())
    method.observe(**streams([0.1 * i for i in range(9)], [f"k{i}" for i in range(9)], tokens=[[1, 2]] * 9))
    draw = lambda seed: with_replayed(  # noqa: E731
        method.replay, rollouts, given, model=model, banned=[0], micro_batch=2, seed=seed
    )[1]["key"]
    assert draw(1) == draw(1)
    assert len({tuple(draw(seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"replay_size": -1}, "expected replay_size >= 0 and replay_samples >= 1, got -1 and 10"),
        ({"replay_size": 5, "replay_samples": 0}, "expected replay_size >= 0 and replay_samples >= 1, got 5 and 0"),
        ({"replay_weighting": "best"}, "replay_weighting: expected one of uniform, reward, bucket, got 'best'"),
    ],
)
@pytest.mark.parametrize("name", ["reinvent", "ahc", "reinvent_filter"])
def test_settings_out_of_range(name, settings, words):
    with pytest.raises(ValueError, match=words):
        breadth.objective(name, **settings)
