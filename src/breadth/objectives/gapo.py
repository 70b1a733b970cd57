"""GAPO: reward an answer for how close its frequency in the group is to uniform over the valid answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece
from breadth.rewards.frequency import check_n_answers, shape_by_frequency


def gapo(
    *, n_answers: int | None = None, invalid: float = -1.0, clip_low: float = 0.2, clip_high: float = 0.2
) -> Objective:
    """Return GAPO: r'_i = 1 − |f_i − 1/L| if the answer is valid, else −1; then GRPO.

    Parameters
    ----------
    n_answers : int, optional
        L, how many valid answers exist. None: too many to count, 1/L is taken as 0.
    invalid : float
        Reward of an answer that is not valid: −1.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: GAPO, arXiv 2511.12596, the frequency-aware reward. Departures: (1) ``n_answers=None``; (2) its training
    settings are not known to us, the host is ``grpo``.

    Examples
    --------
    >>> import torch
    >>> gapo(n_answers=2).advantage(reward=torch.ones(3), group=torch.zeros(3, dtype=torch.int64),
    ...     kind=torch.tensor([0, 0, 1]), correct=torch.tensor([True, True, False]))
    tensor([ 0.5773,  0.5773, -1.1546])
    """
    check_n_answers(n_answers)
    shaping = {"n_answers": n_answers, "invalid": invalid}
    return Objective(
        name="gapo",
        title="GAPO",
        family="policy",
        settings={**shaping, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(
            Piece("A1", shape_by_frequency, shaping, ("kind", "correct"), ("scored",), report=report_frequency),
        ),
        baseline=Piece("A2", standardise, {"ddof": 1, "eps": 1e-4}, takes=("scored",)),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum", "group_local"),
        source="arXiv 2511.12596, frequency-aware reward",
        departures=("n_answers=None takes 1/L as 0", "host and its numbers are those of grpo"),
    )


def report_frequency(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return ``frequency_reward``: mean of the new reward over valid answers."""
    del before, settings
    valid = streams["scored"] & streams["correct"]
    return {"frequency_reward": float(torch.mean(after[valid]))} if bool(valid.any()) else {}
