"""Positive sample reinforcement: only correct rollouts count, and are pushed up."""

from __future__ import annotations

from breadth.objectives.composition import Objective
from breadth.objectives.w_reinforce import signed_objective


def psr(*, clip_low: float = 0.2, clip_high: float = 0.2) -> Objective:
    """Return PSR: A_i = 1 for correct and 0 for wrong rollouts: no baseline, no deviation.

    Parameters
    ----------
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Zhu et al. 2025, arXiv 2506.01347, PSR. Departures: (1) importance ratio with clip.

    Examples
    --------
    >>> import torch
    >>> psr().advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]),
    ...     correct=torch.tensor([True, False]))
    tensor([1., 0.])
    """
    return signed_objective("psr", "PSR", 1.0, 0.0, {"clip_low": clip_low, "clip_high": clip_high})
