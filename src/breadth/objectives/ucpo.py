"""UCPO: GRPO whose positive mass is dealt out so that rare correct answers get more of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.advantages.uniformity import check_uniformity, shape_by_uniformity
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece


def ucpo(
    *, tau: float = 0.2, power: float = 1.0, level: str = "per_token", clip_low: float = 0.2, clip_high: float = 0.2
) -> Objective:
    """Return UCPO: A_i = M·[(1 − τ)/n_c + τ·w_i/Σw], w = 1/q^power, for correct rollouts, M their GRPO sum.

    Parameters
    ----------
    tau : float
        τ in [0, 1], 0.2 in the code.
    power : float
        Of the inverse probabilities; 1 in the code. Proportions among correct answers even out only above 1.
    level : str
        ``per_token`` (the code: q from mean token log-probabilities) or ``sequence``.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        Unknown level or a number out of range.

    Source: Lochab, Li and Zhang 2026, arXiv 2605.00365, the code's redistribution. Departures: (1) rewards that are not
    binary keep the sum of their advantages; (2) ``level="sequence"`` and ``power`` are ours.

    Examples
    --------
    >>> import torch
    >>> ucpo(tau=1.0).advantage(reward=torch.tensor([1.0, 1.0, 0.0]), group=torch.zeros(3, dtype=torch.int64),
    ...     correct=torch.tensor([True, True, False]), seq_logp=torch.tensor([0.75, 0.25, 0.5]).log(),
    ...     length=torch.tensor([1, 1, 1]))
    tensor([ 0.2886,  0.8659, -1.1545])
    """
    check_uniformity(tau=tau, power=power, level=level)
    shaping = {"tau": tau, "power": power, "level": level}
    needs = ("correct", "seq_logp", *(("length",) if level == "per_token" else ()))
    return Objective(
        name="ucpo",
        title="UCPO",
        family="policy",
        settings={**shaping, "clip_low": clip_low, "clip_high": clip_high},
        baseline=Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",)),
        shape_advantages=(Piece("A3", shape_by_uniformity, shaping, needs, ("scored",), report=report_redistribution),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local"),
        source="Lochab, Li and Zhang 2026, arXiv 2605.00365, redistribution",
        departures=(
            "rewards that are not binary keep the sum of their advantages",
            'level="sequence" and power are ours',
        ),
    )


def report_redistribution(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the share of scored rollouts whose advantage changed, and the mean size of the change among them."""
    del settings
    scored = streams["scored"]
    if not bool(scored.any()):
        return {}
    change = (after - before)[scored].abs()
    moved = change > 0
    stats = {"redistributed_share": float(moved.to(change.dtype).mean())}
    return {**stats, "redistributed_size": float(change[moved].mean())} if bool(moved.any()) else stats
