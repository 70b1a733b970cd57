"""What stands in the padding decides nothing: not the value, not the gradient, not even if it is NaN."""

import pytest
import torch
from objective_variants import VARIANTS, advantage, batch, loss, make

TOKENS = ("logp", "logp_old", "logp_ref", "entropy", "prediction_error", "value", "value_old", "value_target")


def poisoned(streams, value):
    return {k: v.masked_fill(~streams["mask"], value) if k in TOKENS else v for k, v in streams.items()}


def run(objective, streams):
    logp = streams["logp"].clone().requires_grad_(True)
    result = loss(objective, {**streams, "logp": logp})
    result.value.backward()
    return result, logp.grad


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -1e30])
def test_padding_never_leaks(variant, value):
    objective = make(variant)
    streams = batch()
    clean, clean_grad = run(objective, poisoned(streams, 0.0))
    dirty, dirty_grad = run(objective, poisoned(streams, value))
    assert torch.isfinite(clean.value)
    assert torch.equal(clean.value, dirty.value)
    assert torch.equal(clean_grad, dirty_grad)
    assert torch.equal(dirty_grad[~streams["mask"]], torch.zeros_like(dirty_grad[~streams["mask"]]))
    assert clean.stats == dirty.stats


@pytest.mark.parametrize("variant", VARIANTS)
def test_wider_padding_changes_nothing(variant):
    objective = make(variant)
    streams = batch()
    extra = torch.nn.functional.pad
    padded = {k: extra(v, (0, 3), value=torch.nan) if k in TOKENS else v for k, v in streams.items()}
    for name in ("mask", "in_top_k"):
        padded[name] = extra(streams[name], (0, 3), value=False)
    assert loss(objective, padded).value.item() == pytest.approx(loss(objective, streams).value.item(), abs=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_advantage_is_detached_and_wide(variant):
    streams = batch()
    half = {k: v.to(torch.bfloat16) if k != "seed" and v.is_floating_point() else v for k, v in streams.items()}
    half["logp_old"].requires_grad_(True)
    result = advantage(make(variant), half)
    assert result.dtype == torch.float32
    assert not result.requires_grad
    assert advantage(make(variant), streams).dtype == torch.float64


def test_a_mask_of_numbers_is_refused():
    streams = batch()
    streams["mask"] = streams["mask"].long()
    with pytest.raises(TypeError, match=r"mask: expected dtype torch.bool \(True = keep\), got torch.int64"):
        loss(make("grpo"), streams, advantage=torch.zeros(20))
