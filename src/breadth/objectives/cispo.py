"""CISPO: the ratio is capped and only weighs the gradient, so that no token is ever switched off."""

from __future__ import annotations

from breadth.losses.ratios import clipped_weight_loss
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece


def cispo(
    *, deviation: str = "sample", eps: float = 1e-4, clip_low: float = 1.0, clip_high: float = 4.0
) -> Objective:
    """Return CISPO: −sg[min(ρ, 1 + clip_high)]·A·log π per token, mean over all tokens, no KL.

    Parameters
    ----------
    deviation, eps
        As in ``grpo``.
    clip_low : float
        In [0, 1]; 1 = no lower bound, as the paper trains.
    clip_high : float
        ≥ 0; cap 1 + clip_high = 5 (TRL's recommendation; the paper tunes it and gives no number).

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: MiniMax 2025, arXiv 2506.13585, eq. 4 and 5. Departures: (1) eps is added to the deviation; (2) without the
    paper's early stop on repetition.

    Examples
    --------
    >>> cispo().loss_piece.settings
    {'clip_low': 1.0, 'clip_high': 4.0}
    """
    if not 0 <= clip_low <= 1 or not clip_high >= 0:
        raise ValueError(f"expected 0 <= clip_low <= 1 and clip_high >= 0, got {clip_low} and {clip_high}")
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    return Objective(
        name="cispo",
        title="CISPO",
        family="policy",
        settings={"deviation": deviation, "eps": eps, **clips},
        baseline=standardise_piece(deviation, eps),
        loss_piece=Piece("loss", clipped_weight_loss, clips),
        aggregation=Aggregation("token_mean"),
        invariants=EVERYTHING,
        source="MiniMax 2025, arXiv 2506.13585, eq. 4 and 5",
        departures=("eps is added to the deviation", "no early stop on repetition"),
    )
