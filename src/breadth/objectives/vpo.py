"""Vector policy optimisation: reward a rollout for what it adds to the best that its group offers under any preference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece
from breadth.rewards.set_reward import check_dirichlet, shape_by_set_contribution


def vpo(
    *, n_weights: int = 64, alpha: float = 1.0, seed: int = 0, clip_low: float = 0.2, clip_high: float = 0.2
) -> Objective:
    """Return r'_i = V(S) − V(S without i), V(S) = E_w max_{y in S} w·r(y), w Dirichlet, the same for all; then GRPO.

    Parameters
    ----------
    n_weights : int
        How many preferences are drawn.
    alpha : float
        Concentration of the Dirichlet law; 1 = uniform on the simplex.
    seed : int
        Of the draws, which are the same at every step.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Bahlous-Boldi et al. 2026, arXiv 2605.22817. Departures: (1) leave-one-out contributions of single rollouts,
    there a rollout writes the whole set; (2) fixed draws; (3) alpha and the number of draws are ours.

    Examples
    --------
    >>> import torch
    >>> vpo(alpha=1e-3).advantage(reward=torch.ones(3), group=torch.zeros(3, dtype=torch.int64),
    ...     reward_vector=torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).sign()
    tensor([-1., -1.,  1.])
    """
    check_dirichlet(n_weights=n_weights, alpha=alpha)
    shaping = {"n_weights": n_weights, "alpha": alpha, "seed": seed}
    return Objective(
        name="vpo",
        title="Vector policy optimisation (leave-one-out)",
        family="policy",
        settings={**shaping, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(
            Piece(
                "A1", shape_by_set_contribution, shaping, ("reward_vector",), ("scored",), report=report_contribution
            ),
        ),
        baseline=Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",)),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
        source="Bahlous-Boldi et al. 2026, arXiv 2605.22817, set reward",
        departures=(
            "leave-one-out contributions of single rollouts, there a rollout writes the whole set",
            "the same draws at every step",
            "alpha and the number of draws are ours",
        ),
    )


def report_contribution(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the mean contribution and the share of scored rollouts that can be spared."""
    del before, settings
    kept = after[streams["scored"]]
    if len(kept) == 0:
        return {}
    return {"contribution": float(kept.mean()), "spare_share": float((kept == 0).to(kept.dtype).mean())}
