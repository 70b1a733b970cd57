"""A3: the pull towards a reference policy, written into the advantage where its gradient is exact."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_centre
from breadth.tensors.masked import wide


def shape_by_reference_kl(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    seq_logp_ref: Tensor,
    scored: Tensor | None = None,
    beta: float = 0.01,
    centred: bool = True,
) -> Tensor:
    """Return A_i − β·[(s_i − s_i^ref) − mean over the group's scored members], (N,), detached.

    On-policy, Σ_t A ∇log π_t is then an unbiased gradient of E r − β·KL(π‖π_ref), whose optimum is
    π_ref·exp(r/β)/Z; at that optimum every advantage is 0.

    Parameters
    ----------
    values : (N,)
        Advantages.
    group : (N,) int64
    seq_logp, seq_logp_ref : (N,)
        s_i = Σ_t log π(y_it) of the policy that sampled, and of the reference; nats.
    scored : (N,) bool, optional
        False = no part in the mean, no term.
    beta : float
        β ≥ 0.
    centred : bool
        False leaves the group's mean in (no baseline for the term).

    Returns
    -------
    (N,) float32 or wider
        A group of one gets no term if ``centred``.

    Raises
    ------
    ValueError
        ``beta`` is negative.

    Source: Ziegler et al. 2019, arXiv 1909.08593, eq. 2; the optimum is eq. 4 of Rafailov et al. 2023, arXiv
    2305.18290. Departures: the term is centred in the group, a baseline that leaves the expected gradient unchanged up
    to the same factor (n − 1)/n as the centred reward.

    Examples
    --------
    >>> shape_by_reference_kl(torch.zeros(2), torch.tensor([0, 0]), seq_logp=torch.tensor([-1.0, -3.0]),
    ...                       seq_logp_ref=torch.tensor([-2.0, -2.0]), beta=0.5)
    tensor([-0.5000,  0.5000])
    """
    if beta < 0:
        raise ValueError(f"beta: expected a number >= 0, got {beta}")
    gap = wide(seq_logp.detach()) - wide(seq_logp_ref.detach())
    keep = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
    term = group_centre(gap, group, keep=keep) if centred else gap
    return wide(values.detach()) - beta * term.masked_fill(~keep, 0.0)
