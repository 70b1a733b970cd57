"""GAPO's reward: how close the frequency of an answer in its group is to the uniform law over the valid answers."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import class_count, group_count
from breadth.tensors.masked import wide


def shape_by_frequency(
    values: Tensor,
    group: Tensor,
    *,
    kind: Tensor,
    correct: Tensor,
    scored: Tensor | None = None,
    n_answers: int | None = None,
    invalid: float = -1.0,
) -> Tensor:
    """Return 1 − |f_i − 1/L| for valid answers and ``invalid`` for the others, (N,), detached.

    f_i is the share of the rollout's class among the valid members of its group, L the number of valid answers that
    exist. The task's reward only says who is scored: GAPO replaces it.

    Parameters
    ----------
    values : (N,)
        Rewards; NaN = unscored, stays NaN and takes no part in any frequency.
    group : (N,) int64
    kind : (N,) int64
        Class inside the group.
    correct : (N,) bool
        True = a valid answer.
    scored : (N,) bool, optional
    n_answers : int, optional
        L. None: the answers are too many to count, 1/L is taken as 0 and the reward is 1 − f_i.
    invalid : float
        Reward of an answer that is not valid.

    Returns
    -------
    (N,) float32 or wider
        The only valid answer of a group has f = 1.

    Raises
    ------
    ValueError
        ``n_answers`` < 1.

    Source: GAPO, arXiv 2511.12596, the frequency-aware reward. Departures: (1) ``n_answers=None`` is not in the paper,
    where L is the length of the list in the prompt.

    Examples
    --------
    >>> one, right = torch.zeros(4, dtype=torch.int64), torch.tensor([True, True, True, False])
    >>> shape_by_frequency(torch.ones(4), one, kind=torch.tensor([0, 0, 1, 2]), correct=right, n_answers=2)
    tensor([ 0.8333,  0.8333,  0.8333, -1.0000])
    >>> shape_by_frequency(torch.ones(4), one, kind=torch.tensor([0, 0, 1, 2]), correct=right)
    tensor([ 0.3333,  0.3333,  0.6667, -1.0000])
    """
    check_n_answers(n_answers)
    values = wide(values.detach())
    scored = ~torch.isnan(values) if scored is None else scored & ~torch.isnan(values)
    right = scored & correct
    alike = class_count(kind, group, keep=right).to(values.dtype)
    frequency = alike / group_count(group, keep=right).clamp(min=1)  # (N,) of valid members
    target = 0.0 if n_answers is None else 1 / n_answers
    reward = torch.where(right, 1 - (frequency - target).abs(), invalid)
    return reward.masked_fill(~scored, torch.nan)


def check_n_answers(n_answers: int | None) -> None:
    """Raise ValueError unless the number of valid answers is unknown or at least 1."""
    if n_answers is not None and n_answers < 1:
        raise ValueError(f"n_answers: expected an integer >= 1 or None, got {n_answers}")
