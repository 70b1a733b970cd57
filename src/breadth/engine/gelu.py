"""gelu in its tanh form for a CPU in bfloat16: written with the logistic function, with its slope.

½·x·(1 + tanh u) = x·σ(2u), u = √(2/π)·(x + 0.044715·x³). The σ of PyTorch's CPU kernels is ten times as fast as its tanh, and where x is far
below 0 it keeps the digits that 1 + tanh u loses. Where a gradient is wanted, the slope is worked out on the way forward, from what lies in the
processor's cache, and kept instead of x: gelu and its way back take half of what the library's take (`docs/speed.md`). float32 stays with the
library's form, whose last bits are those of runs already made.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

TWICE = 2 * math.sqrt(2 / math.pi)  # 2u = x·(TWICE + CUBIC·x²)
CUBIC = TWICE * 0.044715


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
    wide = x.float()
    return _gate(wide).mul_(wide).to(x.dtype)


def gelu_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return gelu and its derivative σ(2u) + x·σ(2u)·(1 − σ(2u))·(2u)′ of a float32 tensor.

    Examples
    --------
    >>> [part.tolist() for part in gelu_and_slope(torch.zeros(1))]
    [[0.0], [0.5]]
    """
    gate = _gate(x)
    value = gate * x
    rest = torch.rsub(gate, 1).mul_(value)  # x·σ·(1 − σ)
    return value, torch.addcmul(gate, rest, _line(x, 3 * CUBIC))


def _gate(x: Tensor) -> Tensor:
    """Return σ(2u) of a float32 tensor."""
    return _line(x, CUBIC).mul_(x).sigmoid_()


def _line(x: Tensor, slope: float) -> Tensor:
    """Return TWICE + slope·x²."""
    return torch.addcmul(x.new_tensor(TWICE), x, x, value=slope)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        value, slope = gelu_and_slope(x.float())
        ctx.save_for_backward(slope.to(x.dtype))
        return value.to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return gradient * slope
