"""The exploration bonus by hand, its padding, and what it refuses."""

import pytest
import torch

import breadth
from breadth.rewards.novelty import novelty_bonus, shape_by_novelty

ERROR = torch.tensor([[1.0, 3.0, torch.nan], [2.0, torch.nan, torch.nan], [torch.nan] * 3])
MASK = torch.tensor([[True, True, False], [True, False, False], [False] * 3])
GROUP = torch.zeros(3, dtype=torch.int64)


def test_by_hand():
    assert novelty_bonus(ERROR, MASK).tolist() == [2.0, 2.0, 0.0]
    assert novelty_bonus(ERROR, MASK, pool="last").tolist() == [3.0, 2.0, 0.0]
    shaped = shape_by_novelty(torch.tensor([1.0, torch.nan, 0.0]), GROUP, prediction_error=ERROR, mask=MASK, eta=0.5)
    assert shaped.nan_to_num(nan=-1).tolist() == [2.0, -1.0, 0.0]


def test_the_last_token_may_stand_behind_a_hole():
    mask = torch.tensor([[True, False, True]])
    assert novelty_bonus(torch.tensor([[1.0, 9.0, 4.0]]), mask, pool="last").tolist() == [4.0]


def test_a_novel_rollout_is_preferred_among_equals():
    method = breadth.objective("rnd", eta=1.0)
    error = torch.tensor([[1.0], [2.0], [6.0]])
    found = method.advantage(reward=torch.ones(3), group=GROUP, prediction_error=error, mask=torch.ones(3, 1).bool())
    assert found.tolist() == [-2.0, -1.0, 3.0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pool": "sum"}, "pool: expected one of mean, last, got 'sum'"),
        ({"eta": -1.0}, "eta: expected a number >= 0, got -1.0"),
        ({"model_rate": 0.0}, "model_rate: expected a number > 0, got 0.0"),
        ({"inner": 0}, "inner: expected an integer >= 1, got 0"),
    ],
)
def test_settings_out_of_range(settings, words):
    with pytest.raises(ValueError, match=words):
        breadth.objective("rnd", **settings)


def test_errors_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 scored rollouts have tokens whose error is not finite"):
        shape_by_novelty(
            torch.zeros(1), GROUP[:1], prediction_error=torch.tensor([[torch.inf]]), mask=torch.ones(1, 1).bool()
        )
