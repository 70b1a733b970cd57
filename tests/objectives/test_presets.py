"""Named methods by hand: what each does with one small batch, and what its options change."""

import pytest
import torch

from breadth import objective

R = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 1.0])
G = torch.tensor([0, 0, 0, 0, 1, 1])
LOGP = -torch.rand(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=torch.bool)
ONES = MASK.double()


def gradient(name, advantage, **settings):
    """−∂loss/∂logp divided by the advantage: the weight that the objective gives to each token."""
    logp = LOGP.clone().requires_grad_(True)
    objective(name, **settings).loss(logp=logp, mask=MASK, advantage=advantage).value.backward()
    return -logp.grad / advantage[:, None]


def test_grpo_by_hand():
    got = objective("grpo").advantage(reward=R, group=G)
    four, two = (1 / 3) ** 0.5 + 1e-4, 0.5**0.5 + 1e-4
    expected = torch.tensor([0.5 / four, -0.5 / four, 0.5 / four, -0.5 / four, -0.5 / two, 0.5 / two])
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(-got, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "weight"),
    [
        ("grpo", {}, ONES / ONES.sum(1, keepdim=True) / 6),
        ("grpo", {"aggregation": "token_mean"}, ONES / ONES.sum()),
        ("dr_grpo", {}, ONES / 6),
        ("dr_grpo", {"max_tokens": 4}, ONES / 24),
        ("rloo", {}, ONES / 6),
        ("reinforce", {}, ONES / 6),
        ("ppo_clip", {}, ONES / ONES.sum()),
        ("darling", {}, ONES / ONES.sum()),
        ("qempo", {}, ONES / 6),
    ],
)
def test_weight_of_each_token(name, settings, weight):
    got = gradient(name, torch.tensor([1.0, -1.0, 2.0, -3.0, 0.5, 1.0]), **settings)
    torch.testing.assert_close(got, weight, rtol=0, atol=1e-9)


def test_rloo_is_a_scaled_dr_grpo():
    a, b = (objective(name).advantage(reward=R[:4], group=G[:4]) for name in ("rloo", "dr_grpo"))
    torch.testing.assert_close(a, b * 4 / 3)


def test_ppo_clip_has_unit_deviation_and_recommends_several_epochs():
    method = objective("ppo_clip")
    assert method.advantage(reward=R, group=G).std().item() == pytest.approx(1.0)
    assert method.recommended == {"inner_epochs": 4, "minibatches": 4}
    assert objective("grpo").recommended == {"inner_epochs": 1, "minibatches": 1}


def test_reinvents_advantage_form_has_the_direction_of_its_loss():
    ref, sigma = LOGP.flip(0), 4.0
    for centre in (False, True):
        method = objective("reinvent", sigma=sigma, centre=centre)
        logp = LOGP.clone().requires_grad_(True)
        streams = {"reward": R, "group": G, "logp_ref": ref}
        method.loss(logp=logp, mask=MASK, **streams).value.backward()
        advantage = method.advantage(**streams, logp_old=LOGP, mask=MASK)
        members = torch.where(G == 0, 3.0, 1.0) * 2 if centre else 6.0  # (G − 1) of two groups, or N
        expected = -(2 * sigma * advantage / members)[:, None] * MASK
        torch.testing.assert_close(logp.grad, expected.double(), rtol=0, atol=1e-6)


def test_darling_equals_dr_grpo_if_all_say_something_else():
    a = objective("darling").advantage(reward=R, group=G, kind=torch.arange(6))
    torch.testing.assert_close(a, objective("dr_grpo").advantage(reward=R, group=G))


def test_weightless_terms_leave_dr_grpo():
    plain = objective("dr_grpo").advantage(reward=R, group=G)
    streams = {"reward": R, "group": G, "correct": R > 0, "seq_logp": -R - 2, "seq_logp_ref": 3 * R}
    for name, settings in (
        ("qempo", {"inv_lambda": 0}),
        ("qempo_kl", {"inv_lambda1": 0, "ratio": 0}),
        ("rlhf", {"beta": 0}),
    ):
        torch.testing.assert_close(objective(name, **settings).advantage(**streams), plain)


