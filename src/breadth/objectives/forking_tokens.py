"""Forking tokens: policy gradient only where the next token is open, on the host of DAPO."""

from __future__ import annotations

from breadth.losses.entropies import check_share, entropy_quantile, forking_weight
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece
from breadth.objectives.pieces import clip_piece


def forking_tokens(
    *,
    share: float = 0.2,
    deviation: str = "sample",
    eps: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    aggregation: str = "token_mean",
) -> Objective:
    """Return DAPO's loss on the tokens whose entropy is in the batch's top ``share``; the others add 0 and still count.

    The threshold belongs to the whole batch: hand over what :meth:`Objective.coupling` returned if the batch is split.

    Parameters
    ----------
    share : float
        0.2, the paper's "20 %".
    deviation, eps, clip_low, clip_high, aggregation
        As in ``dapo``.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Wang et al. 2025, arXiv 2506.01939, policy gradient on forking tokens. Departures: (1) the threshold is the whole batch's, not
    each micro-batch's; (2) eps is added to the deviation.

    Examples
    --------
    >>> forking_tokens().needs
    ('reward', 'group', 'entropy')
    """
    check_share(share)
    return Objective(
        name="forking_tokens",
        title="Forking tokens (80/20)",
        family="policy",
        settings={
            "share": share,
            "deviation": deviation,
            "eps": eps,
            "clip_low": clip_low,
            "clip_high": clip_high,
            "aggregation": aggregation,
        },
        baseline=standardise_piece(deviation, eps),
        coupled=Piece("coupling", entropy_quantile, {"share": share}, ("entropy",), gives=("entropy_threshold",)),
        token_weights=(Piece("token weight", forking_weight, {}, ("entropy", "entropy_threshold")),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation(aggregation),
        invariants=EVERYTHING,
        source="Wang et al. 2025, arXiv 2506.01939, policy gradient on forking tokens",
        departures=("the threshold is the whole batch's, not each micro-batch's", "eps is added to the deviation"),
    )
