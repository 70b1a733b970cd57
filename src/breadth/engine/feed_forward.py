"""gelu(x·W + b)·V + c of a layer, with its gradients in one piece: what lies between the two products needs no memory of its own.

Between the way back through V and the one through W stands one large gradient. Made here and seen by nobody else, it is multiplied by the slope of
gelu where it lies. The numbers are those of :func:`~breadth.engine.matmul.linear` and :func:`~breadth.engine.gelu.gelu` in turn, bit for bit
(`tests/engine/test_feed_forward.py`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.engine.gelu import gelu_and_slope
from breadth.engine.matmul import linear, linear_gelu, product, rounded, turned_product, type_of


def feed_forward(x: Tensor, rise: Tensor, rise_bias: Tensor, fall: Tensor, fall_bias: Tensor) -> Tensor:
    """Return gelu(x·W + b)·V + c, the tanh form, (…, out).

    Parameters
    ----------
    x : (…, in)
    rise, rise_bias : (in, inner), (inner,)
        W and b.
    fall, fall_bias : (inner, out), (out,)
        V and c.

    Examples
    --------
    >>> feed_forward(torch.ones(1, 2), torch.eye(2), torch.tensor([0.0, -1.0]), torch.ones(2, 1), torch.tensor([1.0]))
    tensor([[1.8412]])
    """
    flat = x.reshape(-1, x.shape[-1])  # (n, in)
    dtype = type_of(flat, rise) if torch.is_grad_enabled() else None
    if dtype is None or type_of(flat[:, :1].expand(-1, len(fall)), fall) != dtype:
        return linear(linear_gelu(x, rise, rise_bias), fall, fall_bias)
    return _FeedForward.apply(flat, rise, rise_bias, fall, fall_bias, dtype).view(*x.shape[:-1], -1)


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx, x: Tensor, rise: Tensor, rise_bias: Tensor, fall: Tensor, fall_bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        used, up, down = x.to(dtype), rounded(rise, dtype), rounded(fall, dtype)
        before = product(used, up.t(), rise_bias)  # (n, inner)
        if dtype == torch.bfloat16:
            after, before = gelu_and_slope(before)  # the slope is kept instead
        else:
            after = F.gelu(before, approximate="tanh")
        ctx.save_for_backward(used, up, before, after, down)
        ctx.types = (x.dtype, rise.dtype)
        return product(after, down.t(), fall_bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        used, up, before, after, down = ctx.saved_tensors
        wants = ctx.needs_input_grad
        to_x = to_rise = to_rise_bias = to_fall = to_fall_bias = None
        if wants[3]:
            to_fall = turned_product(after, gradient).to(ctx.types[1])
        if wants[4]:
            to_fall_bias = gradient.sum(0).to(ctx.types[1])  # added up in float32
        if any(wants[:3]):
            inner = product(gradient, down)  # (n, inner)
            if inner.dtype == torch.bfloat16:
                inner.mul_(before)
            else:
                torch.ops.aten.gelu_backward.grad_input(inner, before, approximate="tanh", grad_input=inner)
            if wants[0]:
                to_x = product(inner, up).to(ctx.types[0])
            if wants[1]:
                to_rise = turned_product(used, inner).to(ctx.types[1])
            if wants[2]:
                to_rise_bias = inner.sum(0).to(ctx.types[1])
        return to_x, to_rise, to_rise_bias, to_fall, to_fall_bias, None