def test_statistics_of_the_shaping():
    generator = torch.Generator().manual_seed(2)
    reward = torch.tensor([1.0] * 6 + [0.0] * 2 + [torch.nan])
    streams = {
        "reward": reward,
        "group": torch.zeros(9, dtype=torch.int64),
        "correct": reward == 1,
        "kind": torch.tensor([0] * 5 + [1, 2, 3, 4]),
        "seq_logp": -10 * torch.rand(9, generator=generator),
        "seq_logp_ref": -10 * torch.rand(9, generator=generator),
    }
    streams["length"] = (-10 * streams["seq_logp"]).long()
    _, stats = objective("darling").shape(**streams)
    assert stats["n_unscored"] == 1
    assert stats["diversity_factor"] == pytest.approx((5 * 3 / 7 + 3) / 8)
    assert stats["diversity_floor_share"] == stats["quality_mapped"] == 0
    advantage, stats = objective("qempo").shape(**streams)
    assert stats["inv_lambda"] > 0
    assert stats["entropy_term_share"] == pytest.approx(6 / 8)
    assert stats["inv_lambda"] * stats["entropy_term_deviation"] == pytest.approx(0.5 * (3 / 16) ** 0.5, rel=1e-5)
    assert stats["entropy_term_length_r"] > 0.99  # here −s is a bonus for length
    assert stats["advantage_deviation"] == pytest.approx(advantage[:8].std(correction=0).item())
    assert objective("qempo_kl", inv_lambda1=0.5).shape(**streams)[1]["inv_lambda1"] == 0.5
    _, stats = objective("rlhf").shape(**streams)
    gap = (streams["seq_logp"] - streams["seq_logp_ref"])[:8]
    assert stats["kl_prior"] == pytest.approx(gap.mean().item(), rel=1e-5)
    _, stats = objective("dr_grpo").shape(**{**streams, "reward": torch.ones(9)})
    assert stats["zero_advantage_share"] == 1
    assert all(isinstance(value, float) for value in stats.values())


@pytest.mark.parametrize(
    ("name", "settings", "needs"),
    [
        ("darling", {"measure": "mean_distance", "neighbours": "correct"}, ("reward", "group", "distance", "correct")),
        ("qempo", {"mask": "none", "length_norm": "per_token"}, ("reward", "group", "seq_logp", "length")),
        ("rlhf", {"kl": "k3_loss"}, ("reward", "group", "logp_ref")),
        ("grpo", {"beta": 0.1}, ("reward", "group", "logp_ref")),
    ],
)
def test_needs_follow_the_settings(name, settings, needs):
    assert objective(name, **settings).needs == needs


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("reinforce", {"baseline": "median"}, "baseline: expected 'mean' or 'none', got 'median'"),
        ("grpo", {"deviation": "batch"}, "deviation: expected 'sample' or 'population', got 'batch'"),
        ("dr_grpo", {"max_tokens": 0}, "max_tokens: expected an integer >= 1 or None, got 0"),
        ("rlhf", {"kl": "k1"}, "kl: expected one of advantage, k3_loss, got 'k1'"),
        ("rlhf", {"beta": -1}, "beta: expected a number >= 0, got -1"),
        ("reinvent", {"sigma": 0}, "sigma: expected a number > 0, got 0"),
        ("qempo", {"inv_lambda": "automatic"}, "inv_lambda: expected a number >= 0 or 'auto', got 'automatic'"),
        ("qempo", {"mask": "all"}, "mask: expected one of correct_subset, none, group_all_correct, got 'all'"),
        ("qempo_kl", {"ratio": -0.1}, "ratio: expected a number >= 0, got -0.1"),
        ("darling", {"floor": 1.5}, r"floor: expected a number in \[0, 1\], got 1.5"),
        ("darling", {"combine": "sum"}, "combine: expected one of multiply, add_zscore, got 'sum'"),
        ("ppo_clip", {"clip_low": 1.5}, "expected 0 <= clip_low < 1"),
        ("grpo", {"eps": -1}, "eps: expected a number >= 0, got -1"),
        ("grpo", {"aggregation": "mean"}, "aggregation: expected one of token_mean"),
    ],
)
def test_bad_numbers_are_refused_when_the_objective_is_made(name, settings, text):
    with pytest.raises(ValueError, match=text):
        objective(name, **settings)
