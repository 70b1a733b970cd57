"""The table of docs/fixed-points.md is recomputed; pairs, squares and the advantage form are set side by side."""

import re
from pathlib import Path

import pytest
import torch
from exact_points import POINTS, REF, REWARD, K, distances, tilt

from breadth import objective

PAGE = Path(__file__).parents[2] / "docs" / "fixed-points.md"
MISSED = ("reinvent (published)", "ahc")


def test_the_page_has_these_distances():
    rows = dict(re.findall(r"^\| ([a-z_]+(?: \([a-z]+\))?) \|.*\| ([0-9.]+) \|$", PAGE.read_text().partition("## On-policy")[0], re.M))
    measured = distances()
    assert set(rows) == set(POINTS)
    for name, distance in measured.items():
        print(f"{name}: total variation {distance:.2e}")
        assert distance == pytest.approx(float(rows[name]), abs=5e-5), name
        assert (distance < 1e-6) == (name not in MISSED), name


def test_the_points_are_not_one_point():
    """Twins with a flipped sign, without the reference, or at another temperature lie far away."""
    assert float((tilt(0.5, 0.5) - tilt(-0.5, -0.5)).abs().sum() / 2) > 0.2
    assert float((tilt(0.5, 0.5) - tilt(0.5, 0.0)).abs().sum() / 2) > 0.1
    assert float((tilt(0.5, 0.5) - tilt(0.7, 0.5)).abs().sum() / 2) > 0.05


def enumerated(theta, **weights):
    """Return exact gradients at one policy: of BT pairs, of squares over pairs of draws, and ∇J."""
    logp = theta.log_softmax(-1)
    p = logp.detach().exp()
    i, j = (x.flatten() for x in torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij"))
    weight = p[i] * p[j]
    spl = objective("spl", alpha=weights["a"], beta=weights["b"])
    order = torch.sigmoid(REWARD[i] - REWARD[j])
    terms = spl.loss(chosen=logp[i], rejected=logp[j], ref_chosen=REF[i], ref_rejected=REF[j]).matrix
    (by_pairs,) = torch.autograd.grad((weight * order * terms).sum(), theta, retain_graph=True)
    y, group = torch.stack([i, j], 1).flatten(), torch.arange(K * K).repeat_interleave(2)
    squares = objective("qempo_kl_squares", inv_lambda1=weights["a"] - weights["b"], ratio=weights["b"])
    streams = {"reward": REWARD[y], "group": group, "seq_logp_ref": REF[y]}
    mask = torch.ones(len(y), 1, dtype=torch.bool)
    matrix = squares.loss(logp=logp[y][:, None], mask=mask, **streams).matrix
    (by_squares,) = torch.autograd.grad((weight[group] * matrix).sum(), theta, retain_graph=True)
    advantage = squares.advantage(**streams, seq_logp=logp.detach()[y])
    (by_advantage,) = torch.autograd.grad(-(weight[group] * advantage * logp[y]).sum() / 2, theta, retain_graph=True)
    goal = (logp.exp() * (REWARD - weights["a"] * logp + weights["b"] * REF)).sum()
    (ascent,) = torch.autograd.grad(goal, theta)
    return by_pairs, by_squares, by_advantage, -ascent


@pytest.mark.parametrize("seed", range(5))
def test_squares_and_the_advantage_form_agree_up_to_a(seed):
    """In exact expectation over groups of two draws: squares a·∇(−J), advantages ½·∇(−J) (that is (G − 1)/G)."""
    theta = 2 * torch.randn(K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    _, squares, advantage, descent = enumerated(theta.requires_grad_(True), a=0.7, b=0.5)
    torch.testing.assert_close(squares, 0.7 * descent, rtol=0, atol=1e-12)
    torch.testing.assert_close(advantage, descent / 2, rtol=0, atol=1e-12)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-squares, 0.7 * descent, rtol=0, atol=1e-12)


def test_pairs_share_the_fixed_point_but_not_the_gradient():
    cosines = []
    for seed in range(20):
        theta = 4 * torch.randn(K, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        pairs, _, _, descent = enumerated(theta.requires_grad_(True), a=0.7, b=0.5)
        cosines.append(float(torch.cosine_similarity(pairs, descent, dim=0)))
    print(f"cosine of the pair gradient with the objective's over 20 policies: {min(cosines):.4f} to {max(cosines):.4f}")
    assert max(cosines) < 0.99995
    assert min(cosines) < 0.96
    at = tilt(0.7, 0.5).log().requires_grad_(True)
    pairs, squares, advantage, descent = enumerated(at, a=0.7, b=0.5)
    for gradient in (pairs, squares, advantage, descent):
        assert float(gradient.abs().max()) < 1e-12


def test_pairs_say_nothing_of_what_they_do_not_cover():
    """Pairs among 8 of 12 outcomes: right ratios inside, the mass outside is left where the first model had it."""
    theta = REF.clone().requires_grad_(True)
    logp = theta.log_softmax(-1)
    i, j = (x.flatten() for x in torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"))
    loss = objective("qempo_pairs", inv_lambda=0.5).loss(chosen=logp[i], rejected=logp[j])
    (gradient,) = torch.autograd.grad(loss.value, theta)
    torch.testing.assert_close(gradient[8:], torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-15)
