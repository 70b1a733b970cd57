"""Objectives that remember: they read before the baseline's batch, write after it, and go on from a checkpoint."""

import copy
import json
import pickle

import pytest
import torch

from breadth import objective
from breadth.objectives.composition import Objective
from breadth.objectives.remembering import RememberingObjective

BATCH = {
    "reward": torch.tensor([1.0, 1.0, 0.0, torch.nan]),
    "group": torch.tensor([0, 0, 0, 0]),
    "prompt_id": torch.tensor([4, 4, 4, 4]),
    "key": ["a", "b", "c", "d"],
    "seq_logp": torch.tensor([-1.0, -2.0, -3.0, -4.0]),
    "seq_logp_ref": torch.tensor([-1.5, -2.0, -2.5, -4.0]),
}


@pytest.mark.parametrize("name", ["ucb", "reinvent_filter"])
def test_shaping_writes_nothing_and_observing_does(name):
    method = objective(name)
    fresh = method.state_dict()
    method.advantage(**BATCH)
    assert method.state_dict() == fresh
    method.observe(**BATCH)
    assert method.state_dict() != fresh
    assert "d" not in json.dumps(method.state_dict())  # unscored: no trace


@pytest.mark.parametrize("name", ["ucb", "reinvent_filter"])
def test_it_goes_on_from_a_checkpoint(name):
    settings = {"bucket": 2} if name == "reinvent_filter" else {}
    whole, first, second = (objective(name, **settings) for _ in range(3))
    for _ in range(3):
        whole.observe(**BATCH)
        first.observe(**BATCH)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert torch.equal(whole.advantage(**BATCH), second.advantage(**BATCH))
    assert not torch.equal(whole.advantage(**BATCH), objective(name, **settings).advantage(**BATCH))
    for copied in (pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
        assert copied.state_dict() == whole.state_dict()
        copied.observe(**BATCH)
        assert copied.state_dict() != whole.state_dict()


def test_two_objectives_share_no_memory():
    a, b = objective("ucb"), objective("ucb")
    a.observe(**BATCH)
    assert b.state_dict() == {"counts": {}}


def test_ucb_lifts_what_is_new_after_the_normalisation():
    method = objective("ucb", weight=1.0)
    for _ in range(9):
        method.observe(**{**BATCH, "key": ["a", None, None, None]})
    plain = objective("grpo").advantage(reward=BATCH["reward"], group=BATCH["group"])
    got, stats = method.shape(**BATCH)
    torch.testing.assert_close(got - plain, torch.tensor([1 / 3 - 0.5, 0.5, 0.5, 0.0]))
    assert stats["new_answer_share"] == pytest.approx(2 / 3)
    assert stats["visits"] == 3.0
    assert stats["exploration_bonus"] == pytest.approx((1 / 3 + 0.5) / 3)
    everyone_right = {**BATCH, "reward": torch.ones(4)}
    assert method.advantage(**everyone_right)[0] < 0 < method.advantage(**everyone_right)[1]


def test_a_full_bucket_pulls_to_the_prior_under_reinvent_and_down_under_grpo():
    for host in ("reinvent", "grpo"):
        method = objective("reinvent_filter", host=host, bucket=1, sigma=10.0)
        method.observe(**{**BATCH, "key": ["a", None, None, None]})
        got, stats = method.shape(**BATCH)
        if host == "reinvent":
            torch.testing.assert_close(got[:2], torch.tensor([-(-1.0 + 1.5) / 10, 1.0]))
        else:
            assert got[0] < 0 < got[1]
        assert stats["filtered_share"] == pytest.approx(1 / 3)
        assert stats["reward_before_filter"] == pytest.approx(2 / 3)
        assert stats["seen_share"] == pytest.approx(1 / 3)


def test_an_empty_filter_is_reinvents_advantage_form():
    got = objective("reinvent_filter", sigma=20.0).advantage(**BATCH)
    expected = objective("reinvent", sigma=20.0).advantage(**{k: v for k, v in BATCH.items() if k != "key"})
    torch.testing.assert_close(got, expected)


def test_what_is_wrong_is_said():
    method = objective("ucb")
    with pytest.raises(ValueError, match=r"objective 'ucb' needs key, which it was not given:\n  key: \(N,\); a label"):
        method.advantage(**{**BATCH, "key": None})
    with pytest.raises(ValueError, match="objective 'ucb' needs prompt_id, which it was not given"):
        method.observe(**{**BATCH, "prompt_id": None})
    with pytest.raises(ValueError, match="key: expected 4 labels for 4 rewards, got 2"):
        method.advantage(**{**BATCH, "key": ["a", "b"]})
    with pytest.raises(TypeError, match="unknown stream 'keys', did you mean 'key'"):
        method.observe(**BATCH, keys=1)
    with pytest.raises(ValueError, match="objective 'ucb': VisitCounts: expected a state with keys counts, got seen"):
        method.load_state_dict({"seen": {}})
    with pytest.raises(ValueError, match="objective 'reinvent_filter' needs bucket_key"):
        objective("reinvent_filter", bucket_by="bucket_key").advantage(**BATCH)
    plain = objective("grpo")
    with pytest.raises(ValueError, match="objective 'x': expected a memory, got None"):
        RememberingObjective("x", "x", "policy", plain.baseline, plain.loss_piece, plain.aggregation, "", ())
    assert not isinstance(plain, RememberingObjective)
    assert isinstance(method, Objective)
