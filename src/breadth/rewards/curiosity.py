"""Curiosity reward: a bonus for tokens whose consequences a small forward model failed to predict."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import check_mask, wide


def curiosity_bonus(
    prediction_error: Tensor, mask: Tensor, *, in_top_k: Tensor | None = None, scored: Tensor | None = None
) -> Tensor:
    """Return the whitened prediction error where the token was not among the policy's first choices, (N, T), else 0.

    Parameters
    ----------
    prediction_error : (N, T)
        ½‖φ(h_{t+1}) − f(φ(h_t), e_t)‖, of whatever features and forward model the caller trains. Padding may be NaN.
    mask : (N, T) bool
        True = a completion token.
    in_top_k : (N, T) bool, optional
        True = the sampled token was among the policy's k likeliest (k = 1 in the source): no bonus. Absent: bonus for
        every token.
    scored : (N,) bool, optional
        False = the rollout takes no part in the mean and the deviation.

    Returns
    -------
    (N, T) float32 or wider
        Whitened = minus the mean, over the population deviation, of all kept tokens of scored rollouts; equal errors
        give 0.

    Raises
    ------
    TypeError
        A mask that is not boolean.
    ValueError
        Shapes that differ, errors of kept tokens that are not finite.

    Source: Sun et al. 2025 (CD-RLHF), arXiv 2501.11463. Departures: (1) padding takes no part in the whitening,
    there it does; (2) the published code calls the negation of this flag ``in_top_k``.

    Examples
    --------
    >>> curiosity_bonus(torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]]))
    tensor([[-1.,  1.,  0.]])
    """
    check_mask(mask, prediction_error, "prediction_error")
    kept = mask if scored is None else mask & scored[:, None]  # (N, T)
    error = wide(prediction_error.detach()).masked_fill(~kept, 0.0)
    if not bool(torch.isfinite(error.sum())):  # one number tells; the count only matters where it is not 0
        bad = int((~torch.isfinite(error)).sum())
        if bad:
            raise ValueError(f"prediction_error: {bad} values of kept tokens are not finite")
    n = kept.sum()
    if not bool(n):
        return torch.zeros_like(error)
    centred = (error - error.sum() / n).masked_fill(~kept, 0.0)
    deviation = (centred.square().sum() / n).sqrt()
    bonus = centred / torch.where(deviation > 0, deviation, 1.0)
    return bonus if in_top_k is None else bonus.masked_fill(in_top_k, 0.0)


def shape_by_curiosity(
    values: Tensor,
    group: Tensor,
    *,
    prediction_error: Tensor,
    mask: Tensor,
    in_top_k: Tensor | None = None,
    scored: Tensor | None = None,
    eta: float = 0.04,
) -> Tensor:
    """Return r_i + η·Σ_t bonus_it, (N,), detached; NaN (unscored) stays.

    Parameters
    ----------
    values : (N,)
    group : (N,) int64
        Not used: the whitening looks at the whole batch.
    prediction_error, mask, in_top_k, scored
        See :func:`curiosity_bonus`.
    eta : float
        η ≥ 0; 0.04 in the source (0.08 for its Llama-3B).

    Raises
    ------
    TypeError, ValueError
        ``eta`` negative, and see :func:`curiosity_bonus`.

    Source: Sun et al. 2025 (CD-RLHF), arXiv 2501.11463. Departures: (1) the bonuses of a sequence are summed into its
    reward, there each token has its own (with γ = 1 and no critic the returns from the first token are the same).

    Examples
    --------
    >>> shape_by_curiosity(torch.zeros(2), torch.tensor([0, 0]), eta=0.5,
    ...                    prediction_error=torch.tensor([[1.0], [3.0]]), mask=torch.ones(2, 1, dtype=torch.bool))
    tensor([-0.5000,  0.5000])
    """
    del group
    check_eta(eta)
    values = wide(values.detach())
    scored = ~torch.isnan(values) if scored is None else scored & ~torch.isnan(values)
    bonus = curiosity_bonus(prediction_error, mask, in_top_k=in_top_k, scored=scored).sum(-1)  # (N,)
    return (values + eta * bonus.to(values.dtype)).masked_fill(~scored, torch.nan)


def check_eta(eta: float) -> None:
    """Raise ValueError unless η ≥ 0."""
    if not eta >= 0:
        raise ValueError(f"eta: expected a number >= 0, got {eta}")
