"""Curiosity-driven RLHF: a bonus for tokens whose consequences a forward model did not foresee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.novelty import NoveltySettings
from breadth.objectives.pieces import centre_piece, clip_piece, reference_piece
from breadth.rewards.curiosity import check_eta, shape_by_curiosity


def curiosity(
    *,
    eta: float = 0.04,
    beta: float = 0.1,
    top_k: int = 1,
    model_rate: float = 1e-5,
    features: int | None = None,
    inner: int | None = None,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return r'_i = r_i + η·Σ_t whitened prediction error of tokens that were not the first choice; then r' − mean r'.

    Parameters
    ----------
    eta : float
        η, 0.04 (0.08 for the source's Llama-3B).
    beta : float
        KL towards the reference in the advantage, 0.1; 0 switches it off.
    top_k : int
        No bonus for a token among the policy's k likeliest; 1.
    model_rate : float
        Learning rate of the forward model's own Adam, 1e-5 in the source's scripts.
    features, inner : int, optional
        Widths of the features and of the forward model's hidden layers; None = that of the policy's hidden states, and
        four times it.
    clip_low, clip_high : float
        0.2 each (PPO).

    Raises
    ------
    ValueError
        A number out of range.

    Source: Sun et al. 2025 (CD-RLHF), arXiv 2501.11463. Departures: (1) no critic, one advantage per rollout,
    centred in its group; (2) padding takes no part in the whitening; (3) rewards are not clipped at 2.5. The native loop
    trains the forward model; another trainer hands over ``prediction_error`` and ``in_top_k``.

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
    model = {"top_k": top_k, "model_rate": model_rate, "features": features, "inner": inner}
    return Objective(
        name="curiosity",
        title="Curiosity reward (CD-RLHF)",
        family="policy",
        settings={"eta": eta, "beta": beta, **model, "clip_low": clip_low, "clip_high": clip_high},
        shape_rewards=(Piece("A1", shape_by_curiosity, {"eta": eta}, needs, ("scored",), report=report_curiosity),),
        baseline=centre_piece(),
        shape_advantages=(reference,) if beta else (),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("token_mean"),
        invariants=("shift_blind", "order_blind", "group_of_one_zero", "zero_sum"),
        source="Sun et al. 2025, arXiv 2501.11463",
        departures=(
            "no critic: one advantage per rollout, centred in its group",
            "padding takes no part in the whitening",
            "rewards are not clipped at 2.5",
        ),
        novelty=NoveltySettings(
            kind="forward", learning_rate=model_rate, features=features, inner=inner, top_k=top_k
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
