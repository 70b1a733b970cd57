"""Which tokens a loss acts on and how hard: GSPO and CISPO by hand, forking tokens, covariances, entropy bonuses."""

import pytest
import torch

from breadth import objective
from breadth.losses.covariance import choose_clip_cov, choose_kl_cov, kl_cov_loss, token_covariance
from breadth.losses.entropies import AdaptiveCoefficient, entropy_bonus, entropy_quantile, forking_weight, mean_entropy
from breadth.losses.ratios import clipped_weight_loss, sequence_clip_loss

MASK = torch.tensor([[True, True, False], [True, True, True]])
OLD = torch.tensor([[-1.0, -2.0, torch.nan], [-0.5, -1.5, -2.5]], dtype=torch.float64)
SHIFT = torch.tensor([[0.2, -0.1, 0.0], [0.3, 0.1, -0.7]], dtype=torch.float64)
ADVANTAGE = torch.tensor([2.0, -1.0], dtype=torch.float64)


def run(function, advantage=ADVANTAGE, **numbers):
    logp = (OLD + SHIFT).requires_grad_(True)
    matrix, stats = function(logp, OLD, advantage, MASK, **numbers)
    return matrix.detach(), torch.autograd.grad(matrix.sum(), logp)[0], stats


def test_gspo_by_hand():
    ratio = torch.stack([SHIFT[0, :2].mean().exp(), SHIFT[1].mean().exp()])
    matrix, gradient, _ = run(sequence_clip_loss, clip_low=0.5, clip_high=0.5)
    expected = torch.where(MASK, -(ratio * ADVANTAGE)[:, None], 0.0)
    torch.testing.assert_close(matrix, expected)
    torch.testing.assert_close(gradient, expected)  # ∂(Σ_t s)/∂logp_t = |y|·s/|y| = s at every token
    _, gradient, stats = run(sequence_clip_loss)
    assert gradient[0].abs().max() == 0  # 1.05 is far above 1.0004, the advantage positive
    assert gradient[1].abs().max() == 0  # 0.90 is far below 0.9997, the advantage negative
    assert stats["clip_share"] == 1.0


def test_cispo_by_hand():
    matrix, gradient, stats = run(clipped_weight_loss, clip_low=0.1, clip_high=0.1)
    weight = SHIFT.exp().clamp(0.9, 1.1)
    torch.testing.assert_close(gradient, torch.where(MASK, -weight * ADVANTAGE[:, None], 0.0))
    torch.testing.assert_close(matrix, torch.where(MASK, -weight * ADVANTAGE[:, None] * (OLD + SHIFT), 0.0))
    assert stats["clip_share"] == pytest.approx(4 / 5)  # 1.22, 1.35, 1.105 and 0.50 of five
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-gradient, torch.where(MASK, -weight * ADVANTAGE[:, None], 0.0))


def test_no_token_of_cispo_loses_its_gradient():
    _, gradient, _ = run(clipped_weight_loss, clip_low=0.1, clip_high=0.1)
    assert bool((gradient[MASK] != 0).all())


ENTROPY = torch.tensor([[0.1, 0.9, torch.nan], [0.5, 0.3, 0.7]], dtype=torch.float64)


@pytest.mark.parametrize(("share", "kept"), [(0.2, 1), (0.4, 2), (0.6, 3), (1.0, 5)])
def test_forking_tokens_are_the_top_of_the_whole_batch(share, kept):
    found = entropy_quantile(OLD, OLD, ADVANTAGE, MASK, entropy=ENTROPY, share=share)["entropy_threshold"]
    assert found.shape == (2,)
    assert found[0] == torch.quantile(ENTROPY[MASK], 1 - share)
    weight = forking_weight(OLD, ADVANTAGE, MASK, entropy=ENTROPY, entropy_threshold=found)
    assert int(weight.sum()) == kept
    assert set(ENTROPY[weight.bool()].tolist()) == set(sorted(ENTROPY[MASK].tolist())[-kept:])
    # each row alone would pick at least one token of its own: another choice
    alone = [entropy_quantile(x[None], x[None], x[None, 0], m[None], entropy=x[None], share=share)
             for x, m in zip(ENTROPY, MASK, strict=True)]  # fmt: skip
    if share == 0.2:
        assert len({float(a["entropy_threshold"]) for a in alone}) == 2


def test_the_dropped_tokens_still_count_in_the_mean():
    streams = {"mask": MASK, "advantage": ADVANTAGE, "entropy": ENTROPY, "logp_old": OLD}
    logp = OLD.clone().requires_grad_(True)
    objective("forking_tokens").loss(logp=logp, **streams).value.backward()
    assert int((logp.grad != 0).sum()) == 1
    assert float(logp.grad[0, 1]) == pytest.approx(-2.0 / 5)  # five tokens, one of them kept


