"""What the contracts ask of ``logp``, asked of the value head's output: padding, finite differences, unscored rows, parts."""

import pytest
import torch
from objective_variants import VARIANTS, advantage, batch, loss, make, select

CRITICS = [variant for variant in VARIANTS if make(variant).family == "actor_critic"]
VALUES = ("value", "value_old", "value_target", "logp", "logp_old")


def run(objective, streams, **given):
    value = streams["value"].clone().requires_grad_(True)
    result = loss(objective, {**streams, "value": value}, **given)
    result.value.backward()
    return result, value.grad


def test_there_are_some():
    assert {"ppo", "ppo-plain", "ppo-kl"} <= set(CRITICS)


@pytest.mark.parametrize("variant", CRITICS)
@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -1e30])
def test_padding_never_reaches_the_value(variant, poison):
    objective, streams = make(variant), batch()
    fill = lambda x: {k: v.masked_fill(~streams["mask"], x) if k in VALUES else v for k, v in streams.items()}  # noqa: E731
    clean, clean_grad = run(objective, fill(0.0))
    dirty, dirty_grad = run(objective, fill(poison))
    assert torch.equal(clean.value, dirty.value)
    assert torch.equal(clean_grad, dirty_grad)
    assert dirty_grad[~streams["mask"]].abs().max() == 0
    targets = [objective.targets(**{k: v for k, v in fill(x).items() if k != "logp"}) for x in (0.0, poison)]
    assert torch.equal(*(t.nan_to_num(nan=-77.0) for t in targets))
    assert not targets[0].requires_grad


@pytest.mark.parametrize("variant", CRITICS)
@pytest.mark.parametrize("seed", [0, 1])
def test_finite_differences_of_the_value(variant, seed):
    objective, streams = make(variant), batch(seed)
    given = {"advantage": advantage(objective, streams)}

    def scalar(value):
        return loss(objective, {**streams, "value": value}, **given).value

    assert torch.autograd.gradcheck(scalar, streams["value"].clone().requires_grad_(True), eps=1e-6, atol=1e-7)


@pytest.mark.parametrize("variant", CRITICS)
def test_unscored_rollouts_have_no_part_in_policy_or_value(variant):
    objective, streams = make(variant), batch()
    unscored = torch.isnan(streams["reward"])
    logp = streams["logp"].clone().requires_grad_(True)
    streams["value_target"] = objective.targets(**{k: v for k, v in streams.items() if k != "logp"})
    assert bool(torch.isnan(streams["value_target"][unscored][streams["mask"][unscored]]).all())
    _, grad = run(objective, {**streams, "logp": logp})
    assert grad[unscored].abs().max() == 0
    assert logp.grad[unscored].abs().max() == 0
    assert grad[~unscored].abs().max() > 0


@pytest.mark.parametrize("variant", CRITICS)
def test_micro_batches_sum_to_the_whole_in_the_value(variant):
    objective, streams = make(variant), batch()
    given = {"advantage": advantage(objective, streams)}
    _, expected = run(objective, streams, **given)
    denominator = objective.denominator(**{name: streams[name] for name in ("mask", "group", "reward")})
    got = torch.zeros_like(expected)
    for rows in torch.arange(20).split([3, 9, 1, 7]):
        _, got[rows] = run(objective, select(streams, rows), denominator=denominator, advantage=given["advantage"][rows])
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
