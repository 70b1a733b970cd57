"""Memory that is used again: as large as asked for, apart by name, type and thread, and never what a result depends on."""

from __future__ import annotations

import threading

import pytest
import torch

from breadth.engine import scratch as module
from breadth.engine.attention import causal_attention
from breadth.engine.feed_forward import feed_forward
from breadth.engine.gelu import gelu, gelu_and_slope
from breadth.engine.scratch import scratch


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(module, "_of_thread", threading.local())


def test_the_same_memory_comes_again_and_grows_when_more_is_asked_for():
    first = scratch("test.a", (4, 5), torch.float32)
    assert first.shape == (4, 5) and first.is_contiguous()
    assert scratch("test.a", (3,), torch.float32).data_ptr() == first.data_ptr()
    assert scratch("test.a", (4, 5), torch.bfloat16).data_ptr() != first.data_ptr()
    assert scratch("test.a", (50, 5), torch.float32).shape == (50, 5)
    assert scratch("test.a", (0, 5), torch.float32).shape == (0, 5)


def test_what_is_too_large_is_not_kept(monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 10)
    assert scratch("test.a", (3, 4), torch.float32).shape == (3, 4) and not module._of_thread.__dict__


def test_each_thread_has_its_own():
    mine, theirs = scratch("test.a", (4,), torch.float32), []
    other = threading.Thread(target=lambda: theirs.append(scratch("test.a", (4,), torch.float32)))
    other.start()
    other.join()
    assert theirs[0].data_ptr() != mine.data_ptr()


def test_made_under_inference_mode_it_serves_outside():
    with torch.inference_mode():
        scratch("test.a", (4,), torch.float32)
    leaf = torch.ones(4, requires_grad=True)
    (scratch("test.a", (4,), torch.float32).fill_(2.0) * leaf).sum().backward()
    assert leaf.grad.tolist() == [2.0] * 4


def everything():
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(3, 20, 3, 2, 8, generator=generator).bfloat16().requires_grad_()
    x = torch.randn(200_001, generator=generator).bfloat16().requires_grad_()  # parts of unequal size
    sizes = ((300, 48), (48, 160), (160,), (160, 40), (40,))
    layer = [torch.randn(*size, generator=generator).requires_grad_() for size in sizes]
    found = [causal_attention(qkv), gelu(x), feed_forward(*layer), *gelu_and_slope(x.detach()[:7].view(7, 1))]
    sum(one.float().square().sum() for one in found[:3]).backward()
    return [one.detach() for one in found] + [leaf.grad for leaf in (qkv, x, *layer)]


def test_what_lies_there_changes_no_result():
    first = everything()
    kept = list(module._of_thread.__dict__.values())
    assert kept
    for one in kept:
        one.fill_(torch.nan)
    for a, b in zip(first, everything(), strict=True):
        assert torch.equal(a, b) and torch.isfinite(a).all()