def test_covariance_by_hand():
    a, s = torch.tensor([2.0, 2.0, -1.0, -1.0, -1.0]), torch.tensor([-1.0, -2.0, -0.5, -1.5, -2.5])
    got = token_covariance(OLD, ADVANTAGE, MASK)
    expected = ((a - a.mean()) * (s - s.mean())).double()
    torch.testing.assert_close(got[MASK], expected)
    assert got[0, 2] == -torch.inf


def test_clip_cov_draws_by_seed_within_the_band():
    g = torch.Generator().manual_seed(0)
    logp = -3 * torch.rand(40, 50, generator=g)
    advantage, mask = torch.randn(40, generator=g), torch.rand(40, 50, generator=g) < 0.7
    numbers = {"share": 0.01, "cov_low": 0.5, "cov_high": 2.0}
    keeps = [choose_clip_cov(logp, logp, advantage, mask, seed=s, **numbers)["token_keep"] for s in (3, 3, 4)]
    assert torch.equal(keeps[0], keeps[1])
    assert not torch.equal(keeps[0], keeps[2])
    covariance = token_covariance(logp, advantage, mask)[~keeps[0]]
    assert len(covariance) == int(0.01 * int(mask.sum()))
    assert covariance.min() > 0.5
    assert covariance.max() < 2.0
    torch.manual_seed(99)  # the global generator plays no part
    assert torch.equal(choose_clip_cov(logp, logp, advantage, mask, seed=3, **numbers)["token_keep"], keeps[0])


def test_clip_cov_takes_tokens_of_bad_answers_too():
    """At ratio 1 the clip removes nobody's gradient, so of two tokens in the band each is drawn by some seed."""
    logp, mask = torch.tensor([[-1.0], [-5.0]]), torch.ones(2, 1, dtype=torch.bool)
    keeps = [choose_clip_cov(logp, logp, torch.tensor([1.0, -1.0]), mask, seed=s)["token_keep"].flatten().tolist() for s in range(20)]
    assert {tuple(k) for k in keeps} == {(True, False), (False, True)}


def test_clip_cov_takes_no_token_that_the_clip_has_taken():
    logp, advantage = torch.tensor([[-1.0], [-1.2], [-9.0]]), torch.tensor([2.0, 1.9, -5.0])
    mask = torch.ones(3, 1, dtype=torch.bool)
    old = logp - torch.tensor([[0.5], [0.0], [0.0]])  # the first ratio is 1.65: bound
    free = [choose_clip_cov(logp, old, advantage, mask, seed=s, cov_high=99.0)["token_keep"][0, 0] for s in range(20)]
    assert all(free)


def test_kl_cov_acts_from_the_second_step_on():
    chosen = choose_kl_cov(OLD, OLD, ADVANTAGE, MASK, share=0.4)["token_penalised"]
    assert int(chosen.sum()) == 2
    logp = OLD.clone().requires_grad_(True)
    with_penalty, _ = kl_cov_loss(logp, OLD, ADVANTAGE, MASK, token_penalised=chosen)
    (gradient,) = torch.autograd.grad(with_penalty.sum(), logp)
    torch.testing.assert_close(gradient, torch.where(MASK, -ADVANTAGE[:, None], 0.0))
    matrix, gradient, _ = run(kl_cov_loss, token_penalised=chosen, penalty=3.0)
    plain = torch.where(MASK, -SHIFT.exp() * ADVANTAGE[:, None], 0.0)
    torch.testing.assert_close(matrix, plain + 3.0 * SHIFT.abs() * chosen)
    torch.testing.assert_close(gradient, plain + 3.0 * SHIFT.sign() * chosen)


def test_entropy_bonus_pulls_entropy_up():
    entropy = ENTROPY.clone().requires_grad_(True)
    matrix, stats = entropy_bonus(OLD, MASK, entropy=entropy, coefficient=0.5)
    (gradient,) = torch.autograd.grad(matrix.sum(), entropy)
    assert torch.equal(gradient, torch.where(MASK, -0.5, 0.0).double())
    assert stats["entropy_bonus"] == pytest.approx(0.5 * 0.5)
    assert mean_entropy(ENTROPY, MASK) == pytest.approx(0.5)


