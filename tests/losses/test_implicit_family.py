"""The implicit-reward family: its members by their own formulas, and the identities that tie its matchers together."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from breadth import group_loss, implicit_reward, pair_loss
from breadth.losses.implicit import group_means, likelihood_square

torch.manual_seed(0)
CHOSEN, REJECTED, REF_C, REF_R = -5 * torch.rand(4, 9, dtype=torch.float64)
REFS = {"ref_chosen": REF_C, "ref_rejected": REF_R}
RATIO = (CHOSEN - REF_C) - (REJECTED - REF_R)


def loss(**settings):
    return pair_loss(chosen=CHOSEN, rejected=REJECTED, **settings)[0]


def same(got, expected):
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-got, expected, rtol=0, atol=1e-12)


def test_dpo():
    same(loss(a=0.1, b=0.1, **REFS), -F.logsigmoid(0.1 * RATIO))


def test_dpo_is_spl_at_equal_weights():
    alpha, beta = 0.14, 0.1
    spl = -F.logsigmoid(alpha * (CHOSEN - REJECTED) - beta * (REF_C - REF_R))
    same(loss(a=alpha, b=beta, **REFS), spl)
    assert torch.equal(loss(a=0.1, b=0.1, **REFS), loss(a=0.1, b=0.1, link="sigmoid", **REFS))


def test_qempo_kl_pairs_are_equation_6_and_spl():
    inv_lambda1, ratio = 4e-3, 1e-2
    eq6 = -F.logsigmoid(inv_lambda1 * (CHOSEN - REJECTED) + ratio * RATIO)
    same(loss(a=inv_lambda1 + ratio, b=ratio, **REFS), eq6)


def test_qempo_pairs_are_cpo_without_its_sft_term():
    inv_lambda = 0.25
    cpo = -F.logsigmoid(inv_lambda * (CHOSEN - REJECTED))  # CPO sigmoid, cpo_alpha = 0
    same(loss(a=inv_lambda, b=0.0), cpo)
    same(loss(a=inv_lambda, b=inv_lambda, ref_chosen=0 * REF_C, ref_rejected=0 * REF_R), cpo)  # DPO, reference 0


def test_ipo():
    same(loss(a=0.1, b=0.1, link="ipo", **REFS), (RATIO - 1 / (2 * 0.1)) ** 2)


def test_hinge_and_label_smoothing():
    same(loss(a=0.1, b=0.1, link="hinge", **REFS), torch.relu(1 - 0.1 * RATIO))
    smooth = -0.9 * F.logsigmoid(0.1 * RATIO) - 0.1 * F.logsigmoid(-0.1 * RATIO)
    same(loss(a=0.1, b=0.1, label_smoothing=0.1, **REFS), smooth)


def test_simpo():
    lengths = torch.arange(1, 10), torch.arange(9, 0, -1)
    expected = -F.logsigmoid(2.0 * CHOSEN / lengths[0] - 2.0 * REJECTED / lengths[1] - 0.5)
    same(loss(a=2.0, b=0.0, margin=0.5, chosen_length=lengths[0], rejected_length=lengths[1]), expected)


def test_rewards_of_a_pair_are_detached():
    chosen = CHOSEN.clone().requires_grad_(True)
    value, better, worse = pair_loss(chosen=chosen, rejected=REJECTED, a=0.5, b=0.0)
    assert value.requires_grad
    assert not better.requires_grad
    same(better, 0.5 * CHOSEN)
    assert torch.equal(worse, 0.5 * REJECTED)


def test_group_loss_by_hand():
    s = torch.tensor([-1.0, -2.0, -4.0, -9.0], dtype=torch.float64)
    reward = torch.tensor([1.0, 0.0, 0.5, 7.0], dtype=torch.float64)
    group = torch.tensor([3, 3, 3, -1])
    d = 0.5 * s[:3] - reward[:3]
    expected = torch.cat([(d - d.mean()) ** 2 / 2 / 2, torch.zeros(1, dtype=torch.float64)])
    same(group_loss(s, reward, group, a=0.5, b=0.0), expected)
    fixed = torch.cat([(d + 0.5 * 0.3) ** 2 / 2 / 2, torch.zeros(1, dtype=torch.float64)])
    same(group_loss(s, reward, group, a=0.5, b=0.0, log_z=0.3), fixed)


def test_an_unscored_member_takes_no_part():
    s = torch.tensor([-1.0, -2.0, -4.0], dtype=torch.float64, requires_grad=True)
    group = torch.zeros(3, dtype=torch.int64)
    terms = group_loss(s, torch.tensor([1.0, 0.0, torch.nan]), group, a=1.0, b=0.0)
    alone = group_loss(s[:2], torch.tensor([1.0, 0.0]), group[:2], a=1.0, b=0.0)
    torch.testing.assert_close(terms[:2], alone)
    (gradient,) = torch.autograd.grad(terms.sum(), s)
    assert terms[2] == gradient[2] == 0


def test_a_given_group_mean_has_the_same_gradient():
    generator = torch.Generator().manual_seed(1)
    group = torch.randint(0, 3, (11,), generator=generator)
    s = torch.randn(11, generator=generator, dtype=torch.float64, requires_grad=True)
    ref, reward = torch.randn(2, 11, generator=generator, dtype=torch.float64)
    weights = {"a": 0.7, "b": 0.4, "seq_logp_ref": ref}
    free = group_loss(s, reward, group, **weights)
    means = group_means(s, reward, group, **weights)
    tied = group_loss(s, reward, group, **weights, **means)
    torch.testing.assert_close(free, tied)
    got, expected = (torch.autograd.grad(x.sum(), s)[0] for x in (tied, free))
    torch.testing.assert_close(got, expected)
    only_mean = group_loss(s, reward, group, **weights, group_mean=means["group_mean"])
    torch.testing.assert_close(only_mean, free)


K, A, B = 5, 0.7, 0.3


def enumerable(seed=0):
    generator = torch.Generator().manual_seed(seed)
    theta = torch.randn(K, generator=generator, dtype=torch.float64, requires_grad=True)
    reward = torch.randn(K, generator=generator, dtype=torch.float64)
    return theta, torch.randn(K, generator=generator, dtype=torch.float64).log_softmax(-1), reward


def objective_gradient(theta, ref, reward, a=A, b=B):
    """∇J of J = E r + a·H(π) − b·CE(π, π_ref), by automatic differentiation of the exact expectation."""
    logp = theta.log_softmax(-1)
    return torch.autograd.grad((logp.exp() * (reward - a * logp + b * ref)).sum(), theta)[0]


def all_groups(theta, size=2):
    """Every ordered group of ``size`` draws with its probability, as one batch: outcome, group, weight (M,)."""
    draws = torch.tensor(list(itertools.product(range(K), repeat=size)))
    group = torch.arange(len(draws)).repeat_interleave(size)
    weight = theta.detach().log_softmax(-1)[draws].sum(-1).exp()
    return draws.flatten(), group, weight


@pytest.mark.parametrize("size", [2, 3])
def test_group_squares_have_the_objectives_gradient_up_to_a(size):
    """On-policy, in exact expectation over all groups: ∇ E[group loss] = −a·∇J."""
    theta, ref, reward = enumerable()
    y, group, weight = all_groups(theta, size)
    logp = theta.log_softmax(-1)[y]
    terms = group_loss(logp, reward[y], group, a=A, b=B, seq_logp_ref=ref[y])
    (got,) = torch.autograd.grad((weight[group] * terms).sum(), theta)
    same(got, -A * objective_gradient(theta, ref, reward))


@pytest.mark.parametrize("size", [2, 3])
def test_the_advantage_form_has_the_objectives_gradient(size):
    """On-policy: E[(1/G) Σ A_i ∇s_i] = (G − 1)/G · ∇J, with A from the pieces of QEMPO-KL."""
    from breadth import objective

    theta, ref, reward = enumerable(1)
    y, group, weight = all_groups(theta, size)
    logp = theta.log_softmax(-1)[y]
    advantage = objective("qempo_kl", inv_lambda1=A - B, ratio=B, mask="none").advantage(
        reward=reward[y], group=group, seq_logp=logp.detach(), seq_logp_ref=ref[y]
    )
    (got,) = torch.autograd.grad((weight[group] * advantage * logp).sum() / size, theta)
    same(got, (size - 1) / size * objective_gradient(theta, ref, reward))


@pytest.mark.parametrize(("a", "b"), [(A, B), (A, 0.0)])
def test_equations_8_and_9_ascend_twice_a_times_the_objective(a, b):
    theta, ref, reward = enumerable(2)
    logp = theta.log_softmax(-1)
    p = logp.detach().exp()  # the sampling law, held fixed

    def mean(x):
        return (p * x).sum()

    covariance = mean((logp - mean(logp)) * (ref - mean(ref)))
    variance = mean((logp - mean(logp)) ** 2)
    eq8 = 2 * a * (mean((reward - mean(reward)) * logp) + b * covariance - a / 2 * variance)
    (got,) = torch.autograd.grad(eq8, theta, retain_graph=True)
    same(got, 2 * a * objective_gradient(theta, ref, reward, a, b))
    listing = 2 * a * (mean((reward - mean(reward)) * logp) - b * covariance - a * variance)  # its sign, its missing ½
    (wrong,) = torch.autograd.grad(listing, theta)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(wrong, got)


def test_reinvents_square_is_kl_regularised_policy_gradient():
    """On-policy ∇E(s_ref + σr − s)² = −2∇(σ·E r − KL(π‖π_ref)), with no baseline."""
    theta, ref, reward = enumerable(3)
    sigma = 3.0
    logp = theta.log_softmax(-1)
    p = logp.detach().exp()
    square = likelihood_square(logp, reward, seq_logp_ref=ref, sigma=sigma)
    (got,) = torch.autograd.grad((p * square).sum(), theta)
    same(got, -2 * sigma * objective_gradient(theta, ref, reward, 1 / sigma, 1 / sigma))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: implicit_reward(CHOSEN, a=1.0, b=0.5), "logp_ref: needed because b = 0.5"),
        (lambda: loss(a=1.0, b=0.0, link="logistic"), "link: expected one of sigmoid, ipo, hinge, got 'logistic'"),
        (lambda: loss(a=1.0, b=0.0, label_smoothing=0.5), r"label_smoothing: expected a number in \[0, 0.5\)"),
        (lambda: loss(a=1.0, b=0.0, chosen_length=torch.ones(9)), "give both or neither"),
        (lambda: group_loss(CHOSEN, REJECTED[:3], torch.zeros(9).long(), a=1.0, b=0.0), r"\(9,\), \(3,\) and \(9,\)"),
        (lambda: likelihood_square(CHOSEN, CHOSEN, seq_logp_ref=REF_C, sigma=0.0), "sigma: expected a number > 0"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_an_unscored_rollout_has_no_loss_and_no_gradient():
    s = torch.tensor([-1.0, -3.0, -2.0], requires_grad=True)
    loss = group_loss(s, torch.tensor([1.0, 0.0, torch.nan]), torch.zeros(3, dtype=torch.int64), a=1.0, b=0.0)
    loss.sum().backward()
    assert float(loss[2]) == 0.0 and float(s.grad[2]) == 0.0 and bool(torch.isfinite(s.grad).all()) and bool(s.grad[:2].abs().min() > 0)
