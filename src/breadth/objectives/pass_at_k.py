"""Pass@k training: the advantage of being in a set of k rollouts of which one must be right, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.advantages.pass_at_k import check_k, pass_at_k_advantage
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece
from breadth.tensors.groups import group_count


def pass_at_k(*, k: int = 4, clip_low: float = 0.2, clip_high: float = 0.2) -> Objective:
    """Return the analytic pass@k advantage: A₊ = (1 − ρ)/σ, A₋ = (1 − ρ − C(n−c−1, k−1)/C(n−1, k−1))/σ.

    Parameters
    ----------
    k : int
        ≥ 1 and at most the group size. 1 is GRPO with the population deviation and eps 0.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Chen et al. 2025, arXiv 2508.10751, the analytic advantage. Departures: (1) groups with fewer than k scored
    members get 0; (2) the default k is ours.

    Examples
    --------
    >>> import torch
    >>> pass_at_k(k=2).advantage(reward=torch.tensor([1.0, 0.0, 0.0]), group=torch.zeros(3, dtype=torch.int64),
    ...     correct=torch.tensor([True, False, False]))
    tensor([ 0.7071, -0.3536, -0.3536])
    """
    check_k(k)
    return Objective(
        name="pass_at_k",
        title="Pass@k training",
        family="policy",
        settings={"k": k, "clip_low": clip_low, "clip_high": clip_high},
        baseline=Piece("A2", pass_at_k_advantage, {"k": k}, ("correct",), ("scored",), report=report_pass),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum", "group_local"),
        source="Chen et al. 2025, arXiv 2508.10751, analytic advantage",
        departures=("groups with fewer than k scored members get 0", "the default k is ours"),
    )


def report_pass(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the share of scored rollouts whose group passes with every subset of k, and that are in too small a group."""
    del after
    scored, group = streams["scored"], streams["group"]
    if not bool(scored.any()):
        return {}
    n = group_count(group, keep=scored)
    wrong = n - group_count(group, keep=scored & streams["correct"])
    shares = {"passed_share": (wrong < settings["k"]) & (n >= settings["k"]), "small_group_share": n < settings["k"]}
    return {name: float(rows[scored].to(before.dtype).mean()) for name, rows in shares.items()}
