"""Sampling token by token with weights laid out once says what the model says: the same bits in float32, within bounds in bfloat16."""

from __future__ import annotations

import pytest
import torch

from breadth.engine import decode, kv_cache, rollout
from breadth.engine.decode import decoder
from breadth.engine.matmul import PRESENT, unchanged
from breadth.engine.rollout import Sampling, sample
from tests.engine.sharp import WORDS, sharp

PROMPTS = ["a b c", "", "a", "b b b b b"] * 20
fast_only = pytest.mark.skipif(not PRESENT, reason="this build of torch has no oneDNN for x86-64: there is one path")
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of the switch itself


def model(width=64, seed=0, positions=64):
    return sharp(width, seed=seed, positions=positions)


def answers(net, prompts=PROMPTS, *, bf16=False):
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return sample(net, prompts, WORDS, Sampling(30), generator=torch.Generator().manual_seed(0))


@fast_only
@pytest.mark.parametrize("width", [32, 64])  # below and above what is worth a call to oneDNN, as rows leave
@pytest.mark.parametrize("prompts", [PROMPTS, [""] * 70], ids=["padded", "one"])
def test_sampling_is_the_model_s_own_bit_for_bit(monkeypatch, width, prompts):
    monkeypatch.setattr(kv_cache, "BLOCK_NUMBERS", 16 * 8)
    net, steps = model(width), []
    own = decode.Decoder.step
    monkeypatch.setattr(decode.Decoder, "step", lambda self, *a, **k: steps.append(1) or own(self, *a, **k))
    lean = answers(net, prompts)
    assert steps
    monkeypatch.setattr(rollout, "decoder", lambda *_: None)
    by_modules = answers(net, prompts)
    for name in ("tokens", "mask", "logp_old", "logp_sampled", "entropy"):
        assert torch.equal(getattr(lean, name), getattr(by_modules, name)), name
    assert len(set(lean.mask.sum(-1).tolist())) > 5  # rows did leave


@fast_only
def test_in_bfloat16_it_is_the_model_s_within_the_stated_bound(monkeypatch):
    net = model()
    lean = answers(net, bf16=True)
    monkeypatch.setattr(rollout, "decoder", lambda *_: None)
    by_modules = answers(net, bf16=True)
    same = (lean.tokens == by_modules.tokens).all(-1) if lean.tokens.shape == by_modules.tokens.shape else None
    assert same is not None and same.float().mean() > 0.9
    error = (lean.logp_old - by_modules.logp_old)[same]
    assert float(error.abs().max()) < 0.1 and float(error.abs().mean()) < 0.01
    assert not torch.equal(lean.logp_old, answers(model(seed=1), bf16=True).logp_old)


@fast_only
def test_weights_are_laid_out_anew_for_each_batch():
    net = model()
    before = answers(net)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5)
    after = answers(net)
    again = answers(net)
    assert not torch.equal(before.tokens, after.tokens) and torch.equal(after.logp_old, again.logp_old)


def test_it_is_not_taken_where_the_model_is_not_its_kind(monkeypatch):
    assert decoder(model().double(), 8) is None
    with torch.backends.mkldnn.flags(enabled=False):
        assert decoder(model(), 8) is None
    monkeypatch.setattr(decode, "LARGEST", 10)
    assert decoder(model(), 8) is None


@fast_only
@torch.no_grad()
def test_a_context_that_is_full_is_refused():
    net = model(positions=4)
    with unchanged():
        lean = decoder(net, 2)
        assert lean is not None
        caches = net.new_caches(2, 6)
        for start in range(4):
            lean.step(torch.tensor([3, 4]), caches, start)
        with pytest.raises(ValueError, match="5 positions are needed, the model's context is 4"):
            lean.step(torch.tensor([3, 4]), caches, 4)
