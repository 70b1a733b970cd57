"""How far bf16 is from fp32, and fp32 from float64, in the log-probabilities of a model: the bounds of docs/reliability.md."""

import pytest
import torch

from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.policy import completion_logp
from breadth.records import Rollouts

BANNED = [0, 1]
MEAN, MOST, BIAS, ENTROPY = 0.02, 0.3, 2e-3, 0.15  # nats a token, bf16 against fp32
EXACT = 1e-4  # nats a token, fp32 against float64


def model(*, positions: int, width: int = 64, layers: int = 3, peaked: float = 10.0) -> GPT:
    """A model with random weights that are made large, so that some tokens are likely and others all but ruled out (log π down to −10)."""
    found = GPT(GPTShape(vocab_size=40, n_positions=positions, n_embd=width, n_layer=layers, n_head=2), seed=0)
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.ndim == 2:
                parameter.mul_(peaked)
    return found.eval()


def answers(n: int, length: int) -> Rollouts:
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(length) < torch.randint(length // 2, length + 1, (n, 1), generator=generator)
    nothing = torch.zeros(n, length)
    return Rollouts(
        prompt_tokens=torch.ones(n, 1, dtype=torch.int64), prompt_mask=torch.ones(n, 1, dtype=torch.bool),
        tokens=torch.randint(2, 40, (n, length), generator=generator), mask=mask, logp_old=nothing, logp_sampled=nothing, entropy=nothing,
        group=torch.zeros(n, dtype=torch.int64), prompt_id=torch.zeros(n, dtype=torch.int64), text=[""] * n, prompt=[""] * n,
        ended=torch.ones(n, dtype=torch.bool),
    )  # fmt: skip


@torch.no_grad()
def said(policy: GPT, rollouts: Rollouts, *, bf16: bool = False):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        found = completion_logp(policy, rollouts, banned=BANNED, with_entropy=True)
    mask = rollouts.mask[:, : found.logp.shape[1]]
    return found.logp[mask].double(), found.entropy[mask].double()


def test_bf16_and_fp32_agree_within_the_stated_bounds():
    policy, rollouts = model(positions=64), answers(64, 60)
    (logp, entropy), (half, half_entropy) = said(policy, rollouts), said(policy, rollouts, bf16=True)
    off = half - logp
    print(f"mean {off.abs().mean():.4f}, most {off.abs().max():.4f}, bias {off.mean():.5f}, entropy {(half_entropy - entropy).abs().max():.4f}")
    assert entropy.mean() < 3 and logp.min() < -8  # neither flat nor certain
    assert 1e-5 < off.abs().mean() < MEAN and off.abs().max() < MOST and abs(off.mean()) < BIAS
    assert (half_entropy - entropy).abs().max() < ENTROPY


def test_fp32_and_float64_agree_within_the_stated_bound():
    rollouts = answers(64, 60)
    logp, _ = said(model(positions=64), rollouts)
    exact, _ = said(model(positions=64).double(), rollouts)
    assert (logp - exact).abs().max() < EXACT


def test_the_log_softmax_is_taken_in_fp32_whatever_the_forward_pass():
    """The twin: a log-softmax in bf16 misses the bound on the mean."""
    policy, rollouts = model(positions=64), answers(16, 60)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert completion_logp(policy, rollouts, banned=BANNED).logp.dtype == torch.float32
    logits = 4 * torch.randn(1000, 5000, generator=torch.Generator().manual_seed(2))
    exact = logits.double().log_softmax(-1)[:, 0]
    narrow = logits.bfloat16().log_softmax(-1)[:, 0].double()
    assert (narrow - exact).abs().mean() > MEAN / 2


@pytest.mark.parametrize("bf16", [False, True])
def test_answers_of_8000_tokens(bf16):
    policy, rollouts = model(positions=8192, width=16, layers=1, peaked=1.0), answers(1, 8000)
    logp, entropy = said(policy, rollouts, bf16=bf16)
    assert torch.isfinite(logp).all() and torch.isfinite(entropy).all() and logp.sum() < -4000
    if not bf16:
        exact, _ = said(policy.double(), rollouts)
        assert (logp - exact).abs().max() < EXACT and abs(logp.sum() / exact.sum() - 1) < 1e-6
