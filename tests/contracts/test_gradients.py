"""Automatic gradients agree with finite differences in float64; micro-batches sum to the whole batch."""

import pytest
import torch
from objective_variants import VARIANTS, advantage, batch, loss, make, select


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_finite_differences(variant, seed):
    objective = make(variant)
    if objective.name in ("cispo", "flowrl"):
        pytest.skip("a detached ratio weighs this loss: its gradient is tested with the loss itself")
    streams = batch(seed)
    given = {"advantage": advantage(objective, streams)} if objective.family != "group" else {}

    def value(logp):
        return loss(objective, {**streams, "logp": logp}, **given).value

    # REINVENT's squares reach 1e4, so the tolerance is relative there
    assert torch.autograd.gradcheck(value, streams["logp"].clone().requires_grad_(True), eps=1e-6, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_micro_batches_sum_to_the_whole(variant):
    objective = make(variant)
    streams = batch()
    logp = streams["logp"].clone().requires_grad_(True)
    streams = {**streams, "logp": logp}
    given = {"advantage": advantage(objective, streams)} if objective.family != "group" else {}
    whole = loss(objective, streams, **given).value
    (expected,) = torch.autograd.grad(whole, logp)

    names = ("mask", "group", "reward")
    denominator = objective.denominator(**{name: streams[name] for name in names})
    given |= objective.coupling(**{name: value for name, value in streams.items() if name != "distance"}, **given)
    parts = torch.randperm(20, generator=torch.Generator().manual_seed(3)).split([3, 9, 1, 7])  # groups are broken up
    values = [
        loss(objective, select(streams, rows), denominator=denominator, **{k: v[rows] for k, v in given.items()}).value
        for rows in parts
    ]
    (gradient,) = torch.autograd.grad(sum(values), logp)
    assert sum(values).item() == pytest.approx(whole.item(), rel=1e-12, abs=1e-12)
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_of_unscored_rollouts_get_no_gradient(variant):
    objective = make(variant)
    if objective.penalties:
        pytest.skip("a reference penalty acts on unscored rollouts too: their text is known")
    streams = batch()
    logp = streams["logp"].clone().requires_grad_(True)
    loss(objective, {**streams, "logp": logp}).value.backward()
    assert logp.grad[torch.isnan(streams["reward"])].abs().max() == 0
    assert logp.grad.abs().max() > 0
