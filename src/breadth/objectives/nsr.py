"""Negative sample reinforcement: only wrong rollouts count, and are pushed down."""

from __future__ import annotations

from breadth.objectives.composition import Objective
from breadth.objectives.w_reinforce import signed_objective


def nsr(*, clip_low: float = 0.2, clip_high: float = 0.2) -> Objective:
    """Return NSR: A_i = −1 for wrong and 0 for correct rollouts: no baseline, no deviation.

    Parameters
    ----------
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Zhu et al. 2025, arXiv 2506.01347, NSR. Departures: (1) importance ratio with clip.

    Examples
    --------
    >>> import torch
    >>> nsr().advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]),
    ...     correct=torch.tensor([True, False]))
    tensor([ 0., -1.])
    """
    return signed_objective("nsr", "NSR", 0.0, 1.0, {"clip_low": clip_low, "clip_high": clip_high})
