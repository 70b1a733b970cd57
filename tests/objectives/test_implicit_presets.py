"""The presets of the implicit-reward family: published settings, and the identities between methods with other names."""

import pytest
import torch

from breadth import objective

G = torch.Generator().manual_seed(0)
S = dict(zip(("chosen", "rejected", "ref_chosen", "ref_rejected"), -9 * torch.rand(4, 8, generator=G).double(), strict=True))
LENGTHS = {"chosen_length": torch.arange(1, 9), "rejected_length": torch.arange(8, 0, -1)}
GROUP = torch.tensor([3, 3, 3, 0, 0, 0, 0, 5])
REWARD = torch.tensor([1.0, 0.0, torch.nan, 0.2, 0.9, 0.4, 0.4, 1.0], dtype=torch.float64)
LOGP = -3 * torch.rand(8, 4, generator=G, dtype=torch.float64)
MASK = torch.arange(4) < torch.tensor([4, 1, 2, 3, 4, 2, 1, 3])[:, None]
ROLLOUTS = {"reward": REWARD, "group": GROUP, "logp_ref": LOGP.flip(0), "logp_old": LOGP - 0.1}


def pair(name, **settings):
    return objective(name, **settings).loss(**S, **LENGTHS).matrix


def squares(name, **settings):
    return objective(name, **settings).loss(logp=LOGP, mask=MASK, **ROLLOUTS)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (("dpo", {"beta": 0.3}), ("spl", {"alpha": 0.3, "beta": 0.3})),
        (("qempo_pairs", {"inv_lambda": 0.3}), ("cpo", {"beta": 0.3, "alpha": 0.0})),
        (("qempo_pairs", {"inv_lambda": 0.3}), ("spl", {"alpha": 0.3, "beta": 0.0})),
        (("qempo_kl_pairs", {"inv_lambda1": 0.2, "ratio": 0.1}), ("spl", {"alpha": 0.3, "beta": 0.1})),
        (("qempo_kl_pairs", {"inv_lambda1": 0.0, "ratio": 0.1}), ("dpo", {"beta": 0.1})),
    ],
)
def test_pairs_under_two_names(a, b):
    torch.testing.assert_close(pair(a[0], **a[1]), pair(b[0], **b[1]), rtol=0, atol=1e-14)


def test_each_has_its_own_paper_settings():
    expected = {
        "dpo": {"a": 0.1, "b": 0.1},
        "ipo": {"a": 0.1, "b": 0.1, "link": "ipo"},
        "simpo": {"a": 2.0, "b": 0.0, "margin": 0.5},
        "cpo": {"a": 0.1, "b": 0.0},
        "spl": {"a": 0.14, "b": 0.1},
        "qempo_pairs": {"a": 4e-3, "b": 0.0},
        "qempo_kl_pairs": {"a": 0.014, "b": 0.01},
    }
    for name, settings in expected.items():
        assert objective(name).piece.settings == settings, name
    assert objective("cpo").likelihood == 1.0


def test_cpo_adds_the_likelihood_of_the_chosen():
    torch.testing.assert_close(pair("cpo", alpha=0.5), pair("cpo", alpha=0.0) - 0.5 * S["chosen"])


def test_statistics_of_pairs():
    stats = objective("dpo").loss(**S).stats
    gap = 0.1 * ((S["chosen"] - S["ref_chosen"]) - (S["rejected"] - S["ref_rejected"]))
    assert stats["margin"] == pytest.approx(float(gap.mean()))
    assert stats["accuracy"] == float((gap > 0).double().mean())
    assert stats["chosen_reward"] - stats["rejected_reward"] == pytest.approx(stats["margin"])


@pytest.mark.parametrize(
    ("a", "b", "factor"),
    [
        (("trajectory_balance", {"beta": 0.25}), ("reinvent", {"sigma": 4.0, "centre": True}), 1.0),
        (("trajectory_balance", {"beta": 0.25}), ("gvpo", {"beta": 0.25}), 2 / 0.25**2),
        (("ahc", {"sigma": 4.0, "share": 1.0}), ("reinvent", {"sigma": 4.0}), 1.0),
    ],
)
def test_squares_under_two_names(a, b, factor):
    torch.testing.assert_close(squares(a[0], **a[1]).value, factor * squares(b[0], **b[1]).value)


def test_qempo_kl_squares_tend_to_qempo_squares():
    near, at = squares("qempo_kl_squares", inv_lambda1=0.3, ratio=1e-9).value, squares("qempo_squares", inv_lambda=0.3).value
    torch.testing.assert_close(near, at)


def test_gvpo_to_the_sampler_forgets_the_prior():
    moved = {**ROLLOUTS, "logp_ref": ROLLOUTS["logp_ref"] * 2}
    for reference, blind in (("old", True), ("prior", False)):
        method = objective("gvpo", reference=reference)
        a = method.loss(logp=LOGP, mask=MASK, **ROLLOUTS).value
        b = method.loss(logp=LOGP, mask=MASK, **moved).value
        assert (a == b) == blind
    assert "seq_logp_ref" not in objective("gvpo", reference="old").needs


@pytest.mark.parametrize("clip_weight", [False, True])
def test_flowrl_by_hand(clip_weight):
    """Its value, and its gradient 2w·δ/|y| with the detached weight held."""
    log_z = torch.tensor([0.4, -0.2, 0.1])[torch.tensor([0, 0, 0, 1, 1, 1, 1, 2])].double().requires_grad_(True)
    logp = LOGP.clone().requires_grad_(True)
    result = objective("flowrl", scale=3.0, clip_weight=clip_weight).loss(logp=logp, mask=MASK, log_z=log_z, **ROLLOUTS)
    scored, length = ~torch.isnan(REWARD), MASK.sum(-1)
    scaled = torch.zeros(8, dtype=torch.float64)
    for label in (3, 0):
        rows = scored & (label == GROUP)
        scaled[rows] = (REWARD[rows] - REWARD[rows].mean()) / (REWARD[rows].std() + 1e-4)
    s, ref = (LOGP * MASK).sum(-1), (ROLLOUTS["logp_ref"] * MASK).sum(-1)
    weight = ((0.1 * MASK).sum(-1)).exp()
    weight = weight.clamp(0.8, 1.2) if clip_weight else weight
    delta = log_z.detach() + (s - ref) / length - 3.0 * scaled
    torch.testing.assert_close(result.matrix.detach(), torch.where(scored, weight * delta**2, 0.0))
    assert float(result.value.detach()) == pytest.approx(float(result.matrix.detach().sum()) / 7)
    result.value.backward()
    slope = torch.where(scored, 2 * weight * delta / 7, 0.0)
    torch.testing.assert_close(log_z.grad, slope)
    torch.testing.assert_close(logp.grad, (slope / length)[:, None] * MASK)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-log_z.grad, slope)


def test_flowrl_says_what_it_lacks():
    with pytest.raises(ValueError, match="objective 'flowrl' needs log_z, which it was not given:\n  log_z: .* value head"):
        objective("flowrl").loss(logp=LOGP, mask=MASK, **ROLLOUTS)
