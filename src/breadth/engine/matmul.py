"""x·W + b on a CPU through oneDNN, with its gradients: float32, and bfloat16 under autocast.

The BLAS of PyTorch's wheels is MKL, which runs its AVX2 kernels on processors of other makers; oneDNN, which the same wheels bring
for bfloat16 and for compiled models, chooses by what the processor can do. On a Zen 5 core the shapes of a small GPT run 2.2 times
faster in float32 (`docs/speed.md`). Both sum exactly the same products, in another order. The bias, and in sampling the
activation, are part of the same call; inside :func:`unchanged` a weight is rounded once.

``with torch.backends.mkldnn.flags(enabled=False):`` turns it off; other devices, other types and compiled code never use it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.engine.gelu import gelu
from breadth.engine.scratch import scratch

#: multiplications below which a float32 call costs more than it saves (about 12 µs a call against 2)
SMALLEST = 1 << 20
PRESENT = (
    torch.backends.mkldnn.is_available()
    and platform.machine() in ("x86_64", "AMD64")
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
)
_kept: dict[int, tuple[Tensor, Tensor]] | None = (
    None  # by identity: a weight, and the same rounded; None = nothing is kept
)


@contextmanager
def unchanged() -> Iterator[None]:
    """Promise that no weight is written to inside: each is rounded once. Nothing is kept beyond the outermost of these.

    A tensor's version does not tell: fused optimisers write to weights without raising it.
    """
    global _kept
    outer, _kept = _kept, {} if _kept is None else _kept
    try:
        yield
    finally:
        _kept = outer


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, transposed: bool = False) -> Tensor:
    """Return x·W + b, (…, out).

    Parameters
    ----------
    x : (…, in)
    weight : (in, out), as GPT-2's files have it; with ``transposed`` (out, in), as embeddings have it
    bias : (out,), optional

    Examples
    --------
    >>> linear(torch.ones(2, 3), torch.eye(3)[:, :2], torch.tensor([0.0, 1.0]))
    tensor([[1., 2.],
            [1., 2.]])
    """
    flat = x.reshape(-1, x.shape[-1])  # (n, in)
    dtype = type_of(flat, weight)
    if dtype is not None and torch.is_grad_enabled():
        found = _Linear.apply(flat, weight, bias, transposed, dtype)
    elif dtype is not None:
        found = product(flat.to(dtype), _turned(rounded(weight, dtype), transposed), bias)
    elif transposed:
        found = F.linear(flat, weight, bias)
    else:
        found = flat @ weight if bias is None else torch.addmm(bias, flat, weight)
    return found.view(*x.shape[:-1], -1)


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return gelu(x·W + b), the tanh form, (…, out); where one token a row is sampled, in one call if oneDNN is used.

    That call rounds otherwise in the last bit. Whole texts never take it: their log-probabilities are then the same bits with gradient
    and without, and a policy that is its reference has a penalty of exactly 0, whose gradient no optimiser can blow up.

    Examples
    --------
    >>> linear_gelu(torch.ones(1, 2), torch.eye(2), torch.tensor([0.0, -1.0]))
    tensor([[0.8412, 0.0000]])
    """
    flat = x.reshape(-1, x.shape[-1])
    one = x.ndim == 3 and x.shape[1] == 1 and not torch.is_grad_enabled()
    dtype = type_of(flat, weight) if one else None
    if dtype is None:
        return gelu(linear(x, weight, bias))
    return product(flat.to(dtype), rounded(weight, dtype).t(), bias, "gelu", "tanh").view(*x.shape[:-1], -1)


@dataclass(frozen=True)
class Ready:
    """x·W + b for a W that stays as it is, without gradient: W is laid out for oneDNN once. See :func:`ready`."""

    weight: Tensor  # (in, out), as it was given
    bias: Tensor
    laid_out: Tensor
    dtype: torch.dtype

    def __call__(self, x: Tensor, then: str = "none") -> Tensor:
        """Return x·W + b, (n, out) of the type to compute in, and gelu of it with ``then="gelu"``; the bits of :func:`linear`."""
        if self.dtype == torch.float32 and len(x) * self.weight.numel() < SMALLEST:
            found = torch.addmm(self.bias, x, self.weight)
            return F.gelu(found, approximate="tanh") if then == "gelu" else found
        return product(x.to(self.dtype), self.laid_out, self.bias, then, "tanh" if then == "gelu" else "")


