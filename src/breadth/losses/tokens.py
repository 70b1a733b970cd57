"""B: policy losses on tokens. Each returns a matrix, never a scalar, so that every host keeps its own normaliser.

Common arguments: ``logp`` (N, T) with gradient, ``logp_old`` (N, T) of the policy before this batch's updates,
``advantage`` (N,) or (N, T), ``mask`` (N, T) bool with True = a completion token. The padding of any of them may hold
NaN. The statistics are detached scalars, means over the kept tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from breadth.tensors.logprobs import kl_estimate
from breadth.tensors.masked import check_mask, fill_padding

Stats = dict[str, float]

# where an exponential stops growing, with room above it for a factor of 1e12 and a sum; and the largest number
_LIMIT = {kind: (0.68 * math.log(torch.finfo(kind).max), torch.finfo(kind).max) for kind in (torch.float32, torch.float64)}


def reinforce_loss(logp: Tensor, logp_old: Tensor | None, advantage: Tensor, mask: Tensor) -> tuple[Tensor, Stats]:
    """Return −A·log π per token, (N, T), and no statistics.

    Its gradient is right only for samples of the current policy: no importance ratio. ``logp_old`` is not used.

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, or shapes that differ.

    Source: Williams 1992 (REINFORCE). Departures: none.

    Examples
    --------
    >>> logp, mask = torch.tensor([[-1.0, -2.0]]), torch.tensor([[True, True]])
    >>> reinforce_loss(logp, None, torch.tensor([2.0]), mask)[0]
    tensor([[2., 4.]])
    """
    del logp_old
    logp = _filled("logp", logp, mask)
    return -(token_advantage(advantage, logp, mask) * logp), {}


def policy_gradient_loss(logp: Tensor, logp_old: Tensor, advantage: Tensor, mask: Tensor) -> tuple[Tensor, Stats]:
    """Return −A·ρ per token with ρ = π/π_old, (N, T), and the ratio's statistics.

    On-policy (ρ = 1) the gradient is REINFORCE's; off-policy it carries the token-level importance ratio, unclipped.

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, or shapes that differ.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 6 (L^CPI). Departures: none.

    Examples
    --------
    >>> logp = torch.tensor([[-1.0, -2.0]])
    >>> policy_gradient_loss(logp, logp, torch.tensor([2.0]), torch.tensor([[True, True]]))[0]
    tensor([[-2., -2.]])
    """
    log_ratio, ratio, weight = token_ratio(logp, logp_old, advantage, mask)
    return -(weight * ratio), ratio_stats(log_ratio, ratio, mask)


def ppo_clip_loss(
    logp: Tensor,
    logp_old: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
) -> tuple[Tensor, Stats]:
    """Return −min(ρA, clip(ρ, 1 − clip_low, 1 + clip_high)·A) per token, (N, T), and the ratio's statistics.

    With ``dual_clip`` = c the loss of a negative advantage is capped at −c·A: a ratio far above 1 cannot explode.

    Parameters
    ----------
    logp, logp_old, advantage, mask
        See the module.
    clip_low, clip_high : float
        0 ≤ clip_low < 1, clip_high ≥ 0.
    dual_clip : float, optional
        c > 1; None = off. verl's default is 3.

    Returns
    -------
    matrix : (N, T)
    stats : dict
        ``ratio`` (mean), ``kl_old`` (k3 estimate of KL(π_old‖π), nats per token), ``clip_share`` (share of tokens where
        the clip binds, i.e. whose gradient it removes).

    Raises
    ------
    TypeError, ValueError
        Numbers out of range, a mask that is not boolean, shapes that differ.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 7; two clips: Yu et al. 2025 (DAPO), arXiv 2503.14476,
    section 3.1; dual clip: Ye et al. 2019, arXiv 1912.09729. Departures: none.

    Examples
    --------
    >>> old, new = torch.zeros(1, 1), torch.full((1, 1), 0.5)
    >>> matrix, stats = ppo_clip_loss(new, old, torch.tensor([1.0]), torch.tensor([[True]]))
    >>> round(float(matrix), 4), stats["clip_share"]
    (-1.2, 1.0)
    """
    check_clip(clip_low, clip_high, dual_clip)
    log_ratio, ratio, weight = token_ratio(logp, logp_old, advantage, mask)
    free = weight * ratio
    clipped = weight * ratio.clamp(1 - clip_low, 1 + clip_high)
    gain = torch.minimum(free, clipped)
    with torch.no_grad():
        binds = clipped < free
    if dual_clip is not None:
        bound = dual_clip * weight
        with torch.no_grad():
            binds = binds | ((weight < 0) & (gain < bound))
        gain = torch.where(weight < 0, torch.maximum(gain, bound), gain)
    return -gain, ratio_stats(log_ratio, ratio, mask, binds)


def check_clip(clip_low: float, clip_high: float, dual_clip: float | None = None) -> None:
    """Raise ValueError unless 0 ≤ clip_low < 1, clip_high ≥ 0 and dual_clip is None or > 1."""
    if not 0 <= clip_low < 1 or not clip_high >= 0:
        raise ValueError(f"expected 0 <= clip_low < 1 and clip_high >= 0, got {clip_low} and {clip_high}")
    if dual_clip is not None and not dual_clip > 1:
        raise ValueError(f"dual_clip: expected a number > 1 or None, got {dual_clip}")


def reference_penalty(
    logp: Tensor, mask: Tensor, *, logp_ref: Tensor, beta: float, kind: str = "k3"
) -> tuple[Tensor, Stats]:
    """Return β·kl(log π, log π_ref) per token, (N, T), and ``kl_reference``, its mean per token without β, nats.

    The gradient of k3 on samples of π is that of KL(π_ref‖π), not of KL(π‖π_ref): the optimum differs from
    π_ref·exp(r/β). For that use :func:`breadth.advantages.reference.shape_by_reference_kl`.

    Raises
    ------
    TypeError, ValueError
        A negative ``beta``, an unknown kind, a mask that is not boolean, shapes that differ.

    Source: Shao et al. 2024, arXiv 2402.03300, eq. 4. Departures: no importance ratio on the term, as in the paper.

    Examples
    --------
    >>> logp = torch.tensor([[-1.0]])
    >>> reference_penalty(logp, torch.tensor([[True]]), logp_ref=logp, beta=0.1)[0]
    tensor([[0.]])
    """
    if beta < 0:
        raise ValueError(f"beta: expected a number >= 0, got {beta}")
    kl = kl_estimate(_filled("logp", logp, mask), _filled("logp_ref", logp_ref, mask), kind)
    mean = kl.detach().sum() / mask.sum().clamp(min=1)
    return beta * kl, {"kl_reference": float(mean)}


def token_advantage(advantage: Tensor, logp: Tensor, mask: Tensor) -> Tensor:
    """Return the advantage of every token, (N, T) or (N, 1) to be broadcast, detached and in the type of ``logp``.

    Raises
    ------
    ValueError
        Neither (N,) nor (N, T).

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> token_advantage(torch.tensor([2.0]), torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool)).shape
    torch.Size([1, 1])
    """
    advantage = advantage.detach().to(logp.dtype)
    if advantage.shape == logp.shape:
        return advantage.masked_fill(~mask, 0.0)
    if advantage.shape == logp.shape[:1]:
        return advantage[:, None]  # (N, 1)
    n, t = logp.shape
    raise ValueError(f"advantage: expected shape {(n,)} or {(n, t)}, got {tuple(advantage.shape)}")


def _filled(name: str, values: Tensor, mask: Tensor) -> Tensor:
    check_mask(mask, values, name)
    return fill_padding(values, mask)


def token_ratio(logp: Tensor, logp_old: Tensor, advantage: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log ρ (0 in the padding), ρ = π/π_old (see :func:`saturating_exp`) and the advantage (0 in the padding), all (N, T).

    Source: none, arithmetic. Departures: none.
    """
    logp = _filled("logp", logp, mask)
    log_ratio = logp - _filled("logp_old", logp_old.detach(), mask).to(logp.dtype)
    return log_ratio, saturating_exp(log_ratio), token_advantage(advantage, logp, mask) * mask


