"""Random network distillation: a bonus for rollouts whose states a network has not yet learned to recognise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.novelty import NoveltySettings
from breadth.objectives.pieces import centre_piece, clip_piece
from breadth.rewards.novelty import POOLS, shape_by_novelty


def rnd(
    *,
    eta: float = 0.1,
    pool: str = "mean",
    model_rate: float = 1e-4,
    features: int | None = None,
    inner: int | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return r'_i = r_i + η·(error of a predictor at the states of i, in units of its running deviation); then r' − mean r'.

    Parameters
    ----------
    eta : float
        η ≥ 0. The source weighs bonus and reward 1 : 2 in games; with rewards in [0, 1] 0.1 is ours.
    pool : str
        ``mean`` over the completion's states, or ``last``: the final state alone.
    model_rate : float
        Learning rate of the predictor, 1e-4 in the source.
    features, inner : int, optional
        Widths of the random features and of the hidden layers; None = that of the policy's hidden states, and four times it.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Burda et al. 2018, arXiv 1810.12894, sections 2.2 to 2.4. Departures: (1) states are the reference policy's
    final hidden states; (2) pooled over a rollout; (3) no second value head: one advantage per rollout, centred in its
    group; (4) the deviation is of the errors, there of the discounted intrinsic returns.

    Examples
    --------
    >>> import torch
    >>> mask = torch.ones(2, 1, dtype=torch.bool)
    >>> rnd(eta=0.5).advantage(reward=torch.ones(2), group=torch.tensor([0, 0]), mask=mask,
    ...     prediction_error=torch.tensor([[1.0], [3.0]]))
    tensor([-0.5000,  0.5000])
    """
    if not eta >= 0:
        raise ValueError(f"eta: expected a number >= 0, got {eta}")
    if pool not in POOLS:
        raise ValueError(f"pool: expected one of {', '.join(POOLS)}, got {pool!r}")
    shaping = {"eta": eta, "pool": pool}
    model = {"model_rate": model_rate, "features": features, "inner": inner}
    needs = ("prediction_error", "mask")
    return Objective(
        name="rnd",
        title="Random network distillation",
        family="policy",
        settings={**shaping, **model, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(Piece("A1", shape_by_novelty, shaping, needs, ("scored",), report=report_novelty),),
        baseline=centre_piece(),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
        source="Burda et al. 2018, arXiv 1810.12894, sections 2.2 to 2.4",
        departures=(
            "states are the reference policy's final hidden states, pooled over a rollout",
            "no second value head: one advantage per rollout, centred in its group",
            "the deviation is of the errors, there of the discounted intrinsic returns",
        ),
        novelty=NoveltySettings(kind="distillation", learning_rate=model_rate, features=features, inner=inner),
    )


def report_novelty(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the mean and the deviation of the weighted bonus over scored rollouts."""
    del settings
    scored = streams["scored"]
    if not bool(scored.any()):
        return {}
    bonus = (after - before)[scored]
    return {"novelty_bonus": float(bonus.mean()), "novelty_deviation": float(bonus.std(correction=0))}
