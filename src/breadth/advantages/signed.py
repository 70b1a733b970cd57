"""A2: positive and negative sample reinforcement: no baseline, a fixed weight for right and one for wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import wide


def signed_weight(
    reward: Tensor,
    group: Tensor,
    *,
    correct: Tensor,
    scored: Tensor | None = None,
    positive: float = 0.1,
    negative: float = 1.0,
) -> Tensor:
    """Return +``positive`` for correct and −``negative`` for wrong rollouts, (N,); 0 where unscored.

    Not relative to anything: a group of one, or with all rewards equal, has a signal, and advantages do not sum to 0.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored; the rest does not count.
    group : (N,) int64
        Not used.
    correct : (N,) bool
    scored : (N,) bool, optional
    positive, negative : float
        ≥ 0. (1, 0) is positive, (0, 1) negative sample reinforcement, (0.1, 1) the weighted form.

    Raises
    ------
    ValueError
        A negative weight, or both 0.

    Source: Zhu et al. 2025, arXiv 2506.01347, PSR, NSR and W-REINFORCE. Departures: none.

    Examples
    --------
    >>> signed_weight(torch.tensor([1.0, 0.0]), torch.tensor([0, 0]), correct=torch.tensor([True, False]))
    tensor([ 0.1000, -1.0000])
    """
    del group
    check_weights(positive, negative)
    present = ~torch.isnan(reward)
    scored = present if scored is None else present & scored
    values = wide(reward.detach())
    weight = torch.where(correct, positive, 0.0 - negative).to(values.dtype)
    return weight.masked_fill(~scored, 0.0)


def check_weights(positive: float, negative: float) -> None:
    """Raise ValueError for a negative weight, or if both are 0."""
    for name, value in (("positive", positive), ("negative", negative)):
        if not value >= 0:
            raise ValueError(f"{name}: expected a number >= 0, got {value}")
    if positive == negative == 0:
        raise ValueError("positive and negative: expected at least one above 0, got 0 and 0")
