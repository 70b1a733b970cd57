"""Set rewards: what a rollout adds to the best that its group can offer to somebody whose preferences are not known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from breadth.tensors.groups import group_index
from breadth.tensors.masked import wide


def dirichlet_weights(n_rewards: int, *, n_weights: int = 64, alpha: float = 1.0, seed: int = 0) -> Tensor:
    """Return preference weights drawn from a symmetric Dirichlet law, (W, K) float64; every row sums to 1.

    The same arguments give the same draws on every machine.

    Parameters
    ----------
    n_rewards : int
        K ≥ 1.
    n_weights : int
        W ≥ 1.
    alpha : float
        > 0; 1 = uniform on the simplex, smaller = nearer to its corners.
    seed : int

    Raises
    ------
    ValueError
        A number out of range.

    Source: Vector Policy Optimization, arXiv 2605.22817. Departures: its alpha and number of draws are not known to us.

    Examples
    --------
    >>> dirichlet_weights(1, n_weights=2).flatten()
    tensor([1., 1.], dtype=torch.float64)
    """
    check_dirichlet(n_weights=n_weights, alpha=alpha)
    if n_rewards < 1:
        raise ValueError(f"reward_vector: expected at least one reward per rollout, got {n_rewards}")
    draws = np.random.default_rng(seed).dirichlet(np.full(n_rewards, alpha), size=n_weights)
    return torch.from_numpy(draws)


def set_contribution(reward_vector: Tensor, group: Tensor, *, weights: Tensor, scored: Tensor | None = None) -> Tensor:
    """Return V(S) − V(S without i) for each member i of its group S, (N,); V(S) = mean over w of max over S of w·r.

    Only the best member under a weighting w contributes to it, by its lead over the second. Two equal best members
    contribute nothing there: either can be spared.

    Parameters
    ----------
    reward_vector : (N, K)
    group : (N,) int64
    weights : (W, K)
        The same for all groups, so that members are compared under the same preferences.
    scored : (N,) bool, optional
        False = not in the set; NaN comes back.

    Returns
    -------
    (N,) float32 or wider
        ≥ 0 in groups of at least two. V of the empty set is 0: a group of one contributes its own mean w·r.

    Raises
    ------
    ValueError
        Shapes that differ, or numbers of scored rollouts that are not finite.

    Source: Vector Policy Optimization, arXiv 2605.22817, the set reward; leave-one-out form ours. Departures: (1) there
    a rollout writes a whole set of answers and the set's reward goes to all of it; here the group is the set, and
    its reward, equal for all members, would be no signal.

    Examples
    --------
    >>> corners = torch.eye(2)
    >>> vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    >>> set_contribution(vectors, torch.zeros(4, dtype=torch.int64), weights=corners)
    tensor([0.0000, 0.2500, 0.0000, 0.0000])
    """
    if reward_vector.ndim != 2 or len(reward_vector) != len(group):
        raise ValueError(f"reward_vector: expected shape ({len(group)}, K), got {tuple(reward_vector.shape)}")
    if weights.ndim != 2 or weights.shape[1] != reward_vector.shape[1]:
        raise ValueError(f"weights: expected shape (W, {reward_vector.shape[1]}), got {tuple(weights.shape)}")
    vector = wide(reward_vector.detach())
    scored = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
    bad = (scored & ~torch.isfinite(vector).all(-1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(f"reward_vector: {len(bad)} rows of scored rollouts are not finite, first row {bad[0]}")
    index, n = group_index(group)
    out = ~scored[:, None]
    score = vector.masked_fill(out, 0.0) @ weights.to(vector).T  # (N, W)
    score = score.masked_fill(out, -torch.inf)
    best = _group_max(score, index, n)  # (P, W)
    leads = (score == best[index]) & ~out  # (N, W)
    n_leads = score.new_zeros(best.shape).index_add(0, index, leads.to(score.dtype))  # (P, W)
    second = _group_max(score.masked_fill(leads, -torch.inf), index, n)  # (P, W)
    second = torch.where(n_leads > 1, best, second)
    lead = best - torch.where(torch.isinf(second), 0.0, second)  # (P, W) V of the empty set is 0
    return (lead[index] * leads).nan_to_num(nan=0.0, neginf=0.0).mean(-1).masked_fill(~scored, torch.nan)


def shape_by_set_contribution(
    values: Tensor,
    group: Tensor,
    *,
    reward_vector: Tensor,
    scored: Tensor | None = None,
    n_weights: int = 64,
    alpha: float = 1.0,
    seed: int = 0,
) -> Tensor:
    """Return each rollout's contribution to the set reward of its group, (N,), detached; NaN where unscored.

    Parameters
    ----------
    values : (N,)
        Rewards; only NaN (unscored) counts, the vector replaces the rest.
    group : (N,) int64
    reward_vector : (N, K)
    scored : (N,) bool, optional
    n_weights, alpha, seed
        See :func:`dirichlet_weights`. The draws are the same at every step: a fixed quadrature of the mean over w.

    Raises
    ------
    ValueError
        See :func:`dirichlet_weights` and :func:`set_contribution`.

    Source: Vector Policy Optimization, arXiv 2605.22817. Departures: see :func:`set_contribution`; fixed draws.

    Examples
    --------
    >>> shape_by_set_contribution(torch.ones(2), torch.tensor([0, 0]), reward_vector=torch.tensor([[1.0], [0.25]]))
    tensor([0.7500, 0.0000])
    """
    scored = ~torch.isnan(values) if scored is None else scored & ~torch.isnan(values)
    weights = dirichlet_weights(reward_vector.shape[-1], n_weights=n_weights, alpha=alpha, seed=seed)
    return set_contribution(reward_vector, group, weights=weights, scored=scored)


def check_dirichlet(*, n_weights: int, alpha: float) -> None:
    """Raise ValueError for a number of draws or a concentration out of range."""
    if n_weights < 1:
        raise ValueError(f"n_weights: expected an integer >= 1, got {n_weights}")
    if not alpha > 0:
        raise ValueError(f"alpha: expected a number > 0, got {alpha}")


def _group_max(score: Tensor, index: Tensor, n: int) -> Tensor:
    low = score.new_full((n, score.shape[1]), -torch.inf)
    return low.scatter_reduce(0, index[:, None].expand_as(score), score, "amax")  # (P, W)