def ready(weight: Tensor, bias: Tensor, dtype: torch.dtype, rows: int) -> Ready:
    """Return a product with a float32 weight (in, out), made for about ``rows`` rows at a time.

    Examples
    --------
    >>> product = ready(torch.eye(3)[:, :2], torch.tensor([0.0, 1.0]), torch.float32, 4)
    >>> product(torch.ones(2, 3))
    tensor([[1., 2.],
            [1., 2.]])
    """
    weight = weight.detach()
    return Ready(weight, bias.detach(), torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype).t(), rows), dtype)


def type_without_gradient(weight: Tensor) -> torch.dtype | None:
    """Return the type in which oneDNN would take a weight's products now, however small, or None where it would not."""
    if not _usable(weight):
        return None
    if torch.is_autocast_enabled("cpu"):
        found = torch.get_autocast_dtype("cpu")
        return found if found == torch.bfloat16 else None
    return torch.float32


def _usable(weight: Tensor) -> bool:
    on = PRESENT and not torch.compiler.is_compiling() and torch._C._get_mkldnn_enabled()
    return on and weight.dtype == torch.float32 and weight.device.type == "cpu"


def type_of(flat: Tensor, weight: Tensor) -> torch.dtype | None:
    """Return the type to compute in, or None where the plain product is to be used."""
    if not _usable(weight) or flat.device.type != "cpu":
        return None
    if torch.is_autocast_enabled("cpu"):
        found = torch.get_autocast_dtype("cpu")
        return found if found == torch.bfloat16 and flat.dtype in (torch.float32, torch.bfloat16) else None
    return torch.float32 if flat.dtype == torch.float32 and len(flat) * weight.numel() >= SMALLEST else None


def rounded(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a weight in the type to compute in, without gradient."""
    if dtype == weight.dtype:
        return weight
    if _kept is None:
        return weight.detach().to(dtype)
    if id(weight) not in _kept:
        _kept[id(weight)] = (
            weight,
            weight.detach().to(dtype),
        )  # the weight too: its identity must not be given to another
    return _kept[id(weight)][1]


def _turned(weight: Tensor, transposed: bool) -> Tensor:
    return weight if transposed else weight.t()


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, then: str = "none", how: str = "") -> Tensor:
    """Return x·Wᵀ + b of an (n, in) and an (out, in) tensor of one type, any strides; the bias may be wider."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], how)


def turned_product(left: Tensor, right: Tensor) -> Tensor:
    """Return leftᵀ·right of an (n, a) and an (n, b) tensor of one type, (a, b): the gradient of a weight."""
    if left.dtype == torch.bfloat16:  # oneDNN as well, and it takes a turned left side as it lies
        return torch.mm(left.t(), right)
    turned = scratch("matmul.turned", (left.shape[1], left.shape[0]), left.dtype).copy_(left.t())
    return product(turned, right.t())


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool, dtype: torch.dtype) -> Tensor:
        used, narrow = x.to(dtype), rounded(weight, dtype)
        ctx.save_for_backward(used, narrow)
        ctx.transposed, ctx.types = transposed, (x.dtype, weight.dtype)
        return product(used, _turned(narrow, transposed), bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        to_x = to_weight = to_bias = None
        if wants_x:
            to_x = product(gradient, weight.t() if ctx.transposed else weight).to(ctx.types[0])  # (n, in)
        if wants_weight:
            left, right = (gradient, x) if ctx.transposed else (x, gradient)
            to_weight = turned_product(left, right).to(ctx.types[1])
        if wants_bias:
            to_bias = gradient.sum(0).to(ctx.types[1])  # added up in float32
        return to_x, to_weight, to_bias, None, None
