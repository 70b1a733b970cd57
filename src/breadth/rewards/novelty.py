"""Exploration bonus: what a network has not yet learned of a rollout's states is paid for."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import check_mask, wide

POOLS = ("mean", "last")


def novelty_bonus(prediction_error: Tensor, mask: Tensor, *, pool: str = "mean") -> Tensor:
    """Return one bonus per rollout, (N,): the mean of its tokens' prediction errors, or the error after its last token.

    Parameters
    ----------
    prediction_error : (N, T)
        After each token, in units of its running deviation. Padding may be NaN.
    mask : (N, T) bool
        True = a completion token.
    pool : str
        ``mean`` or ``last``.

    Returns
    -------
    (N,) float32 or wider
        0 for a rollout without tokens.

    Raises
    ------
    TypeError
        A mask that is not boolean.
    ValueError
        Unknown pool, shapes that differ.

    Source: Burda et al. 2018, arXiv 1810.12894, section 2.2 (the error as the bonus). Departures: states are pooled over
    a rollout, there every environment step has its own bonus.

    Examples
    --------
    >>> error, mask = torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]])
    >>> novelty_bonus(error, mask), novelty_bonus(error, mask, pool="last")
    (tensor([2.]), tensor([3.]))
    """
    if pool not in POOLS:
        raise ValueError(f"pool: expected one of {', '.join(POOLS)}, got {pool!r}")
    check_mask(mask, prediction_error, "prediction_error")
    error = wide(prediction_error.detach()).masked_fill(~mask, 0.0)  # (N, T)
    length = mask.sum(-1)  # (N,)
    if pool == "mean":
        return error.sum(-1) / length.clamp(min=1)
    last = (mask.cumsum(-1) == length[:, None]) & mask  # (N, T), at most one per row
    return (error * last).sum(-1)


def shape_by_novelty(
    values: Tensor,
    group: Tensor,
    *,
    prediction_error: Tensor,
    mask: Tensor,
    scored: Tensor | None = None,
    eta: float = 0.1,
    pool: str = "mean",
) -> Tensor:
    """Return r_i + η·(bonus of i), (N,), detached; NaN (unscored) stays.

    Parameters
    ----------
    values : (N,)
    group : (N,) int64
        Not used: the error is in units of its own history.
    prediction_error, mask, pool
        See :func:`novelty_bonus`.
    scored : (N,) bool, optional
    eta : float
        η ≥ 0.

    Raises
    ------
    TypeError, ValueError
        ``eta`` negative, errors of scored rollouts that are not finite, and see :func:`novelty_bonus`.

    Source: Burda et al. 2018, arXiv 1810.12894. Departures: one return: there intrinsic and extrinsic returns have a
    value head each.

    Examples
    --------
    >>> shape_by_novelty(torch.zeros(2), torch.tensor([0, 0]), eta=0.5,
    ...                  prediction_error=torch.tensor([[1.0], [3.0]]), mask=torch.ones(2, 1, dtype=torch.bool))
    tensor([0.5000, 1.5000])
    """
    del group
    if not eta >= 0:
        raise ValueError(f"eta: expected a number >= 0, got {eta}")
    values = wide(values.detach())
    scored = ~torch.isnan(values) if scored is None else scored & ~torch.isnan(values)
    bonus = novelty_bonus(prediction_error, mask, pool=pool)  # (N,)
    bad = int((scored & ~torch.isfinite(bonus)).sum())
    if bad:
        raise ValueError(f"prediction_error: {bad} scored rollouts have tokens whose error is not finite")
    return (values + eta * bonus.to(values.dtype)).masked_fill(~scored, torch.nan)
