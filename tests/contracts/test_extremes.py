"""Extreme numbers, in the float32 that runs compute in: what can be finite is, and what cannot is said to be.

Cannot: the k3 estimate of a token that the policy has lost by 10,000 nats is e^10000, and the square of a reward of 1e30 is 1e60.
There the loss is infinite, and an update refuses itself (``tests/engine``).
"""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from objective_variants import VARIANTS, advantage, batch, loss, make

from breadth.losses.tokens import ppo_clip_loss, saturating_exp
from breadth.tensors.groups import group_deviation

FAR = torch.tensor(-1e4)


def single(streams):
    return {k: (v.float() if k != "seed" and v.is_floating_point() else v) for k, v in streams.items()}


def some_tokens(streams):
    chosen = torch.zeros_like(streams["mask"])
    chosen[::3, 0] = True
    return chosen


def far_away(s):
    return s | {name: s[name] - 1e4 for name in ("logp", "logp_old", "logp_ref")}


def lost(s):
    return s | {"logp": torch.where(some_tokens(s), FAR, s["logp"])}


def found(s):
    return s | {"logp_old": torch.where(some_tokens(s), FAR, s["logp_old"])}


def reference_lost(s):
    return s | {"logp_ref": torch.where(some_tokens(s), FAR, s["logp_ref"])}


def huge_rewards(s):
    return s | {"reward": 2e30 * s["reward"] - 1e30, "reward_vector": 1e30 * s["reward_vector"]}


def all_equal(s):
    return s | {"reward": torch.full_like(s["reward"], 0.1), "correct": torch.zeros_like(s["correct"])}


def all_alone(s):
    return s | {"group": torch.arange(20), "log_z": torch.arange(20) / 10}


def some_empty(s):
    mask = s["mask"].clone()
    mask[::4] = False
    return s | {"mask": mask}


def long_answers(s, length=8192):
    generator = torch.Generator().manual_seed(1)
    noise = torch.rand(8, 20, length, generator=generator)
    more = dict(zip(("value", "value_old", "value_target", "prediction_error", "entropy"), noise[:5], strict=True))
    more["value_target"] = more["value_target"].masked_fill(torch.isnan(s["reward"])[:, None], torch.nan)
    old = -3 * noise[5]
    more |= {"logp_old": old, "logp": old + 0.05 * (noise[6] - 0.5), "logp_ref": old + 0.2 * (noise[7] - 0.5)}
    return s | more | {"mask": torch.ones(20, length, dtype=torch.bool), "in_top_k": noise[4] < 0.5}


CASES = {case.__name__: case for case in (
    far_away, lost, found, reference_lost, huge_rewards, all_equal, all_alone, some_empty,
)}  # fmt: skip
#: with the reward's square in the loss; with k3 in the loss
SQUARES = ("reinvent", "gvpo", "qempo_squares", "qempo_kl_squares", "trajectory_balance", "ahc", "molrl_mgpt", "flowrl", "hill_climb")
SHOWN = ("grpo", "gspo", "qempo", "reinvent", "ppo")  # in every run of the tests; the others in the nightly one
K3 = ("unlikeliness", "grpo-kl", "rlhf-k3", "darling-zscore", "ppo-kl")


def cannot_be_finite(variant: str, case: str) -> bool:
    if case == "huge_rewards":
        return make(variant).family == "group" and variant.split("-")[0] in SQUARES
    return case == "lost" and variant in K3


def check(variant: str, case: str, streams: dict) -> None:
    objective = make(variant)
    streams = streams | {"logp": streams["logp"].clone().requires_grad_()}
    given_to = {k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in streams.items()}
    shaped = advantage(objective, given_to)
    assert torch.isfinite(shaped).all()
    if case == "huge_rewards":
        exact = advantage(make(variant), {k: v.double() if k != "seed" and v.is_floating_point() else v for k, v in given_to.items()})
        torch.testing.assert_close(shaped.double(), exact, rtol=1e-4, atol=1e-4 * float(exact.abs().max()))
    if cannot_be_finite(variant, case):
        return
    result = loss(objective, streams)
    assert torch.isfinite(result.value)
    assert all(value is None or abs(float(value)) < torch.inf for value in result.stats.values()), result.stats
    if result.value.requires_grad:
        (gradient,) = torch.autograd.grad(result.value, streams["logp"], allow_unused=True)
        assert gradient is None or torch.isfinite(gradient).all()
        assert gradient is None or gradient[~streams["mask"]].abs().sum() == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_extreme_numbers_stay_finite(variant):
    for case, change in CASES.items():
        check(variant, case, change(single(batch())))


