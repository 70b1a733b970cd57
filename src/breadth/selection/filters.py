"""E: which rollouts of a batch are learned from: groups that are neither solved nor hopeless, or the top of the batch."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_count, group_index, group_mean
from breadth.tensors.masked import wide


@torch.no_grad()
def mixed_groups(
    correct: Tensor,
    group: Tensor,
    *,
    scored: Tensor | None = None,
    min_rate: float = 0.0,
    max_rate: float = 1.0,
) -> Tensor:
    """Return True for the members of groups with min_rate < share of correct < max_rate, (N,) bool.

    On *correctness*, and before any shaping: a diversity reward would make nearly every group look mixed.

    Parameters
    ----------
    correct : (N,) bool
    group : (N,) int64
    scored : (N,) bool, optional
        False = not counted in the share; such a rollout stays with its group.
    min_rate, max_rate : float
        Open interval; 0 and 1 drop groups that are all wrong or all right.

    Returns
    -------
    (N,) bool
        False in groups without a scored member.

    Raises
    ------
    TypeError
        ``correct`` is not boolean.
    ValueError
        Not 0 ≤ min_rate < max_rate ≤ 1.

    Source: Yu et al. 2025 (DAPO), arXiv 2503.14476, section 3.2, eq. 11. Departures: none; drawing further prompts
    until the batch is full is the trainer's.

    Examples
    --------
    >>> mixed_groups(torch.tensor([True, False, True, True]), torch.tensor([0, 0, 1, 1]))
    tensor([ True,  True, False, False])
    """
    if correct.dtype != torch.bool:
        raise TypeError(f"correct: expected dtype torch.bool, got {correct.dtype}; pass correct.bool()")
    if not 0 <= min_rate < max_rate <= 1:
        raise ValueError(f"expected 0 <= min_rate < max_rate <= 1, got {min_rate} and {max_rate}")
    keep = torch.ones_like(correct) if scored is None else scored
    rate = group_mean(wide(correct), group, keep=keep)  # (N,), NaN where nobody is scored: compares False
    return (rate > min_rate) & (rate < max_rate)


@torch.no_grad()
def top_share(
    reward: Tensor, group: Tensor, *, share: float = 0.5, scored: Tensor | None = None, within: str = "batch"
) -> Tensor:
    """Return True for the ⌈share·n⌉ scored rollouts of largest reward, (N,) bool, of the batch or of each group.

    All that tie with the last of them are selected too, so that the order of the batch decides nothing.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored: never selected.
    group : (N,) int64
    share : float
        In (0, 1].
    scored : (N,) bool, optional
    within : str
        ``batch`` (as published) or ``group``.

    Raises
    ------
    ValueError
        ``share`` out of range, or an unknown ``within``.

    Source: Thomas et al. 2022 (Augmented Hill-Climb), J. Cheminformatics 14:68. Departures: (1) within groups is ours;
    (2) ties at the edge stay, the original takes the first of a sorted batch.

    Examples
    --------
    >>> top_share(torch.tensor([0.1, 0.9, 0.5, float("nan")]), torch.zeros(4).long())
    tensor([False,  True,  True, False])
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number in (0, 1], got {share}")
    if within not in ("batch", "group"):
        raise ValueError(f"within: expected 'batch' or 'group', got {within!r}")
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    reward = wide(reward).masked_fill(~keep, -torch.inf)
    label, n = group_index(group) if within == "group" else (torch.zeros_like(group), 1)
    order = torch.argsort(reward, descending=True, stable=True)
    order = order[torch.argsort(label[order], stable=True)]
    size = torch.zeros(n, dtype=torch.int64, device=group.device).index_add(0, label, torch.ones_like(label))  # (P,)
    place = torch.arange(len(order), device=order.device) - (size.cumsum(0) - size)[label[order]]
    within_limit = place < (share * group_count(label, keep=keep)).ceil()[order]
    edge = reward.new_full((n,), torch.inf)
    edge = edge.scatter_reduce(0, label[order], reward[order].masked_fill(~within_limit, torch.inf), "amin")  # (P,)
    return keep & (reward >= edge[label])
