"""Advantages with a value head: generalised advantage estimation, the reward at the last token, the value loss.

Pure functions for PPO with a critic: a value network gives ``value`` (N, T), V of the prefix *before* token t; these
give the advantages (N, T) that every token loss accepts, their whitening, the targets, and the critic's own loss matrix.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from breadth.tensors.masked import check_mask, fill_padding, square_scale, wide


@torch.no_grad()
def terminal_reward(reward: Tensor, mask: Tensor, *, per_token: Tensor | None = None) -> Tensor:
    """Return rewards of tokens, (N, T): the sequence's reward at its last kept token, plus ``per_token`` if given.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored: 0 here; leave such rows out of the critic's mask.
    mask : (N, T) bool
        True = a completion token; a row without any gets no reward.
    per_token : (N, T), optional
        For example −β(log π_old − log π_ref): the KL in the reward.

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, shapes that differ.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> terminal_reward(torch.tensor([2.0]), torch.tensor([[True, True, False]]))
    tensor([[0., 2., 0.]])
    """
    if mask.ndim != 2 or reward.shape != mask.shape[:1]:
        raise ValueError(f"reward: expected shape (N,) and mask (N, T), got {tuple(reward.shape)}, {tuple(mask.shape)}")
    check_mask(mask, mask, "mask")
    position = torch.arange(1, mask.shape[1] + 1, device=mask.device, dtype=torch.int32)
    last = (position * mask).amax(-1).long()  # (N,), 0 for an empty row
    value = wide(reward).nan_to_num(nan=0.0)  # (N,)
    rows = last.nonzero().squeeze(-1)
    out = value.new_zeros(mask.shape)
    out[rows, last[rows] - 1] = value[rows]  # (N, T)
    return out if per_token is None else out + fill_padding(per_token, mask)


@torch.no_grad()
def gae(
    reward: Tensor, value: Tensor, mask: Tensor, *, discount: float = 1.0, trace: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Return advantages Σ_k (γλ)^k δ_{t+k} and value targets A + V, both (N, T), 0 in the padding, detached.

    δ_t = r_t + γ·V_{t+1} − V_t, where t + 1 is the next *kept* token and V after the last one is 0 (a completion ends
    its episode). λ = 1 gives returns minus V, λ = 0 the one-step error.

    Parameters
    ----------
    reward : (N, T)
        Of tokens, see :func:`terminal_reward`.
    value : (N, T)
        V of the prefix before token t, in units of reward.
    mask : (N, T) bool
        True = a completion token. Holes (tool output, say) are skipped over.
    discount, trace : float
        γ and λ in [0, 1]; γ 1 because a completion is one episode of known end.

    Raises
    ------
    TypeError, ValueError
        Numbers out of range, a mask that is not boolean, shapes that differ.

    Source: Schulman et al. 2015, arXiv 1506.02438, eq. 16. Departures: not whitened; whitening mixes groups and
    belongs to the objective.

    Examples
    --------
    >>> mask = torch.tensor([[True, True, False]])
    >>> advantage, target = gae(torch.tensor([[0.0, 1.0, 9.0]]), torch.tensor([[0.5, 0.5, 9.0]]), mask, trace=1.0)
    >>> advantage, target
    (tensor([[0.5000, 0.5000, 0.0000]]), tensor([[1., 1., 0.]]))
    """
    for name, number in (("discount", discount), ("trace", trace)):
        if not 0 <= number <= 1:
            raise ValueError(f"{name}: expected a number in [0, 1], got {number}")
    check_mask(mask, value, "value")
    reward, value = fill_padding(reward, mask), fill_padding(value, mask)
    error = (reward + discount * _next_kept(value, mask) - value).masked_fill_(~mask, 0.0)  # (N, T)
    error = error.T.contiguous()  # (T, N): a step of the recursion reads one row
    ahead = error.new_zeros(error.shape[1])  # (N,)
    if _has_holes(mask):
        decay = torch.where(mask, value.new_tensor(discount * trace), 1.0).T.contiguous()  # (T, N), a hole hands on what is ahead
        for b, a in zip(reversed(error.unbind(0)), reversed(decay.unbind(0)), strict=True):
            ahead = torch.addcmul(b, a, ahead, out=b)
    else:  # behind the last token there is nothing to hand on
        for b in reversed(error.unbind(0)):
            ahead = torch.add(b, ahead, alpha=discount * trace, out=b)
    advantage = error.T.contiguous().masked_fill_(~mask, 0.0)  # (N, T)
    return advantage, advantage + value


def _next_kept(value: Tensor, mask: Tensor) -> Tensor:
    """Return the value of the next kept token after each position, (N, T), 0 where there is none; ``value`` is 0 in the padding."""
    after = torch.zeros_like(value)
    after[:, :-1] = value[:, 1:]
    if not _has_holes(mask):  # the next token, or padding
        return after
    n, t = mask.shape
    place = torch.where(mask, torch.arange(t, device=mask.device), t)  # (N, T), t = nowhere
    place = torch.cat([place[:, 1:], place.new_full((n, 1), t)], dim=1).flip(1).cummin(1).values.flip(1)
    return torch.cat([value, value.new_zeros(n, 1)], dim=1).gather(1, place)


def _has_holes(mask: Tensor) -> bool:
    """Return whether a kept token stands behind one that is not kept."""
    return bool((mask[:, 1:] & ~mask[:, :-1]).any())