@pytest.mark.parametrize("variant", [v if v in SHOWN else pytest.param(v, marks=pytest.mark.nightly) for v in VARIANTS])
def test_answers_of_8192_tokens_stay_finite(variant):
    check(variant, "long_answers", long_answers(single(batch())))


def test_a_batch_of_empty_answers_is_refused_by_name():
    streams = batch() | {"mask": torch.zeros_like(batch()["mask"])}
    with pytest.raises(ValueError, match="mask: expected at least one kept token, got none"):
        loss(make("grpo"), streams)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mixture_of_extremes(data):
    one_mixture(data)


@pytest.mark.nightly
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mixture_of_extremes_in_many_cases(data):
    one_mixture(data)


def one_mixture(data) -> None:
    """Any objective of the catalogue, any scale of reward, any offset of log-probabilities, any groups, any mask, any seed."""
    variant = data.draw(st.sampled_from(list(VARIANTS)))
    s = single(batch(data.draw(st.integers(0, 50)), unscored=data.draw(st.booleans())))
    scale = data.draw(st.sampled_from([0.0, 1e-30, 1e-6, 1.0, 1e6, 1e12]))
    offset = data.draw(st.sampled_from([0.0, -1.0, 1.0, 1e6] if scale <= 1e6 else [0.0, -1.0, 1.0]))
    s["reward"] = scale * (s["reward"] + offset)
    s["group"] = torch.randint(0, data.draw(st.integers(1, 20)), (20,), generator=torch.Generator().manual_seed(data.draw(st.integers(0, 9))))
    s["log_z"] = s["group"] / 10
    s["prompt_id"] = s["group"] % 3
    down = data.draw(st.sampled_from([0.0, 30.0, 1e3, 1e4]))
    s |= {name: s[name] - down for name in ("logp", "logp_old", "logp_ref")}
    moved = data.draw(st.sampled_from([0.0, 1e-3, 5.0, 50.0] if scale <= 1 and offset <= 1 else [0.0, 1e-3, 5.0]))
    s["logp"] = s["logp"] + moved * torch.sign(s["entropy"] - 0.5)
    row = data.draw(st.integers(0, 19))
    s["mask"][row] = False
    check(variant, "mixture", s)


def test_a_ratio_that_overflows_has_the_gradient_that_the_clip_gives_it():
    logp = torch.tensor([[0.0], [0.0]], requires_grad=True)
    old, kept = torch.full((2, 1), -1e4), torch.ones(2, 1, dtype=torch.bool)
    matrix, stats = ppo_clip_loss(logp, old, torch.tensor([1.0, 1.0]), kept)
    matrix.sum().backward()
    assert matrix.flatten().tolist() == pytest.approx([-1.2, -1.2]) and logp.grad.abs().sum() == 0
    assert stats["ratio"] > 1e20 and stats["clip_share"] == 1.0
    down = torch.tensor([[0.0]], requires_grad=True)  # the twin: a negative advantage is not clipped, and still pushes down
    ppo_clip_loss(down, old[:1], torch.tensor([-1.0]), kept[:1])[0].sum().backward()
    assert 1e20 < float(down.grad) < torch.inf


def test_ratios_that_fit_are_those_of_exp_bit_for_bit():
    for kind in (torch.float32, torch.float64):
        x = torch.linspace(-200, 60, 1001, dtype=kind)
        assert torch.equal(saturating_exp(x), x.exp())


def test_deviations_of_huge_rewards():
    values = torch.tensor([1e30, -1e30, 1.0, 3.0])
    group = torch.tensor([0, 0, 1, 1])
    assert group_deviation(values, group, ddof=0).tolist() == pytest.approx([1e30, 1e30, 1.0, 1.0])
    assert torch.isinf((values - values.mean()).square().sum())  # the twin: what a plain square would give
