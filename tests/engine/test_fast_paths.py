"""Each fast path says what the plain one says: oneDNN's products, passes of few tokens, prompts read once, rows that close up, bfloat16."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from breadth.engine import kv_cache, matmul, policy, rollout
from breadth.engine.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.heads import Heads
from breadth.engine.kv_cache import KeyValues
from breadth.engine.machine import keep_freed_memory
from breadth.engine.matmul import linear, linear_gelu, unchanged
from breadth.engine.policy import completion_logp
from breadth.engine.rollout import Sampling, sample
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(list("abcdefgh"), pattern=r"\S+", joiner=" ")
BANNED = [WORDS.pad_id, WORDS.bos_id]
fast_only = pytest.mark.skipif(
    not matmul.PRESENT, reason="this build of torch has no oneDNN for x86-64: there is one path"
)


pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of the switch itself


def plain():
    return torch.backends.mkldnn.flags(enabled=False)


def values_and_gradients(x, weight, bias, *, transposed=False, cotangent):
    leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
    out = linear(*leaves, transposed=transposed)
    out.backward(cotangent.to(out.dtype))
    return [out.detach(), *(leaf.grad for leaf in leaves)]


def tensors(n=300, n_in=64, n_out=96, *, transposed=False):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(*((n_out, n_in) if transposed else (n_in, n_out)), generator=generator)
    x, bias, cotangent = (torch.randn(*s, generator=generator) for s in ((n, n_in), (n_out,), (n, n_out)))
    return {"x": x, "weight": weight, "bias": bias, "transposed": transposed, "cotangent": cotangent}


def distance(a, b):
    """Largest difference, in units of the largest entry."""
    return float((a.float() - b.float()).abs().max() / b.float().abs().max())


@fast_only
@pytest.mark.parametrize("transposed", [False, True])
def test_products_and_their_gradients_are_the_plain_ones(transposed):
    given = tensors(transposed=transposed)
    found = values_and_gradients(**given)
    with plain():
        expected = values_and_gradients(**given)
    assert max(distance(a, b) for a, b in zip(found, expected, strict=True)) < 1e-6
    assert distance(-found[0], expected[0]) > 1  # the twin that must fail
    with torch.autocast("cpu", torch.bfloat16):
        rough = values_and_gradients(**given)
    assert rough[0].dtype == torch.bfloat16 and all(gradient.dtype == torch.float32 for gradient in rough[1:])
    assert 1e-5 < max(distance(a, b) for a, b in zip(rough, expected, strict=True)) < 2**-7  # eight bits of mantissa


@fast_only
def test_only_what_pays_takes_the_other_way(monkeypatch):
    calls = []
    monkeypatch.setattr(matmul, "product", lambda x, *rest: calls.append(len(x)) or x.new_zeros(len(x), 96))
    x, weight = torch.randn(300, 64), torch.randn(64, 96)
    linear(x, weight)
    assert calls == [300]
    linear(x[:3], weight)  # too small
    linear(x.double(), weight.double())
    with plain():
        linear(x, weight)
    assert calls == [300]


@fast_only
def test_a_rounded_weight_follows_its_weight():
    weight, x = torch.nn.Parameter(torch.randn(64, 32)), torch.randn(8, 64)
    optimizer = torch.optim.AdamW([weight], lr=0.1, fused=True)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            with unchanged():
                first, second = linear(x, weight), linear(x, weight)
                assert torch.equal(first, second) and distance(first.detach(), x @ weight.detach()) < 2**-6
            first.float().sum().backward()
            optimizer.step()  # in place, and the weight's version does not tell
        with torch.no_grad():
            before = linear(x, weight)
            weight.copy_(-weight)
            assert torch.equal(linear(x, weight), -before)
    assert matmul._kept is None


def test_gelu_in_one_call_is_gelu_after_the_product():
    given = tensors()
    with torch.no_grad():
        one = linear_gelu(given["x"][:, None], given["weight"], given["bias"])[:, 0]
    two = F.gelu(linear(given["x"], given["weight"], given["bias"]), approximate="tanh")
    assert distance(one, two) < 1e-6


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 40])
def test_one_query_a_row_over_blocks_is_the_fused_kernel_s(monkeypatch, padded, length):
    monkeypatch.setattr(kv_cache, "BLOCK_NUMBERS", 16 * 8)
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(5, 2, n, 8, generator=generator) for n in (1, length, length))
    allowed = torch.rand(5, 1, 1, length, generator=generator) < 0.7 if padded else None
    if allowed is not None:
        allowed[..., -1] = True
    cache = KeyValues(5, 2, 45, 8, like=q)
    assert cache.block == 16
    cache.keys.fill_(torch.nan)
    cache.values.fill_(torch.nan)  # as memory may be that nobody wrote to
    for t in range(0, length, 3):
        cache.write(k[:, :, t : t + 3], v[:, :, t : t + 3], t)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    assert torch.allclose(cache.attend(q, length, allowed), expected, atol=1e-6)
    assert torch.equal(cache.read(length)[0], k) and torch.equal(cache.read(length)[1], v)
    if length > 1 and not padded:
        assert not torch.allclose(cache.attend(q, length - 1, None), expected, atol=1e-3)
    other = KeyValues(3, 2, 45, 8, like=q)
    other.take(cache, torch.tensor([4, 0, 4]), length)
    assert torch.equal(other.read(length)[1], v[[4, 0, 4]])
    cache.close_up(torch.tensor([1]), torch.tensor([3]), 3, length)
    assert torch.equal(cache.read(length)[0], k[[0, 3, 2]])


def test_rows_move_up_whole_and_those_behind_are_let_go(monkeypatch):
    monkeypatch.setattr(kv_cache, "BLOCK_NUMBERS", 16 * 8)
    k, v = torch.randn(2, 9, 2, 20, 8, generator=torch.Generator().manual_seed(2))
    cache = KeyValues(9, 2, 45, 8, like=k)
    cache.write(k, v, 0)
    query = torch.randn(9, 2, 1, 8)
    cache.attend(query, 20, None)  # what was read before the rows move does not stay
    rows = torch.tensor([0, 7, 2, 8, 4])
    cache.close_up(torch.tensor([1, 3]), torch.tensor([7, 8]), 5, 20)
    assert torch.equal(cache.read(20)[0], k[rows]) and torch.equal(cache.read(20)[1], v[rows])
    expected = F.scaled_dot_product_attention(query[:5], k[rows], v[rows])
    assert torch.allclose(cache.attend(query[:5], 20, None), expected, atol=1e-6)
    assert not torch.allclose(expected, F.scaled_dot_product_attention(query[:5], k[:5], v[:5]), atol=1e-3)


def model(seed=0, positions=64):
    net = GPT(GPTShape(len(WORDS), positions, 32, 2, 4), seed=seed).eval()
    with torch.no_grad():
        net.transformer["wte"].weight.mul_(4.0)
    return net


def answers(net, prompts, **how):
    return sample(net, prompts, WORDS, Sampling(30, **how), generator=torch.Generator().manual_seed(0))


PROMPTS = ["a b c", "", "a", "b b b b b"] * 6


def found_and_gradients(net, heads, rollouts, rows):
    found = completion_logp(net, rollouts, rows, banned=BANNED, with_entropy=True, heads=heads)
    weight = torch.arange(1.0, found.logp.shape[1] + 1)
    total = ((found.logp + 0.5 * found.entropy + found.value) * weight).sum() + found.log_z.sum()
    gradients = torch.autograd.grad(total, [*net.parameters(), *heads.parameters()])
    return [found.logp, found.entropy, found.value, found.log_z, *gradients]


@pytest.mark.parametrize("rows", [None, [5, 0, 3, 3, 22, 9]])
def test_passes_of_few_tokens_say_what_one_pass_says(monkeypatch, rows):
    net = model().double()
    heads = Heads(32, value=True, log_z=True).double()
    torch.nn.init.normal_(heads.value.weight)
    torch.nn.init.normal_(heads.log_z.weight)
    rollouts = answers(model(), PROMPTS)
    assert rollouts.mask.sum(-1).unique().numel() > 5
    rows = None if rows is None else torch.tensor(rows)
    whole = found_and_gradients(net, heads, rollouts, rows)
    monkeypatch.setattr(policy, "PASS_NUMBERS", {"cpu": 32 * 40})
    assert len(list(policy.passes(rollouts.mask.sum(-1), width=32))) > 4
    parts = found_and_gradients(net, heads, rollouts, rows)
    for a, b in zip(parts, whole, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-6)  # log-softmax is float32 whatever the model is


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_policy_that_is_its_reference_is_at_a_distance_of_exactly_0(precision):
    net, rollouts = model(), answers(model(), PROMPTS * 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        with_gradient = completion_logp(net, rollouts, banned=BANNED).logp
        without = policy.score_completions(net, rollouts, banned=BANNED)
    assert with_gradient.requires_grad and torch.equal(with_gradient.detach(), without)


@given(st.lists(st.integers(1, 90), min_size=1, max_size=60), st.integers(1, 400))
def test_passes_hold_every_row_once_and_no_more_than_they_may(lengths, limit):
    kept = policy.PASS_NUMBERS
    policy.PASS_NUMBERS = {"cpu": limit}
    try:
        parts = [part.tolist() for part in policy.passes(torch.tensor(lengths), width=1)]
    finally:
        policy.PASS_NUMBERS = kept
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * max(lengths[row] for row in part) <= limit for part in parts)


@given(st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_rows_that_stay_close_up(keep):
    index, holes, movers = rollout._closed_up(torch.tensor(keep), sum(keep))
    assert sorted(index.tolist()) == [i for i, stays in enumerate(keep) if stays]
    names = torch.arange(len(keep))
    names[holes] = names[movers]
    assert names[: len(index)].tolist() == index.tolist()  # what is moved is what the index says


def test_a_prompt_that_is_read_once_serves_all_its_rows(monkeypatch):
    net, how = model(), {"end_token": True}
    together = answers(net, PROMPTS, **how)
    seen = []
    forward = GPT.forward
    monkeypatch.setattr(
        GPT, "forward", lambda self, tokens, **rest: seen.append(len(tokens)) or forward(self, tokens, **rest)
    )
    again = answers(net, PROMPTS, **how)
    assert seen[0] == 4 and torch.equal(together.tokens, again.tokens)
    each = torch.arange(len(PROMPTS))
    monkeypatch.setattr(rollout, "_distinct", lambda prompts, device: (each, each))  # read row by row
    apart = answers(net, PROMPTS, **how)
    assert seen[-1] <= 24 and torch.equal(apart.tokens, together.tokens)
    assert torch.allclose(apart.logp_old, together.logp_old, atol=1e-5)


def test_bf16_log_probabilities_are_near_the_float32_ones(monkeypatch):
    net = model(positions=40)
    monkeypatch.setattr(kv_cache, "BLOCK_NUMBERS", 16 * 8)  # several blocks
    rollouts = answers(net, [""] * 64)
    exact = completion_logp(net, rollouts, banned=BANNED).logp.detach()
    with torch.autocast("cpu", torch.bfloat16):
        rough = completion_logp(net, rollouts, banned=BANNED).logp.detach()
        own = answers(net, [""] * 64)
        again = completion_logp(net, own, banned=BANNED).logp.detach()
    assert rough.dtype == torch.float32
    error = (rough - exact)[rollouts.mask]
    assert 0 < float(error.abs().max()) < 0.1 and float(error.abs().mean()) < 0.01
    ratio = (again - own.logp_old)[own.mask]  # sampled in bfloat16 against read in bfloat16
    assert float(ratio.abs().max()) < 0.1 and float(ratio.abs().mean()) < 0.01


def test_freed_memory_is_kept_where_the_library_can():
    import platform

    assert keep_freed_memory() == (platform.libc_ver()[0] == "glibc")


def test_a_training_of_another_arithmetic_does_not_go_on(tmp_path):
    net = model()
    optimizer = torch.optim.AdamW(net.parameters())
    saved = save_checkpoint(tmp_path, step=3, model=net, optimizer=optimizer, tokenizer=WORDS, state={})
    load_checkpoint(saved.path, net, optimizer)
    manifest = json.loads((saved.path / "manifest.json").read_text())
    del manifest["arithmetic"]  # as it was written before there was a number
    (saved.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        CheckpointError, match="expected arithmetic 2, got 1: the training was begun by another version"
    ):
        load_checkpoint(saved.path, net, optimizer)
