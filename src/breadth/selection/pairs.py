"""E: preference pairs out of groups of rollouts: the rarest of the good against the commonest of the bad."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_index
from breadth.tensors.masked import wide


@torch.no_grad()
def select_pairs(
    reward: Tensor, group: Tensor, diversity: Tensor, *, rho: float = 0.25, n_pairs: int = 1
) -> Tensor:
    """Return rows of (chosen, rejected), (M, 2) int64, at most ``n_pairs`` for each group.

    Chosen: the most diverse among rewards ≥ max − ρ·(max − min) of the group; rejected: the least diverse among rewards
    ≤ min + ρ·(max − min). The k-th pair joins the k-th of each. Ties in diversity go to the higher reward (chosen) or
    the lower (rejected), then to the earlier row.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored: in no pair.
    group : (N,) int64
    diversity : (N,)
        Larger = rarer; NaN keeps a rollout out. −log π favours long and broken text: divide by length first.
    rho : float
        In [0, ½]: 0 = best and worst only, ½ = everything above and below the middle.
    n_pairs : int
        ≥ 1 per group.

    Returns
    -------
    (M, 2) int64
        Ordered by group label, then k. No pair from a group with equal rewards or fewer than two members that count, and
        none whose chosen reward is not larger than its rejected one.

    Raises
    ------
    ValueError
        ``rho`` or ``n_pairs`` out of range, shapes that differ.

    Source: Lanchantin et al. 2025 (DivPO), arXiv 2501.18101, section 3 and Algorithm 1. Departures: more than one pair
    per prompt is ours.

    Examples
    --------
    >>> select_pairs(torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([0, 0, 0, 0]), torch.tensor([0.1, 0.9, 0.8, 0.2]))
    tensor([[1, 3]])
    """
    if not 0 <= rho <= 0.5:
        raise ValueError(f"rho: expected a number in [0, 0.5], got {rho}")
    if n_pairs < 1:
        raise ValueError(f"n_pairs: expected an integer >= 1, got {n_pairs}")
    if reward.shape != group.shape or diversity.shape != group.shape:
        raise ValueError(
            f"expected reward, group and diversity of one shape (N,), "
            f"got {tuple(reward.shape)}, {tuple(group.shape)} and {tuple(diversity.shape)}"
        )
    reward, diversity = wide(reward.detach()), wide(diversity.detach())
    keep = ~torch.isnan(reward) & ~torch.isnan(diversity)
    index, n = group_index(group)
    fill = reward.new_full((n,), torch.inf)
    low = fill.scatter_reduce(0, index, reward.masked_fill(~keep, torch.inf), "amin")[index]  # (N,)
    high = (-fill).scatter_reduce(0, index, reward.masked_fill(~keep, -torch.inf), "amax")[index]
    slack = rho * (high - low)
    good, bad = keep & (reward >= high - slack), keep & (reward <= low + slack)
    chosen = _first(index, n, good, -diversity, -reward, n_pairs)  # (P, n_pairs), −1 = none
    rejected = _first(index, n, bad, diversity, reward, n_pairs)
    pairs = torch.stack([chosen, rejected], dim=-1).reshape(-1, 2)  # (P·n_pairs, 2)
    pairs = pairs[(pairs >= 0).all(-1)]
    return pairs[reward[pairs[:, 0]] > reward[pairs[:, 1]]]


def _first(index: Tensor, n: int, pool: Tensor, key: Tensor, second: Tensor, count: int) -> Tensor:
    """Return the rows of each group's pool with the smallest (key, second), (P, count), −1 where there are fewer."""
    order = torch.arange(len(index), device=index.device)
    for values in (second, key, (~pool).to(torch.int64), index):  # the last is compared first
        order = order[torch.argsort(values[order], stable=True)]
    size = torch.zeros(n, dtype=torch.int64, device=index.device).index_add(0, index, torch.ones_like(index))
    place = torch.arange(len(index), device=index.device) - (size.cumsum(0) - size)[index[order]]
    taken = pool[order] & (place < count)
    out = torch.full((n, count), -1, dtype=torch.int64, device=index.device)
    out[index[order][taken], place[taken]] = order[taken]
    return out
