"""Entropy bonus: GRPO plus a fixed price on next-token entropy."""

from __future__ import annotations

from breadth.losses import entropies
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece
from breadth.objectives.pieces import clip_piece


def entropy_bonus(
    *,
    coefficient: float = 1e-3,
    deviation: str = "sample",
    eps: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    aggregation: str = "token_mean",
) -> Objective:
    """Return GRPO's loss minus coefficient·H_t per token, H the entropy of the next-token distribution.

    Parameters
    ----------
    coefficient : float
        c ≥ 0, reward per nat. 1e-3 is common for language models; TRL's and verl's default is 0.
    deviation, eps, clip_low, clip_high
        As in ``grpo``.
    aggregation : str
        ``token_mean``, so that the bonus is c times the mean entropy per token.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Mnih et al. 2016, arXiv 1602.01783, section 4; Schulman et al. 2017, arXiv 1707.06347, eq. 9. Departures:
    (1) on the host of GRPO.

    Examples
    --------
    >>> entropy_bonus().needs
    ('reward', 'group', 'entropy')
    """
    if not coefficient >= 0:
        raise ValueError(f"coefficient: expected a number >= 0, got {coefficient}")
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    return Objective(
        name="entropy_bonus",
        title="Entropy bonus",
        family="policy",
        settings={"coefficient": coefficient, "deviation": deviation, "eps": eps, **clips, "aggregation": aggregation},
        baseline=standardise_piece(deviation, eps),
        loss_piece=clip_piece(clip_low, clip_high),
        penalties=(Piece("penalty", entropies.entropy_bonus, {"coefficient": coefficient}, ("entropy",)),),
        aggregation=Aggregation(aggregation),
        invariants=EVERYTHING,
        source="Mnih et al. 2016, arXiv 1602.01783, section 4",
        departures=("on the host of GRPO",),
    )
