"""GSPO: one importance ratio per sequence, the geometric mean of its tokens', and a very tight clip."""

from __future__ import annotations

from breadth.losses.ratios import sequence_clip_loss
from breadth.losses.tokens import check_clip
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece


def gspo(
    *, deviation: str = "sample", eps: float = 1e-4, clip_low: float = 3e-4, clip_high: float = 4e-4
) -> Objective:
    """Return GSPO: A_i = (r_i − r̄)/(σ + eps), s_i = (π(y)/π_old(y))^{1/|y|} clipped, mean over sequences.

    Parameters
    ----------
    deviation, eps
        As in ``grpo``.
    clip_low, clip_high : float
        3e-4 and 4e-4 (section 5.1).

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Zheng et al. 2025, arXiv 2507.18071, eq. 5 to 7. Departures: (1) eps is added to the deviation.

    Examples
    --------
    >>> gspo().aggregation.mode
    'seq_mean_token_mean'
    """
    check_clip(clip_low, clip_high)
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    return Objective(
        name="gspo",
        title="GSPO",
        family="policy",
        settings={"deviation": deviation, "eps": eps, **clips},
        baseline=standardise_piece(deviation, eps),
        loss_piece=Piece("loss", sequence_clip_loss, clips),
        aggregation=Aggregation("seq_mean_token_mean"),
        invariants=EVERYTHING,
        source="Zheng et al. 2025, arXiv 2507.18071, eq. 5 to 7",
        departures=("eps is added to the deviation",),
        recommended={"inner_epochs": 1, "minibatches": 4},
    )
