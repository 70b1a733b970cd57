"""Logits to token log-probabilities and entropies, and the three estimators of a KL divergence. Everything in nats."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from breadth.tensors.masked import check_mask, masked_sum, wide


def token_logprobs(logits: Tensor, tokens: Tensor, *, temperature: float = 1.0, chunk: int | None = None) -> Tensor:
    """Return log π(token) for each position: logit_token/τ − logsumexp(logits/τ), in float32 or wider.

    Parameters
    ----------
    logits : (..., V)
        Any float type; widened to float32 inside, because a bfloat16 log-sum-exp is off by up to 1 %.
    tokens : (...) int64
        Indices into V. At padded positions any valid index will do; the value there is to be masked by the caller.
    temperature : float
        τ > 0.
    chunk : int, optional
        Positions widened at a time. The result does not depend on it; memory without a gradient does.

    Returns
    -------
    (...) float32 or float64

    Raises
    ------
    ValueError
        Shapes that do not fit, or a temperature that is not positive.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> token_logprobs(torch.zeros(1, 4), torch.tensor([2])).exp()
    tensor([0.2500])
    """
    if tokens.shape != logits.shape[:-1]:
        raise ValueError(f"tokens: expected shape {tuple(logits.shape[:-1])}, as logits, got {tuple(tokens.shape)}")

    def one(piece: Tensor, index: Tensor) -> Tensor:
        return piece.gather(-1, index[:, None]).squeeze(-1) - piece.logsumexp(-1)

    return _by_chunk(one, logits, temperature, chunk, tokens.reshape(-1)).reshape(tokens.shape)


def token_entropies(logits: Tensor, *, temperature: float = 1.0, chunk: int | None = None) -> Tensor:
    """Return the entropy of the whole next-token distribution at each position, −Σ_v π(v) log π(v), nats.

    A logit of −inf (a forbidden token) adds nothing.

    Parameters
    ----------
    logits : (..., V)
    temperature : float
        τ > 0.
    chunk : int, optional
        Positions widened at a time; the result does not depend on it.

    Returns
    -------
    (...) float32 or float64

    Raises
    ------
    ValueError
        A temperature that is not positive.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> token_entropies(torch.zeros(1, 4)).exp()
    tensor([4.])
    """

    def one(piece: Tensor) -> Tensor:
        log_norm = piece.logsumexp(-1)
        share = (piece - log_norm[:, None]).exp()
        return log_norm - (share * piece.masked_fill(share == 0, 0.0)).sum(-1)  # 0 · −inf counts as 0

    return _by_chunk(one, logits, temperature, chunk).reshape(logits.shape[:-1])


def _by_chunk(
    one: Callable[..., Tensor], logits: Tensor, temperature: float, chunk: int | None, *others: Tensor
) -> Tensor:
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number > 0, got {temperature}")
    flat = logits.reshape(-1, logits.shape[-1])  # (M, V)
    size = max(1, chunk or flat.shape[0])
    parts = []
    for start in range(0, flat.shape[0], size):
        piece = wide(flat[start : start + size])
        piece = piece if temperature == 1.0 else piece / temperature
        parts.append(one(piece, *(other[start : start + size] for other in others)))
    return torch.cat(parts) if parts else wide(flat[:, 0])  # (M,)


def sequence_logprob(logp: Tensor, mask: Tensor) -> Tensor:
    """Return s_i = Σ_t log π(y_it) over the kept tokens, (N,), nats; 0 for an empty sequence.

    Parameters
    ----------
    logp : (N, T)
        Token log-probabilities; the padding may hold NaN.
    mask : (N, T) bool
        True = keep.

    Raises
    ------
    TypeError, ValueError
        See :func:`breadth.tensors.masked.check_mask`.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> sequence_logprob(torch.tensor([[-1.0, -2.0]]), torch.tensor([[True, False]]))
    tensor([-1.])
    """
    check_mask(mask, logp, "logp")
    return masked_sum(logp, mask, dim=-1)


def kl_estimate(logp: Tensor, logp_ref: Tensor, kind: str = "k3") -> Tensor:
    """Return a per-element estimate of KL(π‖π_ref) at samples of π. With d = log π − log π_ref:

    ``k1`` = d (unbiased, can be negative), ``k2`` = ½d² (biased, low variance), ``k3`` = e^{−d} − 1 + d (unbiased,
    never negative).

    The *values* of k1 and k3 are unbiased for KL(π‖π_ref); their *gradients* are something else. On-policy the gradient
    of k1 has mean 0, that of k2 is ∇KL(π‖π_ref) and that of k3 is ∇KL(π_ref‖π).

    Parameters
    ----------
    logp, logp_ref : same shape
        Log-probabilities in nats, padding already filled.
    kind : str
        ``k1``, ``k2`` or ``k3``.

    Raises
    ------
    ValueError
        Unknown kind, or shapes that differ.

    Source: Schulman 2020, "Approximating KL divergence" (note); k3 is eq. 4 of arXiv 2402.03300. Departures: no clamp
    (verl clamps d to ±20 and k3 to ±10).

    Examples
    --------
    >>> kl_estimate(torch.tensor([-1.0]), torch.tensor([-1.0]))
    tensor([0.])
    """
    if logp.shape != logp_ref.shape:
        raise ValueError(f"logp_ref: expected shape {tuple(logp.shape)}, as logp, got {tuple(logp_ref.shape)}")
    d = wide(logp) - wide(logp_ref)
    if kind == "k1":
        return d
    if kind == "k2":
        return d * d / 2
    if kind == "k3":
        return torch.expm1(-d) + d
    raise ValueError(f"kind: expected one of k1, k2, k3, got {kind!r}")
