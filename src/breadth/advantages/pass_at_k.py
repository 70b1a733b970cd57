"""A2: the advantage of pass@k training in closed form, for rewards of 0 and 1."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_count
from breadth.tensors.masked import wide


def pass_at_k_advantage(
    reward: Tensor, group: Tensor, *, correct: Tensor, scored: Tensor | None = None, k: int = 4
) -> Tensor:
    """Return each rollout's mean standardised pass@k reward over all k-subsets of its group that contain it, (N,).

    With n scored members, c of them correct, ρ = 1 − C(n−c, k)/C(n, k) and σ = √(ρ(1 − ρ)):
    A₊ = (1 − ρ)/σ and A₋ = (1 − ρ − C(n−c−1, k−1)/C(n−1, k−1))/σ.

    Sums to 0 in every group; k = 1 is GRPO with the population deviation and eps 0. Exactly 0 where every subset passes
    (fewer than k wrong members), where none does, and where n < k.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored; the rest does not count.
    group : (N,) int64
    correct : (N,) bool
    scored : (N,) bool, optional
    k : int
        ≥ 1.

    Raises
    ------
    ValueError
        ``k`` < 1.

    Source: Chen et al. 2025, arXiv 2508.10751, the analytic advantage. Departures: (1) groups with fewer than k scored
    members have no subset and get 0.

    Examples
    --------
    >>> pass_at_k_advantage(torch.tensor([1.0, 0.0, 0.0]), torch.zeros(3, dtype=torch.int64), k=2,
    ...                     correct=torch.tensor([True, False, False]))
    tensor([ 0.7071, -0.3536, -0.3536])
    """
    check_k(k)
    present = ~torch.isnan(reward)
    scored = present if scored is None else present & scored
    right = scored & correct
    n = group_count(group, keep=scored)
    wrong = n - group_count(group, keep=right)
    fails = share_of_subsets(wrong, n, k)  # (N,) = 1 − ρ
    others_fail = share_of_subsets(wrong - 1, n - 1, k - 1)
    deviation = (fails * (1 - fails)).sqrt()
    value = torch.where(right, fails, fails - others_fail)
    live = scored & (deviation > 0) & (n >= k)
    advantage = torch.where(live, value / torch.where(live, deviation, 1.0), 0.0)
    return advantage.to(wide(reward).dtype)


def share_of_subsets(part: Tensor, whole: Tensor, size: int) -> Tensor:
    """Return C(part, size)/C(whole, size), (N,) float64: the share of subsets that lie inside a part.

    0 where the part, or the whole, is smaller than the subset; 1 for size 0.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> share_of_subsets(torch.tensor([3, 1]), torch.tensor([4, 4]), 2)
    tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    step = torch.arange(size, device=part.device)
    above = (part[:, None] - step).clamp(min=0).to(torch.float64)  # (N, size), a 0 if the part is too small
    below = (whole[:, None] - step).clamp(min=1).to(torch.float64)
    return (above / below).prod(-1)


def check_k(k: int) -> None:
    """Raise ValueError unless k ≥ 1."""
    if k < 1:
        raise ValueError(f"k: expected an integer >= 1, got {k}")