def saturating_exp(log_ratio: Tensor) -> Tensor:
    """Return exp(log ρ), at most about e^60 in float32 and e^482 in float64; the gradient beyond is that at the bound.

    A ratio that overflows has the gradient 0·∞ = NaN where a clip binds, and there the right one is 0. Below the bound the result is
    that of ``exp``, bit for bit.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> saturating_exp(torch.tensor([0.0, 1e4])) < torch.inf
    tensor([True, True])
    """
    limit, most = _LIMIT[log_ratio.dtype]
    excess = log_ratio.detach().clamp(limit, most) - limit  # 0 below the bound
    return (log_ratio - excess).exp()


@torch.no_grad()
def ratio_stats(log_ratio: Tensor, ratio: Tensor, mask: Tensor, binds: Tensor | None = None) -> Stats:
    """Return ``ratio``, ``kl_old`` (k3) and, if ``binds`` (N, T) bool is given, ``clip_share``: means over tokens.

    Source: none, arithmetic. Departures: none.
    """
    n = mask.sum().clamp(min=1)
    kl = (ratio - 1 - log_ratio).sum() / n  # the padding has ρ = 1 and adds 0
    numbers = {"ratio": 1 + kl + log_ratio.sum() / n, "kl_old": kl}
    if binds is not None:
        numbers["clip_share"] = (binds & mask).sum() / n
    values = torch.stack([number.to(ratio.dtype) for number in numbers.values()]).tolist()  # one transfer from a device
    return dict(zip(numbers, values, strict=True))
