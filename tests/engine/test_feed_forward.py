"""The feed-forward layer in one piece says what its parts say in turn, in value and gradients, bit for bit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from breadth.engine import feed_forward as module
from breadth.engine.feed_forward import feed_forward
from breadth.engine.gelu import gelu
from breadth.engine.matmul import PRESENT, linear

NARROW, WIDE, INNER = 48, 40, 160
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of the switch itself
fast_only = pytest.mark.skipif(not PRESENT, reason="this build of torch has no oneDNN for x86-64: there is one path")


def numbers(n=300, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    sizes = ((n, NARROW), (NARROW, INNER), (INNER,), (INNER, WIDE), (WIDE,))
    return [torch.randn(*size, generator=generator).to(dtype) for size in sizes]


def in_turn(x, rise, rise_bias, fall, fall_bias):
    return linear(gelu(linear(x, rise, rise_bias)), fall, fall_bias)


def by_the_library(x, rise, rise_bias, fall, fall_bias):
    return F.gelu(x @ rise + rise_bias, approximate="tanh") @ fall + fall_bias


def values_and_gradients(how, given, frozen=()):
    leaves = [one.clone().requires_grad_(i not in frozen) for i, one in enumerate(given)]
    out = how(*leaves)
    out.backward(torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype))
    return [out.detach(), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("frozen", [(), (0,), (1, 2), (0, 1, 2), (3, 4)])
def test_it_is_its_parts_bit_for_bit(bf16, frozen):
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = values_and_gradients(feed_forward, numbers(), frozen)
        expected = values_and_gradients(in_turn, numbers(), frozen)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert (a is None) == (b is None) == (i - 1 in frozen)
        assert a is None or (a.dtype == b.dtype and torch.equal(a, b)), i


def test_it_is_the_library_s_within_rounding_and_another_gelu_is_not():
    given = numbers(dtype=torch.float64)
    exact = values_and_gradients(by_the_library, given)
    found = values_and_gradients(feed_forward, numbers())
    assert max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, exact, strict=True)) < 1e-5
    other = values_and_gradients(lambda x, a, b, c, d: F.silu(x @ a + b) @ c + d, given)
    assert float((other[0] - exact[0]).abs().max() / exact[0].abs().max()) > 1e-2  # the twin that must fail


@fast_only
def test_the_large_gradient_between_is_written_once():
    """What was kept is as it was after the way back: gradients are asked for twice and are the same."""
    leaves = [one.clone().requires_grad_() for one in numbers()]
    for bf16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out = feed_forward(*leaves)
        assert "_FeedForward" in type(out.grad_fn.next_functions[0][0]).__name__
        first, second = (torch.autograd.grad(out.float().square().sum(), leaves, retain_graph=True) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_other_types_no_gradient_and_small_products_take_the_parts(monkeypatch):
    monkeypatch.setattr(module._FeedForward, "apply", lambda *_: pytest.fail("not here"))
    with torch.no_grad():
        feed_forward(*numbers())
    values_and_gradients(feed_forward, numbers(dtype=torch.float64))
    values_and_gradients(feed_forward, numbers(n=3))
    with torch.backends.mkldnn.flags(enabled=False):
        values_and_gradients(feed_forward, numbers())
