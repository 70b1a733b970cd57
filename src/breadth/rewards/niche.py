"""Rewards that are shared by the answers of a niche, so that no niche pays for being crowded."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import wide


def niche_count(
    group: Tensor, *, distance: Tensor, radius: float, parsable: Tensor | None = None, scored: Tensor | None = None
) -> Tensor:
    """Return m_i, how many members of its group stand in the niche of each rollout, itself among them.

    m_i = 1 + #{j ≠ i in the group, parsable and scored: d_ij ≤ radius}; 1 for a rollout that is unparsable or unscored.

    Parameters
    ----------
    group : (N,) int64
    distance : (N, N) float in [0, 1]
        Entries outside a group are ignored.
    radius : float
        Answers at most this far apart share a niche.
    parsable, scored : (N,) bool, optional
        Others take no part. Absent = all do.

    Returns
    -------
    (N,) float32 or wider, ≥ 1

    Raises
    ------
    ValueError
        ``radius`` outside [0, 1), or distances of another shape.

    Source: Goldberg and Richardson 1987, Genetic algorithms with sharing, the niche count with a step-shaped sharing function.
    Departures: none.

    Examples
    --------
    >>> distance = torch.tensor([[0.0, 0.2, 0.9], [0.2, 0.0, 0.9], [0.9, 0.9, 0.0]])
    >>> niche_count(torch.zeros(3).long(), distance=distance, radius=0.65)
    tensor([2., 2., 1.])
    """
    n = len(group)
    if not 0 <= radius < 1:
        raise ValueError(f"radius: expected a distance in [0, 1), got {radius}")
    if distance.shape != (n, n):
        raise ValueError(f"distance: expected {n} × {n} numbers, one row per rollout, got {tuple(distance.shape)}")
    keep = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
    keep = keep if parsable is None else keep & parsable
    near = (group[:, None] == group) & keep[:, None] & keep & (distance <= radius)
    near = near & ~torch.eye(n, dtype=torch.bool, device=group.device)
    return 1 + near.sum(-1).to(wide(distance).dtype)


def share_in_niche(
    values: Tensor,
    group: Tensor,
    *,
    distance: Tensor,
    radius: float,
    strength: float,
    parsable: Tensor | None = None,
    scored: Tensor | None = None,
) -> Tensor:
    """Return r_i − strength·ln m_i, (N,); NaN stays NaN.

    In the exponent of π ∝ π_ref·exp(σr) it divides an answer's weight by its niche count to the power σ·strength: fitness
    sharing, f/m, at strength 1/σ.

    Parameters
    ----------
    values : (N,) float
        Rewards; NaN = unscored.
    strength : float
        ≥ 0, in units of the reward; 0 changes nothing.
    group, distance, radius, parsable, scored
        See :func:`niche_count`.

    Raises
    ------
    ValueError
        ``strength`` < 0, and what :func:`niche_count` refuses.

    Source: Goldberg and Richardson 1987 (fitness sharing). Departures: the logarithm of the niche count is subtracted; the
    source divides the fitness by the count.

    Examples
    --------
    >>> distance = torch.tensor([[0.0, 0.2, 0.9], [0.2, 0.0, 0.9], [0.9, 0.9, 0.0]])
    >>> share_in_niche(torch.ones(3), torch.zeros(3).long(), distance=distance, radius=0.65, strength=0.5)
    tensor([0.6534, 0.6534, 1.0000])
    """
    if not strength >= 0:
        raise ValueError(f"strength: expected a number >= 0, got {strength}")
    count = niche_count(group, distance=distance, radius=radius, parsable=parsable, scored=scored)
    return wide(values) - strength * count.log()
