"""The entropy terms: masks, degenerate groups, zero sum, blindness to shifts, and the gradients that they stand for."""

import pytest
import torch

from breadth.advantages.entropy import (
    MASKS,
    auto_weight,
    centred_term,
    entropy_members,
    shape_by_entropy,
    shape_by_entropy_and_reference,
)
from breadth.advantages.reference import shape_by_reference_kl

ONE = torch.zeros(5, dtype=torch.int64)
S = torch.tensor([-1.0, -2.0, -6.0, -3.0, -9.0], dtype=torch.float64)


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


@pytest.mark.parametrize(
    ("correct", "mask", "expected"),
    [
        (flags(1, 1, 0, 0, 0), "correct_subset", [-0.5, 0.5, 0, 0, 0]),  # two correct
        (flags(1, 0, 0, 0, 0), "correct_subset", [0, 0, 0, 0, 0]),  # one correct
        (flags(0, 0, 0, 0, 0), "correct_subset", [0, 0, 0, 0, 0]),  # all wrong
        (flags(1, 1, 1, 1, 1), "correct_subset", [-3.2, -2.2, 1.8, -1.2, 4.8]),  # all correct
        (flags(1, 1, 0, 0, 0), "group_all_correct", [0, 0, 0, 0, 0]),
        (flags(1, 1, 1, 1, 1), "group_all_correct", [-3.2, -2.2, 1.8, -1.2, 4.8]),
        (flags(1, 0, 0, 0, 0), "none", [-3.2, -2.2, 1.8, -1.2, 4.8]),
    ],
)
def test_who_takes_part(correct, mask, expected):
    got = centred_term(S, ONE, correct=correct, mask=mask)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)
    shifted = centred_term(S + 100, ONE, correct=correct, mask=mask)
    torch.testing.assert_close(got, shifted, rtol=0, atol=1e-12)
    assert got.sum().abs() < 1e-12


def test_a_group_of_one_gets_nothing():
    group = torch.arange(5)
    for mask in MASKS:
        assert centred_term(S, group, correct=flags(1, 1, 1, 1, 1), mask=mask).abs().max() == 0


def test_an_unscored_rollout_does_not_spoil_an_all_correct_group():
    scored = flags(1, 1, 1, 1, 0)
    got = entropy_members(ONE, correct=flags(1, 1, 1, 1, 0), scored=scored, mask="group_all_correct")
    assert torch.equal(got, scored)


def test_auto_weight_is_half_the_deviation():
    advantage = torch.tensor([0.5, 0.5, -0.5, 0.0, -0.5], dtype=torch.float64)
    correct = flags(1, 1, 0, 1, 0)
    term = centred_term(S, ONE, correct=correct)
    weight = auto_weight(advantage, term)
    assert (weight * term).std(correction=0).item() == pytest.approx(0.5 * advantage.std(correction=0).item())
    got = shape_by_entropy(advantage, ONE, seq_logp=S, correct=correct)
    torch.testing.assert_close(got, advantage + weight * term)


@pytest.mark.parametrize(
    ("advantage", "spread"),
    [(torch.zeros(5), 1.0), (torch.ones(5), 1.0), (torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0]), 0.0)],
)
def test_auto_weight_without_spread_is_zero(advantage, spread):
    assert auto_weight(advantage, spread * torch.tensor([1.0, -1.0, 2.0, -2.0, 0.0])) == 0.0


def test_auto_weight_does_not_blow_up_rounding_noise():
    advantage = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0])
    noise = 1e-6 * torch.tensor([1.0, -1.0, 1.0, -1.0, 0.0])
    assert (auto_weight(advantage, noise) * noise).abs().max() < 1e-4


def test_per_token_divides_by_length():
    length = torch.tensor([1, 2, 6, 3, 9])
    assert centred_term(S, ONE, length=length, mask="none", length_norm="per_token").abs().max() < 1e-12