def test_the_coefficient_follows_the_entropy():
    control = AdaptiveCoefficient(target=0.2, delta=0.4, high=1.0)
    assert control.applied == 0.0
    seen = []
    for entropy in (0.1, 0.2, 0.1, 0.3, 0.1):
        control.observe(entropy)
        seen.append((round(control.coefficient, 6), round(control.applied, 6)))
    assert seen == [(0.4, 0.4), (0.8, 0.8), (1.0, 1.0), (0.6, 0.0), (1.0, 1.0)]


def test_the_objective_remembers_its_coefficient():
    first = objective("adaptive_entropy", target=0.6, delta=0.1)
    streams = {"logp": OLD, "mask": MASK, "advantage": ADVANTAGE, "entropy": ENTROPY}
    assert first.loss(**streams).stats["entropy_coefficient"] == 0.0
    first.observe(entropy=ENTROPY, mask=MASK, reward=[1.0, 0.0])
    after = first.loss(**streams)
    assert after.stats["entropy_coefficient"] == 0.1
    second = objective("adaptive_entropy", target=0.6, delta=0.1)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.loss(**streams).value, after.value)
    with pytest.raises(ValueError, match="expected state coefficient, last_entropy, got keys counts"):
        second.load_state_dict({"counts": 1})
    with pytest.raises(ValueError, match="objective 'adaptive_entropy' needs entropy, mask, which it was not given"):
        second.observe(reward=[1.0])


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: objective("cispo", clip_low=1.5), "0 <= clip_low <= 1"),
        (lambda: objective("gspo", clip_high=-1.0), "clip_high >= 0"),
        (lambda: objective("forking_tokens", share=0.0), r"share: expected a number in \(0, 1\], got 0.0"),
        (lambda: objective("clip_cov", cov_low=5.0), "expected cov_low < cov_high, got 5.0 and 5.0"),
        (lambda: objective("clip_cov", share=2), r"share: expected a number in \(0, 1\]"),
        (lambda: objective("kl_cov", penalty=-1), "penalty: expected a number >= 0, got -1"),
        (lambda: objective("entropy_bonus", coefficient=-0.1), "coefficient: expected a number >= 0"),
        (lambda: objective("adaptive_entropy", target=-1), "target, delta: expected numbers >= 0"),
        (lambda: objective("adaptive_entropy", start=2.0), "expected 0 <= low <= start <= high"),
        (lambda: objective("dapo", max_tokens=9), "max_tokens and buffer: give both or neither, got 9 and None"),
        (lambda: objective("dapo", max_tokens=9, buffer=12), "expected 0 < buffer <= max_tokens, got 12 and 9"),
        (lambda: objective("dapo", deviation="batch"), "deviation: expected 'sample' or 'population'"),
        (lambda: AdaptiveCoefficient(target=0.2, delta=0.1).observe(float("nan")), "entropy: expected a finite mean"),
        (
            lambda: objective("clip_cov").loss(logp=OLD, mask=MASK, advantage=ADVANTAGE),
            "objective 'clip_cov' needs seed, which it was not given:\n  seed: int; decides",
        ),
        (
            lambda: objective("forking_tokens").loss(logp=OLD, mask=MASK, advantage=ADVANTAGE),
            "objective 'forking_tokens' needs entropy",
        ),
        (lambda: objective("kl_cov").coupling(logp=OLD, mask=MASK), "objective 'kl_cov' needs advantage"),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_covariance_with_an_advantage_of_its_own_for_each_token():
    advantage = torch.tensor([[1.0, -1.0, 3.0], [0.5, 2.0, 0.0]])
    logp, mask = torch.tensor([[-1.0, -2.0, -4.0], [-0.5, -3.0, 0.0]]), torch.tensor([[True, True, True], [True, True, False]])
    a, p = advantage[mask], logp[mask]
    expected = (p - p.mean()) * (a - a.mean())
    assert torch.allclose(token_covariance(logp, advantage, mask)[mask], expected, atol=1e-6)


def test_statistics_of_a_sequence_ratio_are_means_over_tokens():
    logp, mask = torch.tensor([[0.3, 0.3, 0.3], [-0.6, 0.0, 0.0]]), torch.tensor([[True, True, True], [True, False, False]])
    _, stats = sequence_clip_loss(logp, torch.zeros(2, 3), torch.ones(2), mask)
    ratio = torch.tensor([0.3, 0.3, 0.3, -0.6]).exp()  # of each token's sequence
    assert float(stats["ratio"]) == pytest.approx(float(ratio.mean()))
    assert float(stats["kl_old"]) == pytest.approx(float((ratio - 1 - ratio.log()).mean()), rel=1e-5)
    assert float(stats["clip_share"]) == 0.75  # the first one's, which would rise further
