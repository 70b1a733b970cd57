"""Unlikeliness reward: among correct siblings, those that the policy already finds likely earn less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece, penalty_pieces
from breadth.rewards.unlikeliness import check_unlikeliness, has_signal, shape_by_unlikeliness


def unlikeliness(
    *,
    weight: float = 0.25,
    level: str = "sequence",
    beta: float = 0.1,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return r'_i = r_i·(1 − weight·rank_i/n), rank 0 = least likely, without degenerate groups; then GRPO, two epochs.

    Parameters
    ----------
    weight : float
        β_rank of the paper, 0.25.
    level : str
        ``sequence`` (paper) or ``per_token`` (code).
    beta : float
        k3 penalty in the loss, 0.1; > 0 needs ``logp_ref``.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        Unknown level or a number out of range.

    Source: He et al. 2025, arXiv 2506.02355, the unlikeliness reward. Departures: see
    :func:`breadth.rewards.unlikeliness.shape_by_unlikeliness`.

    Examples
    --------
    >>> import torch
    >>> unlikeliness(beta=0).advantage(reward=torch.tensor([1.0, 1.0, 0.0]), group=torch.zeros(3, dtype=torch.int64),
    ...     seq_logp=torch.tensor([-1.0, -5.0, -3.0]))
    tensor([ 0.4147,  0.7257, -1.1404])
    """
    check_unlikeliness(weight=weight, level=level)
    shaping = {"weight": weight, "level": level}
    needs = ("seq_logp", *(("length",) if level == "per_token" else ()))
    return Objective(
        name="unlikeliness",
        title="Unlikeliness reward",
        family="policy",
        settings={**shaping, "beta": beta, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(Piece("A1", shape_by_unlikeliness, shaping, needs, ("scored",), report=report_signal),),
        baseline=Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",)),
        loss_piece=clip_piece(clip_low, clip_high),
        penalties=penalty_pieces(beta),
        aggregation=Aggregation("seq_mean_token_mean"),
        invariants=("order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local"),
        source="He et al. 2025, arXiv 2506.02355, unlikeliness reward",
        departures=("tied members share their mean rank", "rewards below 0 are left alone"),
        recommended={"inner_epochs": 2, "minibatches": 1},
    )


def report_signal(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return ``dropped_share``: scored rollouts in groups that had no signal before the change."""
    del after, settings
    scored = streams["scored"]
    if not bool(scored.any()):
        return {}
    live = has_signal(before, streams["group"])[scored]
    return {"dropped_share": 1 - float(live.to(before.dtype).mean())}
