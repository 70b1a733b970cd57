"""Clip-Cov: take the gradient off a few random tokens of high covariance, so that entropy does not collapse."""

from __future__ import annotations

import torch

from breadth.losses.covariance import choose_clip_cov, keep_weight
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece
from breadth.objectives.pieces import clip_piece


def clip_cov(
    *,
    share: float = 2e-4,
    cov_low: float = 1.0,
    cov_high: float = 5.0,
    deviation: str = "sample",
    eps: float = 1e-4,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    aggregation: str = "token_mean",
) -> Objective:
    """Return GRPO's clipped loss without the tokens drawn by :func:`breadth.losses.covariance.choose_clip_cov`.

    Parameters
    ----------
    share : float
        2e-4 of all tokens.
    cov_low, cov_high : float
        1 and 5.
    deviation, eps, aggregation
        As in ``grpo``; ``token_mean``.
    clip_low, clip_high : float
        0.2 each.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Cui et al. 2025, arXiv 2505.22617, Clip-Cov, numbers of the released code. Departures: (1) the draw is among
    the tokens of the whole batch, the released code takes at least one in each micro-batch; (2) it follows the stream
    ``seed``; (3) eps is added to the deviation.

    Examples
    --------
    >>> clip_cov().needs
    ('reward', 'group', 'seed')
    """
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    band = {"share": share, "cov_low": cov_low, "cov_high": cov_high}
    one = torch.zeros(1, 1)
    choose_clip_cov(one, one, one[0], one == 0, seed=0, **band, **clips)  # checks the numbers
    return Objective(
        name="clip_cov",
        title="Clip-Cov",
        family="policy",
        settings={**band, "deviation": deviation, "eps": eps, **clips, "aggregation": aggregation},
        baseline=standardise_piece(deviation, eps),
        coupled=Piece("coupling", choose_clip_cov, {**band, **clips}, ("seed",), gives=("token_keep",)),
        token_weights=(Piece("token weight", keep_weight, {}, ("token_keep",)),),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation(aggregation),
        invariants=EVERYTHING,
        source="Cui et al. 2025, arXiv 2505.22617, Clip-Cov",
        departures=(
            "the draw is among the tokens of the whole batch",
            "the draw follows the stream seed",
            "eps is added to the deviation",
        ),
        recommended={"inner_epochs": 1, "minibatches": 4},
    )
