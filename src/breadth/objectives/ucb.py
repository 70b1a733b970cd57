"""UCB exploration: a bonus after the GRPO normalisation for answers that a prompt has rarely seen in all of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.advantages.exploration import check_exploration, shape_by_visits
from breadth.objectives.composition import Aggregation, Piece
from breadth.objectives.pieces import clip_piece
from breadth.objectives.remembering import RememberingObjective
from breadth.rewards.memory import VisitCounts


def ucb(
    *,
    variant: str = "con",
    weight: float = 0.1,
    offset: float = 0.5,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> RememberingObjective:
    """Return A_i = GRPO's + c·b_i with b = min(1, N^{−1/2}) (minus its group mean, or minus a constant).

    Parameters
    ----------
    variant : str
        ``con`` (UCB-Con: b − offset), ``mean`` (UCB-Mean: b − group mean) or ``plain`` (UCB).
    weight : float
        c ≥ 0.
    offset : float
        b₀ of ``con``: 0.5, negative from the fifth visit on.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        Unknown variant or a number out of range.

    Source: Song, Kempe and Munos 2025, arXiv 2509.06941, UCB, UCB-Mean and UCB-Con. Departures: (1) the default c is
    ours; (2) a rollout without an answer gets no bonus.

    Examples
    --------
    >>> objective = ucb(weight=1.0)
    >>> batch = {"reward": [1.0, 0.0], "group": [0, 0], "prompt_id": [3, 3], "key": ["old", "new"]}
    >>> for _ in range(16):
    ...     objective.observe(**{**batch, "key": ["old", None]})
    >>> objective.advantage(**batch)
    tensor([ 0.4570, -0.2070])
    """
    check_exploration(weight=weight, variant=variant)
    shaping = {"variant": variant, "weight": weight, "offset": offset}
    centred = ("group_of_one_zero", "zero_sum") if variant == "mean" else ()
    return RememberingObjective(
        name="ucb",
        title="UCB exploration",
        family="policy",
        settings={**shaping, "clip_low": clip_low, "clip_high": clip_high},
        baseline=Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",)),
        shape_advantages=(Piece("A3", shape_by_visits, shaping, takes=("scored", "count"), report=report_visits),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_local", *centred),
        source="Song, Kempe and Munos 2025, arXiv 2509.06941, UCB, UCB-Mean, UCB-Con",
        departures=("the default weight is ours", "a rollout without an answer gets no bonus"),
        memory=VisitCounts(),
    )


def report_visits(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the mean bonus, the share of answers never seen before, and the mean number of earlier visits."""
    scored, count = streams["scored"], streams["count"]
    answered = scored & (count >= 0)
    if not bool(answered.any()):
        return {}
    visits = count[answered].to(before.dtype)
    return {
        "exploration_bonus": float((after - before)[scored].mean()),
        "new_answer_share": float((visits == 0).to(before.dtype).mean()),
        "visits": float(visits.mean()),
    }
