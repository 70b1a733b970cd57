"""Attention by products in bfloat16 is the fused kernel's in float32 to bfloat16's digits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from breadth.engine import attention
from breadth.engine.attention import causal_attention


def projected(n=5, length=33, heads=4, width=8, *, dtype=torch.bfloat16):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, length, 3, heads, width, generator=generator).to(dtype)


def plain(qkv, *, causal=True):
    n, length, _, heads, width = qkv.shape
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).reshape(n, length, heads * width)


def value_and_gradient(how, qkv):
    leaf = qkv.clone().requires_grad_()
    out = how(leaf)
    out.backward(torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype))
    return out.detach(), leaf.grad


def distance(a, b):
    """Largest difference, in units of the largest entry."""
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


@pytest.mark.parametrize("length", [2, 16, 33, 90])
def test_products_say_what_the_fused_kernel_says_of_the_same_numbers(length):
    given = projected(length=length)
    found = value_and_gradient(causal_attention, given)
    expected = value_and_gradient(plain, given.double())
    assert found[0].dtype == found[1].dtype == torch.bfloat16
    assert max(distance(a, b) for a, b in zip(found, expected, strict=True)) < 2**-6  # three roundings to eight bits
    assert (
        distance(found[0], value_and_gradient(lambda x: plain(x, causal=False), given.double())[0]) > 0.1
    )  # the twin that must fail


def test_values_are_the_same_with_gradient_and_without_and_under_autocast():
    given = projected()
    with torch.autocast("cpu", torch.bfloat16):
        with_gradient = value_and_gradient(causal_attention, given)
    with torch.no_grad():
        assert torch.equal(causal_attention(given), with_gradient[0])
    assert torch.equal(value_and_gradient(causal_attention, given)[1], with_gradient[1])


def test_what_comes_later_is_not_looked_at():
    given = projected()
    later = given.clone()
    later[:, 20:] = 7.0
    assert torch.equal(causal_attention(given)[:, :20], causal_attention(later)[:, :20])


def test_only_short_narrow_texts_go_by_products():
    assert attention.by_products(projected()) and attention.by_products(projected(1, attention.LONGEST))
    assert not attention.by_products(projected(1, attention.LONGEST + 1))
    assert not attention.by_products(projected(length=1)) and not attention.by_products(projected(dtype=torch.float32))
