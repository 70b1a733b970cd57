"""Baselines by hand, their degenerate groups, and the rounding trap of equal rewards."""

import pytest
import torch

from breadth.advantages import baseline

NAN = float("nan")
REWARD = torch.tensor([1.0, 0.0, 0.0, NAN, 5.0], dtype=torch.float64)
GROUP = torch.tensor([2, 2, 2, 2, 9])


@pytest.mark.parametrize(
    ("function", "settings", "expected"),
    [
        (baseline.no_baseline, {}, [1, 0, 0, 0, 5]),
        (baseline.centre, {}, [2 / 3, -1 / 3, -1 / 3, 0, 0]),
        (baseline.centre_batch, {}, [-0.5, -1.5, -1.5, 0, 3.5]),
        (baseline.leave_one_out, {}, [1, -0.5, -0.5, 0, 0]),
        (baseline.standardise, {"eps": 0.0}, [2 / 3**0.5, -1 / 3**0.5, -1 / 3**0.5, 0, 0]),
        (baseline.standardise, {"eps": 0.0, "ddof": 0}, [2**0.5, -(0.5**0.5), -(0.5**0.5), 0, 0]),
        (
            baseline.standardise,
            {"eps": 1.0},
            [2 / 3 / (1 + 3**-0.5), -1 / 3 / (1 + 3**-0.5), -1 / 3 / (1 + 3**-0.5), 0, 0],
        ),
    ],
)
def test_by_hand(function, settings, expected):
    got = function(REWARD, GROUP, **settings)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    if function is not baseline.no_baseline:
        with pytest.raises(AssertionError):
            torch.testing.assert_close(-got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("eps", [0.0, 1e-6, 1e-4])
@pytest.mark.parametrize("value", [0.1, 1e6 + 0.1, -3.3])
def test_equal_rewards_make_no_signal_out_of_rounding(eps, value):
    got = baseline.standardise(torch.full((7,), value), torch.zeros(7, dtype=torch.int64), ddof=0, eps=eps)
    assert got.abs().max() == 0


def test_leave_one_out_is_a_scaled_centre():
    reward = torch.randn(6, dtype=torch.float64)
    group = torch.zeros(6, dtype=torch.int64)
    torch.testing.assert_close(baseline.leave_one_out(reward, group), baseline.centre(reward, group) * 6 / 5)


def test_scored_narrows_what_nan_says():
    got = baseline.centre(REWARD, GROUP, scored=torch.tensor([True, True, False, True, True]))
    assert got.tolist() == [0.5, -0.5, 0, 0, 0]


def test_batch_deviation():
    got = baseline.scale_by_batch_deviation(torch.tensor([3.0, -3.0, NAN]), torch.tensor([0, 1, 1]), eps=0.0)
    assert got[:2].tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)])
    zeros = torch.zeros(3)
    assert torch.equal(baseline.scale_by_batch_deviation(zeros, torch.tensor([0, 1, 1])), zeros)
    assert baseline.scale_by_batch_deviation(torch.tensor([3.0]), torch.tensor([0])).item() == 3.0


def test_eps_is_not_negative():
    with pytest.raises(ValueError, match="eps: expected a number >= 0, got -1"):
        baseline.standardise(REWARD, GROUP, eps=-1)