def value_loss(
    value: Tensor, target: Tensor, mask: Tensor, *, value_old: Tensor | None = None, clip: float | None = None
) -> tuple[Tensor, dict[str, float]]:
    """Return ½(V − target)² per token, (N, T), or the larger of it and its clipped form, and ``value_clip_share``.

    Parameters
    ----------
    value : (N, T)
        With gradient.
    target : (N, T)
        From :func:`gae`, detached here.
    mask : (N, T) bool
        True = keep.
    value_old : (N, T), optional
        Needed if ``clip`` is given: V before this batch's updates.
    clip : float, optional
        > 0: V is also taken clipped to value_old ± clip.

    Raises
    ------
    TypeError, ValueError
        ``clip`` without ``value_old`` or not positive, a mask that is not boolean, shapes that differ.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 9; the clip is of the OpenAI baselines code. Departures: none.

    Examples
    --------
    >>> value_loss(torch.tensor([[1.0]]), torch.tensor([[3.0]]), torch.tensor([[True]]))[0]
    tensor([[2.]])
    """
    if clip is None:
        value, target = fill_padding(value, mask), fill_padding(target.detach(), mask)
        return (value - target) ** 2 / 2, {}
    if not clip > 0 or value_old is None:
        given = "absent" if value_old is None else "given"
        raise ValueError(f"clip: expected a number > 0 together with value_old, got {clip} and value_old {given}")
    check_mask(mask, value, "value")
    with torch.no_grad():  # gap and slope by hand: half the passes that automatic differentiation makes
        goal = fill_padding(target.detach(), mask)
        gap = fill_padding(value.detach(), mask).sub_(goal)  # V − target
        moved = fill_padding(value_old.detach(), mask).sub_(goal)  # V_old − target
        clipped = gap.clamp(moved - clip, moved + clip)  # the clipped V − target
        outer = clipped.abs() > gap.abs()  # there the clip decides, and its slope is 0
        share = outer.sum() / mask.sum().clamp(min=1)
        slope = gap.masked_fill(outer, 0.0)
        half = torch.where(outer, clipped, gap).square_().div_(2)
    return _Tangent.apply(value, half, slope), {"value_clip_share": float(share)}


class _Tangent(torch.autograd.Function):
    """A function of ``value`` known by its values and its slopes, (N, T) each."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, result: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(slope)
        ctx.dtype = value.dtype
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return (gradient * slope).to(ctx.dtype), None, None


def critic_loss(
    logp: Tensor,
    mask: Tensor,
    *,
    value: Tensor,
    value_target: Tensor,
    coefficient: float,
    value_old: Tensor | None = None,
    clip: float | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Return coefficient·:func:`value_loss`, (N, T), 0 where the target is NaN (unscored), and its statistics.

    Parameters
    ----------
    logp : (N, T)
        Not used: the place of a penalty's first argument.
    mask : (N, T) bool
        True = a completion token.
    value, value_target, value_old, clip
        As in :func:`value_loss`.
    coefficient : float
        > 0.

    Returns
    -------
    matrix : (N, T)
    stats : dict
        ``value_loss``, the mean of ½(V − target)² over the kept tokens of scored rollouts, without the coefficient (0 if
        there are none), and ``value_clip_share``.

    Raises
    ------
    TypeError, ValueError
        As :func:`value_loss`; a coefficient that is not positive.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 9 (c₁). Departures: none.

    Examples
    --------
    >>> nan, mask = float("nan"), torch.tensor([[True], [True]])
    >>> value, target = torch.tensor([[1.0], [1.0]]), torch.tensor([[3.0], [nan]])
    >>> critic_loss(value, mask, value=value, value_target=target, coefficient=0.5)
    (tensor([[1.],
            [0.]]), {'value_loss': 2.0})
    """
    del logp
    if not coefficient > 0:
        raise ValueError(f"coefficient: expected a number > 0, got {coefficient}")
    check_mask(mask, value_target, "value_target")
    known = mask & ~torch.isnan(value_target)
    matrix, stats = value_loss(value, value_target, known, value_old=value_old, clip=clip)
    mean = matrix.detach().sum() / known.sum().clamp(min=1)
    return coefficient * matrix, {"value_loss": float(mean), **stats}


@torch.no_grad()
def whiten_tokens(values: Tensor, keep: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Return (x − mean)/√(variance + eps) over the kept tokens, (N, T), 0 elsewhere and where all kept ones are equal.

    Parameters
    ----------
    values : (N, T)
    keep : (N, T) bool
        True = takes part; with none the result is 0.
    eps : float
        Added to the population variance; 1e-8 as TRL and verl have it.

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, shapes that differ.

    Source: Ziegler et al. 2019, arXiv 1909.08593, its code (whiten). Departures: the variance is the population's.

    Examples
    --------
    >>> whiten_tokens(torch.tensor([[3.0, 1.0, 9.0]]), torch.tensor([[True, True, False]]))
    tensor([[ 1., -1.,  0.]])
    """
    values = fill_padding(values, keep)
    n = keep.sum().clamp(min=1)
    centred = (values - values.sum() / n).masked_fill(~keep, 0.0)
    if not centred.numel():
        return centred
    scale = square_scale(centred.abs().amax())
    centred = centred / scale
    return centred / ((centred**2).sum() / n + eps / scale / scale).sqrt()