def test_qempo_kl_is_equation_8_in_advantage_form():
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(0, 3, (12,), generator=generator)
    s, ref, r = torch.randn(3, 12, generator=generator, dtype=torch.float64)
    lambda1, lambda2 = 4.0, 0.5
    a, b = (1 + lambda2) / lambda1, lambda2 / lambda1
    got = shape_by_entropy_and_reference(
        r, group, seq_logp=s, seq_logp_ref=ref, inv_lambda1=1 / lambda1, ratio=lambda2 / lambda1, mask="none"
    )
    expected = r.clone()
    for label in range(3):
        rows = group == label
        expected[rows] += -a * (s[rows] - s[rows].mean()) + b * (ref[rows] - ref[rows].mean())
    torch.testing.assert_close(got, expected)
    listing = r.clone()  # the listing's sign on the covariance
    for label in range(3):
        rows = group == label
        listing[rows] += -a * (s[rows] - s[rows].mean()) - b * (ref[rows] - ref[rows].mean())
    with pytest.raises(AssertionError):
        torch.testing.assert_close(got, listing)


def test_both_terms_are_masked_together():
    correct = flags(1, 1, 0, 0, 0)
    got = shape_by_entropy_and_reference(
        torch.zeros(5), ONE, seq_logp=S, seq_logp_ref=2 * S, correct=correct, inv_lambda1=0.1, ratio=1.0
    )
    assert got[2:].abs().max() == 0
    assert got[:2].abs().min() > 0


def test_qempo_kl_without_entropy_is_rlhf():
    values, ref = torch.zeros(5, dtype=torch.float64), S.flip(0)
    kl = shape_by_reference_kl(values, ONE, seq_logp=S, seq_logp_ref=ref, beta=0.3)
    both = shape_by_entropy_and_reference(
        values, ONE, seq_logp=S, seq_logp_ref=ref, inv_lambda1=0.0, ratio=0.3, mask="none"
    )
    torch.testing.assert_close(both, kl)
    assert kl.sum().abs() < 1e-12


def test_the_correct_subset_term_is_the_gradient_of_the_entropy_among_correct():
    """In exact expectation Σ_i π_i·A_i·∇log π_i over Y+ equals P(Y+)·∇H(π(·|Y+))."""
    theta = torch.randn(7, dtype=torch.float64, requires_grad=True)
    logp = theta.log_softmax(-1)
    right = flags(1, 1, 1, 1, 0, 0, 0)
    inside = logp[right].log_softmax(-1)  # log π(·|Y+)
    entropy = -(inside.exp() * inside).sum()
    (expected,) = torch.autograd.grad(entropy, theta, retain_graph=True)
    p = logp.detach().exp()
    mass = p[right].sum()
    mean = (p[right] * logp.detach()[right]).sum() / mass
    term = torch.where(right, -(logp.detach() - mean), 0.0)
    (got,) = torch.autograd.grad((p * term * logp).sum(), theta)
    torch.testing.assert_close(got, mass * expected)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"mask": "correct"}, "mask: expected one of correct_subset, none, group_all_correct, got 'correct'"),
        ({"correct": None}, "mask='correct_subset' needs the stream `correct`"),
        ({"length_norm": "per_token"}, "length_norm='per_token' needs the stream `length`"),
        ({"length_norm": "mean"}, "length_norm: expected one of none, per_token, got 'mean'"),
        ({"inv_lambda": -1.0}, "inv_lambda: expected a number >= 0 or 'auto', got -1.0"),
        ({"inv_lambda": "half"}, "inv_lambda: expected a number >= 0 or 'auto', got 'half'"),
    ],
)
def test_errors(settings, text):
    with pytest.raises(ValueError, match=text):
        shape_by_entropy(torch.zeros(5), ONE, **{"seq_logp": S, "correct": flags(1, 1, 0, 0, 0), **settings})


def test_negative_weights_are_refused():
    streams = {"seq_logp": S, "seq_logp_ref": S}
    with pytest.raises(ValueError, match="beta: expected a number >= 0, got -0.1"):
        shape_by_reference_kl(S, ONE, beta=-0.1, **streams)
    with pytest.raises(ValueError, match="ratio: expected a number >= 0, got -1"):
        shape_by_entropy_and_reference(S, ONE, ratio=-1, mask="none", **streams)


def test_the_pull_towards_the_reference_leaves_unscored_rollouts_alone():
    seq_logp, scored = torch.tensor([-1.0, -3.0, -9.0]), torch.tensor([True, True, False])
    given = {"seq_logp": seq_logp, "seq_logp_ref": torch.full((3,), -2.0), "scored": scored, "beta": 0.5}
    for centred in (True, False):
        found = shape_by_reference_kl(torch.zeros(3), torch.zeros(3, dtype=torch.int64), centred=centred, **given)
        assert found.tolist() == [-0.5, 0.5, 0.0]
