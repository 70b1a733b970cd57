"""Token losses by hand, their gradients on-policy, and where the clip binds."""

import pytest
import torch

from breadth.losses.aggregation import loss_denominator, to_scalar
from breadth.losses.tokens import policy_gradient_loss, ppo_clip_loss, reference_penalty, reinforce_loss

MASK = torch.tensor([[True, True, False], [True, True, True]])
LOGP = torch.tensor([[-1.0, -2.0, torch.nan], [-0.5, -1.5, -2.5]], dtype=torch.float64)
ADVANTAGE = torch.tensor([2.0, -1.0], dtype=torch.float64)


def gradient(function, logp_old=LOGP, **numbers):
    logp = LOGP.clone().requires_grad_(True)
    matrix, _ = function(logp, logp_old, ADVANTAGE, MASK, **numbers)
    return torch.autograd.grad(matrix.sum(), logp)[0]


@pytest.mark.parametrize("function", [reinforce_loss, policy_gradient_loss, ppo_clip_loss])
def test_on_policy_all_have_the_reinforce_gradient(function):
    expected = torch.where(MASK, -ADVANTAGE[:, None], 0.0)
    assert torch.equal(gradient(function), expected)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-gradient(function), expected)


RATIOS = torch.tensor([[0.5, 0.9, 1.1, 1.5, 5.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("advantage", "numbers", "expected", "binds"),
    [
        (1.0, {}, [-0.5, -0.9, -1.1, -1.2, -1.2], 2),
        (-1.0, {}, [0.8, 0.9, 1.1, 1.5, 5.0], 1),
        (1.0, {"clip_high": 0.28}, [-0.5, -0.9, -1.1, -1.28, -1.28], 2),
        (-1.0, {"dual_clip": 3.0}, [0.8, 0.9, 1.1, 1.5, 3.0], 2),
        (1.0, {"dual_clip": 3.0}, [-0.5, -0.9, -1.1, -1.2, -1.2], 2),
        (0.0, {}, [0, 0, 0, 0, 0], 0),
    ],
)
def test_clip_by_hand(advantage, numbers, expected, binds):
    logp = RATIOS.log().requires_grad_(True)
    mask = torch.ones(1, 5, dtype=torch.bool)
    matrix, stats = ppo_clip_loss(logp, torch.zeros(1, 5), torch.tensor([advantage]), mask, **numbers)
    assert matrix.flatten().tolist() == pytest.approx(expected, abs=1e-9)
    assert stats["clip_share"] == pytest.approx(binds / 5)
    (slope,) = torch.autograd.grad(matrix.sum(), logp)
    assert int((slope == 0).sum()) == (binds if advantage else 5)


def test_ratio_statistics():
    logp = RATIOS.log()
    _, stats = policy_gradient_loss(logp, torch.zeros(1, 5), torch.ones(1), torch.ones(1, 5, dtype=torch.bool))
    assert stats["ratio"] == pytest.approx(RATIOS.mean().item())
    assert stats["kl_old"] == pytest.approx((RATIOS - 1 - logp).mean().item())


def test_advantage_per_token():
    per_token = ADVANTAGE[:, None].expand(2, 3).clone()
    per_token[~MASK] = torch.nan
    a, b = (ppo_clip_loss(LOGP, LOGP, adv, MASK)[0] for adv in (ADVANTAGE, per_token))
    assert torch.equal(a, b)


def test_reference_penalty_by_hand():
    matrix, stats = reference_penalty(LOGP, MASK, logp_ref=LOGP - 0.3, beta=2.0)
    k3 = torch.expm1(torch.tensor(-0.3, dtype=torch.float64)) + 0.3
    torch.testing.assert_close(matrix, torch.where(MASK, 2 * k3, 0.0))
    assert stats["kl_reference"] == pytest.approx(k3.item())


def test_sequence_modes_count_what_is_scored():
    mask, group = torch.ones(5, 2, dtype=torch.bool), torch.tensor([0, 0, 1, 1, 2])
    scored = torch.tensor([True, True, True, False, True])
    assert loss_denominator("seq_mean", mask=mask, group=group, scored=scored) == 4
    assert loss_denominator("group_mean", mask=mask, group=group, scored=scored) == 1
    assert loss_denominator("group_mean", mask=mask, group=group, scored=scored & False) == 1  # 0/1, not 0/0
    assert to_scalar(torch.arange(5.0), mask, "seq_mean", 4.0).item() == 2.5


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ppo_clip_loss(LOGP, LOGP, ADVANTAGE, MASK, clip_low=1.0), ValueError, "0 <= clip_low < 1"),
        (
            lambda: ppo_clip_loss(LOGP, LOGP, ADVANTAGE, MASK, dual_clip=0.9),
            ValueError,
            "dual_clip: expected a number > 1",
        ),
        (
            lambda: reinforce_loss(LOGP, None, torch.ones(3), MASK),
            ValueError,
            r"advantage: expected shape \(2,\) or \(2, 3\)",
        ),
        (lambda: policy_gradient_loss(LOGP, LOGP[:, :2], ADVANTAGE, MASK), ValueError, r"\(2, 2\), as logp_old"),
        (lambda: reference_penalty(LOGP, MASK, logp_ref=LOGP, beta=-1), ValueError, "beta: expected a number >= 0"),
        (
            lambda: loss_denominator("mean", mask=MASK, group=None, scored=None),
            ValueError,
            "expected one of token_mean",
        ),
        (
            lambda: loss_denominator("group_mean", mask=MASK, group=None, scored=None),
            ValueError,
            "needs the stream `group`",
        ),
        (lambda: to_scalar(torch.ones(2), MASK, "seq_mean", 0), ValueError, "denominator: expected a number > 0"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_groups_of_one_scored_member_do_not_count_in_the_mean_over_groups():
    """Of groups that stand mixed or one after the other, those with two scored members are counted."""
    group = torch.tensor([5, 9, 5, 9, 5, 2, 2])
    scored = torch.tensor([True, True, True, False, True, True, True])
    mask = torch.ones(7, 2, dtype=torch.bool)
    assert loss_denominator("group_mean", mask=mask, group=group, scored=scored) == 2.0
    scored = torch.tensor([True, False, True, False, False, False, False])
    assert loss_denominator("group_mean", mask=mask, group=group, scored=scored) == 1.0
    group = torch.tensor([0, 0, 1, 1, 2, 2, 3])
    scored = torch.tensor([True, True, False, False, True, True, True])
    assert loss_denominator("group_mean", mask=mask, group=group, scored=scored) == 2.0
