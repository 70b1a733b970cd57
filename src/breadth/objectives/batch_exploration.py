"""Batch exploration: after the GRPO normalisation, a penalty for saying what siblings say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.advantages.exploration import check_exploration, shape_by_repetition
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece


def batch_exploration(
    *, weight: float = 0.1, penalise: str = "all", clip_low: float = 0.2, clip_high: float = 0.2
) -> Objective:
    """Return A_i = GRPO's − c·(copies of the answer among siblings)/n.

    Parameters
    ----------
    weight : float
        c ≥ 0.
    penalise : str
        ``all`` (the paper) or ``wrong``: agreement on the right answer is left alone.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        Unknown option or a number out of range.

    Source: Song, Kempe and Munos 2025, arXiv 2509.06941, Batch. Departures: (1) the default c is ours;
    (2) ``penalise="wrong"``.

    Examples
    --------
    >>> import torch
    >>> batch_exploration(weight=1.0).advantage(reward=torch.ones(4), group=torch.zeros(4, dtype=torch.int64),
    ...     kind=torch.tensor([0, 0, 0, 1]))
    tensor([-0.5000, -0.5000, -0.5000,  0.0000])
    """
    check_exploration(weight=weight, penalise=penalise)
    shaping = {"weight": weight, "penalise": penalise}
    needs = ("kind", *(("correct",) if penalise == "wrong" else ()))
    return Objective(
        name="batch_exploration",
        title="Batch exploration",
        family="policy",
        settings={**shaping, "clip_low": clip_low, "clip_high": clip_high},
        baseline=Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",)),
        shape_advantages=(Piece("A3", shape_by_repetition, shaping, needs, ("scored",), report=report_repetition),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "group_local"),
        source="Song, Kempe and Munos 2025, arXiv 2509.06941, Batch",
        departures=("the default weight is ours", 'penalise="wrong" is ours'),
    )


def report_repetition(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return ``repetition_penalty``: mean of what was taken away, over scored rollouts."""
    del settings
    scored = streams["scored"]
    return {"repetition_penalty": float((before - after)[scored].mean())} if bool(scored.any()) else {}
