"""The diversity methods as a whole: what they log, what they refuse, and how they compare with GRPO on one batch."""

import warnings

import pytest
import torch

from breadth import objective

GENERATOR = torch.Generator().manual_seed(2)
STREAMS = {
    "reward": torch.tensor([1.0] * 5 + [0.0] * 3 + [torch.nan]),
    "group": torch.zeros(9, dtype=torch.int64),
    "correct": torch.tensor([True] * 5 + [False] * 4),
    "kind": torch.tensor([0, 0, 0, 0, 1, 2, 3, 3, 4]),
    "seq_logp": -10 * torch.rand(9, generator=GENERATOR),
    "length": torch.randint(1, 6, (9,), generator=GENERATOR),
    "reward_vector": torch.rand(9, 3, generator=GENERATOR),
    "prediction_error": torch.rand(9, 2, generator=GENERATOR),
    "mask": torch.ones(9, 2, dtype=torch.bool),
    "in_top_k": torch.tensor([[True, False]] * 9),
}


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("gapo", {}, {"frequency_reward": 0.8 - (16 + 1 - 5) / 25}),
        ("unlikeliness", {}, {"dropped_share": 0.0}),
        ("vpo", {}, {"spare_share": None, "contribution": None}),
        ("curiosity", {"beta": 0}, {"curiosity_token_share": 0.5, "curiosity_deviation": None}),
        ("pass_at_k", {"k": 2}, {"passed_share": 0.0, "small_group_share": 0.0}),
        ("pass_at_k", {"k": 4}, {"passed_share": 1.0, "small_group_share": 0.0, "zero_advantage_share": 1.0}),
        ("pass_at_k", {"k": 9}, {"passed_share": 0.0, "small_group_share": 1.0}),
        ("psr", {}, {"pushed_up_share": 5 / 8, "pushed_down_share": 0.0, "advantage_mean": 5 / 8}),
        ("nsr", {}, {"pushed_up_share": 0.0, "pushed_down_share": 3 / 8, "advantage_mean": -3 / 8}),
        ("w_reinforce", {}, {"pushed_up_share": 5 / 8, "pushed_down_share": 3 / 8, "advantage_mean": (0.5 - 3) / 8}),
        ("ucpo", {}, {"redistributed_share": 5 / 8, "redistributed_size": None}),
        ("batch_exploration", {}, {"repetition_penalty": 0.1 * (4 * 3 / 8 + 2 * 1 / 8) / 8}),
    ],
)
def test_statistics(name, settings, expected):
    if name == "gapo":  # Σ over valid of 1 − f: four with f = 4/5, one with f = 1/5
        expected = {"frequency_reward": (4 * 0.2 + 0.8) / 5}
    _, stats = objective(name, **settings).shape(**STREAMS)
    assert stats["n_unscored"] == 1
    for key, value in expected.items():
        assert isinstance(stats[key], float)
        if value is not None:
            assert stats[key] == pytest.approx(value, rel=1e-5), key


def test_weightless_forms_are_grpo():
    grpo = objective("grpo").advantage(**STREAMS)
    for name, settings in (
        ("unlikeliness", {"weight": 0.0}),
        ("ucpo", {"tau": 0.0}),
        ("batch_exploration", {"weight": 0.0}),
        ("ucb", {"weight": 0.0}),
    ):
        memory = {"prompt_id": STREAMS["group"], "key": STREAMS["kind"]}
        torch.testing.assert_close(objective(name, **settings).advantage(**STREAMS, **memory), grpo)


def test_pass_at_1_is_grpo_with_population_deviation():
    a = objective("pass_at_k", k=1).advantage(**STREAMS)
    torch.testing.assert_close(a, objective("grpo", deviation="population", eps=0.0).advantage(**STREAMS))


def test_weighted_reinforce_is_positive_plus_negative():
    psr, nsr, weighted = (objective(name).advantage(**STREAMS) for name in ("psr", "nsr", "w_reinforce"))
    torch.testing.assert_close(weighted, 0.1 * psr + nsr)


def test_curiosity_without_weight_is_a_centred_reward():
    a = objective("curiosity", eta=0.0, beta=0.0).advantage(**STREAMS)
    torch.testing.assert_close(a, objective("dr_grpo").advantage(**STREAMS))


def test_unlikeliness_recommends_two_epochs():
    assert objective("unlikeliness").recommended["inner_epochs"] == 2


def test_qempo_warns_when_its_term_follows_length():
    streams = {k: STREAMS[k] for k in ("reward", "group", "correct")}
    length = torch.arange(1, 10)
    streams |= {"seq_logp": -2.0 * length, "length": length}
    with pytest.warns(UserWarning, match=r'the entropy term follows length .* use length_norm="per_token"'):
        _, stats = objective("qempo").shape(**streams)
    assert stats["entropy_term_follows_length"] == 1.0
    assert stats["entropy_term_length_r"] > 0.99
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, stats = objective("qempo").shape(**{**streams, "seq_logp": STREAMS["seq_logp"]})
        assert stats["entropy_term_follows_length"] == 0.0
        objective("qempo", length_norm="per_token").shape(**{**streams, "seq_logp": -1.0 * length * length})


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("gapo", {"n_answers": 0}, "n_answers: expected an integer >= 1 or None, got 0"),
        ("unlikeliness", {"weight": 2}, r"weight: expected a number in \[0, 1\], got 2"),
        ("unlikeliness", {"beta": -1}, "beta: expected a number >= 0, got -1"),
        ("vpo", {"alpha": -1}, "alpha: expected a number > 0, got -1"),
        ("curiosity", {"eta": -1}, "eta: expected a number >= 0, got -1"),
        ("pass_at_k", {"k": 0}, "k: expected an integer >= 1, got 0"),
        ("w_reinforce", {"positive": -1}, "positive: expected a number >= 0, got -1"),
        ("ucpo", {"tau": 2}, r"tau: expected a number in \[0, 1\], got 2"),
        ("ucb", {"variant": "max"}, "variant: expected one of con, mean, plain, got 'max'"),
        ("batch_exploration", {"penalise": "none"}, "penalise: expected one of all, wrong, got 'none'"),
        ("reinvent_filter", {"host": "ppo"}, "host: expected one of reinvent, grpo, got 'ppo'"),
        ("reinvent_filter", {"sigma": 0}, "sigma: expected a number > 0, got 0"),
        ("reinvent_filter", {"penalty": "cubic"}, "penalty: expected one of step, linear"),
    ],
)
def test_bad_numbers_are_refused_when_the_objective_is_made(name, settings, text):
    with pytest.raises(ValueError, match=text):
        objective(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "needs"),
    [
        ("ucpo", {"level": "sequence"}, ("reward", "group", "correct", "seq_logp")),
        ("unlikeliness", {"level": "per_token", "beta": 0.0}, ("reward", "group", "seq_logp", "length")),
        ("batch_exploration", {"penalise": "wrong"}, ("reward", "group", "kind", "correct")),
        ("curiosity", {"beta": 0}, ("reward", "group", "prediction_error", "in_top_k", "mask")),
        ("reinvent_filter", {"host": "grpo"}, ("reward", "group", "prompt_id", "key")),
    ],
)
def test_needs_follow_the_settings(name, settings, needs):
    assert objective(name, **settings).needs == needs
