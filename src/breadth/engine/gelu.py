"""gelu in its tanh form for a CPU in bfloat16: written with the logistic function, with its slope.

½·x·(1 + tanh u) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³). The σ of PyTorch's CPU kernels is ten times as fast as its tanh, and where x is far
below 0 it keeps the digits that 1 + tanh u loses. Where a gradient is wanted, the slope is worked out on the way forward, from what lies in the
processor's cache, and kept instead of x. A part at a time goes through all steps, in memory that is used again for the next one
(`scratch.py`), so that nothing of it leaves that cache. float32 stays with the library's form, whose last bits are those of runs already made.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.engine.scratch import scratch

TWICE = 2 * math.sqrt(2 / math.pi)  # 2u = x·(TWICE + CUBIC·x²)
CUBIC = TWICE * 0.044715
PART = 1 << 17  # numbers that go through all steps before the next ones do


def gelu(x: Tensor) -> Tensor:
    """Return x·σ(2u), u = √(2/π)·(x + 0.044715·x³), in the shape and type of x; bfloat16 is worked out in float32 and rounded once.

    Values are the same bits with gradient and without. Other devices, other types than bfloat16, and compiled code take the library's own
    form. NaN stays NaN; −∞ gives NaN, as the formula does.

    Source: Hendrycks & Gimpel, arXiv 1606.08415, §2, the approximation by tanh. Departures: tanh u = 2σ(2u) − 1.

    Examples
    --------
    >>> gelu(torch.tensor([0.0, 1.0, -1.0]))
    tensor([ 0.0000,  0.8412, -0.1588])
    """
    if x.device.type != "cpu" or x.dtype != torch.bfloat16 or torch.compiler.is_compiling():
        return F.gelu(x, approximate="tanh")
    if torch.is_grad_enabled() and x.requires_grad:
        return _Gelu.apply(x)
    value = torch.empty_like(x, memory_format=torch.contiguous_format)
    _work_out(x, value, None)
    return value


def gelu_and_slope(x: Tensor, *, out: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Return gelu and its derivative σ(2u) + x·σ(2u)·(1 − σ(2u))·(2u)′ in the shape and type of x, worked out in float32; on a CPU, without gradient.

    Parameters
    ----------
    out : two contiguous tensors of the shape and type of x, optional
        Where to put them.

    Examples
    --------
    >>> [part.tolist() for part in gelu_and_slope(torch.zeros(1))]
    [[0.0], [0.5]]
    """
    value, slope = out or (torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(2))
    _work_out(x, value, slope)
    return value, slope


def _work_out(x: Tensor, value: Tensor, slope: Tensor | None) -> None:
    flat, values, slopes = x.detach().contiguous().view(-1), value.view(-1), None if slope is None else slope.view(-1)
    twice, one = torch.tensor(TWICE), torch.tensor(1.0)
    room = scratch("gelu", (3, min(PART, flat.numel())), torch.float32)
    for first in range(0, flat.numel(), PART):
        part = flat[first : first + PART]
        n = len(part)
        wide, gate, product = room[0, :n], room[1, :n], room[2, :n]
        wide.copy_(part)
        torch.addcmul(twice, wide, wide, value=CUBIC, out=gate).mul_(wide).sigmoid_()  # σ(2u)
        torch.mul(gate, wide, out=product)
        values[first : first + n].copy_(product)
        if slopes is not None:
            torch.addcmul(twice, wide, wide, value=3 * CUBIC, out=wide).mul_(product)  # x·σ·(2u)′
            torch.lerp(gate, one, wide, out=gate)  # σ + (1 − σ)·that
            slopes[first : first + n].copy_(gate)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        value, slope = gelu_and_slope(x)
        ctx.save_for_backward(slope)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return gradient * slope
