"""W-REINFORCE: push wrong rollouts down at full weight and right ones up at a tenth of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.signed import check_weights, signed_weight
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece


def w_reinforce(*, positive: float = 0.1, clip_low: float = 0.2, clip_high: float = 0.2) -> Objective:
    """Return A_i = positive for correct and −1 for wrong rollouts: no baseline, no deviation.

    Parameters
    ----------
    positive : float
        λ ≥ 0; 0.1 in the paper. 0 is ``nsr``.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Zhu et al. 2025, arXiv 2506.01347, W-REINFORCE. Departures: (1) importance ratio with clip.

    Examples
    --------
    >>> import torch
    >>> w_reinforce().advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]),
    ...     correct=torch.tensor([True, False]))
    tensor([ 0.1000, -1.0000])
    """
    settings = {"positive": positive, "clip_low": clip_low, "clip_high": clip_high}
    return signed_objective("w_reinforce", "W-REINFORCE", positive, 1.0, settings)


def signed_objective(name: str, title: str, positive: float, negative: float, settings: Mapping[str, Any]) -> Objective:
    """Return the objective with these two weights; ``settings`` are the caller's, with ``clip_low`` and ``clip_high``."""
    check_weights(positive, negative)
    weights = {"positive": positive, "negative": negative}
    return Objective(
        name=name,
        title=title,
        family="policy",
        settings=settings,
        baseline=Piece("A2", signed_weight, weights, ("correct",), ("scored",), report=report_signs),
        loss_piece=clip_piece(settings["clip_low"], settings["clip_high"]),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_local"),
        source=f"Zhu et al. 2025, arXiv 2506.01347, {title}",
        departures=("importance ratio with clip",),
    )


def report_signs(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the share of scored rollouts that are pushed up and down, and the mean advantage: the drift of the mass."""
    del before, settings
    kept = after[streams["scored"]]
    if len(kept) == 0:
        return {}
    return {
        "pushed_up_share": float((kept > 0).to(kept.dtype).mean()),
        "pushed_down_share": float((kept < 0).to(kept.dtype).mean()),
        "advantage_mean": float(kept.mean()),
    }
