"""Attention: the library's fused kernel, and on a CPU in bfloat16 products of matrices, all texts and heads at once.

The backward pass of PyTorch's fused kernel takes eight times as long in bfloat16 as in float32 on a CPU. Plain products, which oneDNN makes
of bfloat16, take 0.4 to 0.5 of what the kernel takes in float32 (`docs/speed.md`); in float32 they gain nothing. They keep the attention
weights for the way back, so only texts up to ``LONGEST`` tokens take them. What is in between on the way back lies in memory that is used
again (`scratch.py`).
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.engine.scratch import scratch

LONGEST = 256  # tokens; what is kept grows with the square


def attention(q: Tensor, k: Tensor, v: Tensor, *, attend: Tensor | None, dropout: float = 0.0) -> Tensor:
    """Return softmax(q·kᵀ/√d)·v, (N, heads, L, d), causal where ``attend`` is None; on a CPU in float32 whatever the precision.

    There the fused kernel's backward pass is eight times slower in bfloat16 than in float32.

    Parameters
    ----------
    q : (N, heads, L, d);  k, v : (N, heads, S, d)
    attend : (N, 1, L, S) bool, optional
        True = may be looked at.
    """
    causal = attend is None and q.shape[2] > 1
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        q, k, v = q.float(), k.float(), v.float()
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attend, is_causal=causal, dropout_p=dropout)


def self_attention(qkv: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Return what each position of whole texts sees of itself and of what is before it, (N, L, heads·d), the faster way.

    Parameters
    ----------
    qkv : (N, L, 3, heads, d)
    """
    if not dropout and by_products(qkv):
        return causal_attention(qkv)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (N, heads, L, d)
    return attention(q, k, v, attend=None, dropout=dropout).transpose(1, 2).flatten(2)


def by_products(qkv: Tensor) -> bool:
    """Return whether texts take :func:`causal_attention`: bfloat16 on a CPU, up to ``LONGEST`` tokens, not compiled."""
    narrow = qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16
    return narrow and 1 < qkv.shape[1] <= LONGEST and not torch.compiler.is_compiling()


def causal_attention(qkv: Tensor) -> Tensor:
    """Return softmax(q·kᵀ/√d)·v, each position looking at itself and at what is before it, (N, L, heads·d) bfloat16.

    Scores and softmax are float32 (scores in bfloat16 would gain 2 % of a step and double the error of log-probabilities); the other
    products are bfloat16. Values are the same bits with gradient
    and without.

    Parameters
    ----------
    qkv : (N, L, 3, heads, d) bfloat16
        What one product gives for queries, keys and values.

    Examples
    --------
    >>> qkv = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0]]).view(1, 2, 3, 1, 1)
    >>> causal_attention(qkv.bfloat16()).flatten().tolist()
    [2.0, 3.0]
    """
    if torch.is_grad_enabled() and qkv.requires_grad:
        return _CausalAttention.apply(qkv)
    return _weighed(qkv)[0]


def _weighed(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted values (N, L, heads·d), queries, keys and values (3, N·heads, L, d), and the weights (N·heads, L, L)."""
    n, length, _, heads, width = qkv.shape
    with torch.autocast("cpu", enabled=False):
        parts = qkv.permute(2, 0, 3, 1, 4).reshape(3, n * heads, length, width)
        q, k, v = parts
        score = torch.baddbmm(
            _before(length), q.float(), k.float().transpose(1, 2), alpha=width**-0.5
        )  # (N·heads, L, L)
        weight = score.softmax(-1).to(qkv.dtype)
        out = torch.bmm(weight, v).view(n, heads, length, width)
    return out.transpose(1, 2).reshape(n, length, heads * width), parts, weight


@lru_cache(maxsize=256)
def _before(length: int) -> Tensor:
    """Return 0 where a position may look and −∞ at what comes after it, (L, L) float32."""
    return torch.full((length, length), -torch.inf).triu_(1)


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, qkv: Tensor) -> Tensor:
        out, parts, weight = _weighed(qkv)
        ctx.save_for_backward(parts, weight)
        ctx.size = qkv.shape
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        parts, weight = ctx.saved_tensors
        n, length, _, heads, width = ctx.size
        size, square, (q, k, v) = tuple(parts.shape[1:]), tuple(weight.shape), parts
        scale = width**-0.5
        with torch.autocast("cpu", enabled=False):
            g = scratch("attention.gradient", size, weight.dtype)
            g.view(n, heads, length, width).copy_(gradient.view(n, length, heads, width).transpose(1, 2))
            found = scratch("attention.found", (3, *size), weight.dtype)  # gradients of queries, keys, values
            torch.bmm(weight.transpose(1, 2), g, out=found[2])
            to_weight = scratch("attention.narrow", square, weight.dtype)
            torch.bmm(g, v.transpose(1, 2), out=to_weight)
            wide, wide_weight, to_score = scratch("attention.wide", (3, *square), torch.float32)
            wide.copy_(to_weight)
            wide_weight.copy_(weight)
            torch._softmax_backward_data(wide, wide_weight, -1, torch.float32, grad_input=to_score)
            narrow = to_weight.copy_(to_score)
            torch.baddbmm(found[0], narrow, k, beta=0, alpha=scale, out=found[0])
            torch.baddbmm(found[1], narrow.transpose(1, 2), q, beta=0, alpha=scale, out=found[1])
        whole = found.view(3, n, heads, length, width).permute(1, 3, 0, 2, 4)
        return whole.clone(memory_format=torch.contiguous_format)
