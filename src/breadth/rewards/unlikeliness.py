"""Unlikeliness reward: among siblings, a correct answer that the policy finds likely keeps less of its reward."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_centre, group_count, group_rank, group_sum
from breadth.tensors.masked import wide

LEVELS = ("sequence", "per_token")


def shape_by_unlikeliness(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    length: Tensor | None = None,
    scored: Tensor | None = None,
    weight: float = 0.25,
    level: str = "sequence",
) -> Tensor:
    """Return r_i·(1 − weight·rank_i/n) for positive rewards, (N,), detached; rank 0 = least likely of the group.

    A group whose rewards are all equal keeps them: it had no signal before the change and must have none after it. Else
    the ranks alone would give an all-correct group a full-sized signal once a baseline divides by the deviation.

    Parameters
    ----------
    values : (N,)
        Rewards; NaN = unscored, stays NaN and has no rank. Rewards ≤ 0 stay as they are: the factor would lift a bad
        answer for being likely.
    group : (N,) int64
    seq_logp : (N,)
        Under the policy that sampled, nats.
    length : (N,) int64, optional
        Tokens, for ``level="per_token"``.
    scored : (N,) bool, optional
    weight : float
        In [0, 1].
    level : str
        ``sequence`` (the paper: ranks by sequence probability) or ``per_token`` (the code: by mean token log-prob).

    Returns
    -------
    (N,) float32 or wider
        n counts the scored members of the group. Members that are equally likely share the mean of their ranks.

    Raises
    ------
    ValueError
        Unknown level, ``weight`` out of range, ``length`` absent where it is needed.

    Source: He et al. 2025, arXiv 2506.02355, the unlikeliness reward. Departures: (1) the rank counts from 0 for the
    least likely; counted from the likeliest the factors differ by weight/n. (2) tied members share their mean rank,
    the code's order among them is that of the batch. (3) rewards below 0 are left alone.

    Examples
    --------
    >>> one, seq_logp = torch.zeros(4, dtype=torch.int64), torch.tensor([-1.0, -2.0, -3.0, -4.0])
    >>> shape_by_unlikeliness(torch.tensor([1.0, 1.0, 0.0, 0.0]), one, seq_logp=seq_logp)
    tensor([0.8125, 0.8750, 0.0000, 0.0000])
    >>> shape_by_unlikeliness(torch.ones(4), one, seq_logp=seq_logp)
    tensor([1., 1., 1., 1.])
    """
    check_unlikeliness(weight=weight, level=level)
    values = wide(values.detach())
    scored = ~torch.isnan(values) if scored is None else scored & ~torch.isnan(values)
    values = values.masked_fill(~scored, torch.nan)
    likely = wide(seq_logp.detach())
    if level == "per_token":
        if length is None:
            raise ValueError("level='per_token' needs the stream `length` (N,) int64")
        likely = likely / length.clamp(min=1)
    rank = group_rank(likely, group, keep=scored).to(values.dtype)
    shaped = values - weight * values.clamp(min=0) * rank / group_count(group, keep=scored)
    return torch.where(has_signal(values, group), shaped, values)


def has_signal(values: Tensor, group: Tensor) -> Tensor:
    """Return whether the rewards of each rollout's group differ, (N,) bool; NaN = unscored takes no part.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> has_signal(torch.tensor([1.0, 1.0, 1.0, 0.0]), torch.tensor([0, 0, 1, 1])).tolist()
    [False, False, True, True]
    """
    return group_sum(group_centre(values, group).abs(), group) > 0


def check_unlikeliness(*, weight: float, level: str) -> None:
    """Raise ValueError for a level that nobody knows or a weight out of range."""
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {', '.join(LEVELS)}, got {level!r}")
    if not 0 <= weight <= 1:
        raise ValueError(f"weight: expected a number in [0, 1], got {weight}")
