"""Curiosity-driven RLHF: a bonus for tokens whose consequences a forward model did not foresee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece, reference_piece
from breadth.rewards.curiosity import check_eta, shape_by_curiosity


def curiosity(*, eta: float = 0.04, beta: float = 0.1, clip_low: float = 0.2, clip_high: float = 0.2) -> Objective:
    """Return r'_i = r_i + η·Σ_t whitened prediction error of tokens that were not the first choice; then r' − mean r'.

    Parameters
    ----------
    eta : float
        η, 0.04 (0.08 for the source's Llama-3B).
    beta : float
        KL towards the reference in the advantage, 0.1; 0 switches it off.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Sun et al. 2025 (CD-RLHF), arXiv 2501.11463. Departures: (1) the curiosity module is not built here: whoever
    calls this trains it and hands over ``prediction_error`` and ``in_top_k``; (2) no critic, one advantage per
    rollout, centred in its group; (3) padding takes no part in the whitening; (4) rewards are not clipped at 2.5.

    Examples
    --------
    >>> import torch
    >>> mask = torch.ones(2, 1, dtype=torch.bool)
    >>> curiosity(eta=0.5, beta=0.0).advantage(reward=torch.ones(2), group=torch.tensor([0, 0]), mask=mask,
    ...     prediction_error=torch.tensor([[1.0], [3.0]]), in_top_k=~mask)
    tensor([-0.5000,  0.5000])
    """
    check_eta(eta)
    needs = ("prediction_error", "in_top_k", "mask")
    reference = reference_piece(beta)
    return Objective(
        name="curiosity",
        title="Curiosity reward (CD-RLHF)",
        family="policy",
        settings={"eta": eta, "beta": beta, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(Piece("A1", shape_by_curiosity, {"eta": eta}, needs, ("scored",), report=report_curiosity),),
        baseline=centre_piece(),
        shape_advantages=(reference,) if beta else (),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum"),
        source="Sun et al. 2025, arXiv 2501.11463",
        departures=(
            "the curiosity module is not built here, its prediction errors are a stream",
            "no critic: one advantage per rollout, centred in its group",
            "padding takes no part in the whitening",
            "rewards are not clipped at 2.5",
        ),
    )


def report_curiosity(
    before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, float]:
    """Return the deviation of the bonus over scored rollouts, and the share of tokens that may have one."""
    del settings
    scored = streams["scored"]
    kept = streams["mask"] & scored[:, None]
    if not bool(kept.any()):
        return {}
    return {
        "curiosity_deviation": float((after - before)[scored].std(correction=0)),
        "curiosity_token_share": float((~streams["in_top_k"])[kept].to(after.dtype).mean()),
    }
