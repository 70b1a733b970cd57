"""KL-Cov: hold back the few tokens of highest covariance with a penalty on how far their ratio has moved."""

from __future__ import annotations

from breadth.losses.covariance import choose_kl_cov, kl_cov_loss
from breadth.losses.entropies import check_share
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import EVERYTHING, standardise_piece


def kl_cov(
    *,
    share: float = 2e-3,
    penalty: float = 1.0,
    deviation: str = "sample",
    eps: float = 1e-4,
    aggregation: str = "token_mean",
) -> Objective:
    """Return the unclipped policy-gradient loss plus penalty·|log ρ| on the top ``share`` of tokens by covariance.

    Parameters
    ----------
    share : float
        2e-3, the paper's for 7B models (2e-4 for 32B).
    penalty : float
        1.
    deviation, eps, aggregation
        As in ``grpo``; ``token_mean``.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Cui et al. 2025, arXiv 2505.22617, KL-Cov, numbers of the released code. Departures: (1) chosen among the
    tokens of the whole batch; (2) eps is added to the deviation.

    Examples
    --------
    >>> kl_cov().recommended["minibatches"]
    4
    """
    check_share(share)
    if not penalty >= 0:
        raise ValueError(f"penalty: expected a number >= 0, got {penalty}")
    return Objective(
        name="kl_cov",
        title="KL-Cov",
        family="policy",
        settings={"share": share, "penalty": penalty, "deviation": deviation, "eps": eps, "aggregation": aggregation},
        baseline=standardise_piece(deviation, eps),
        coupled=Piece("coupling", choose_kl_cov, {"share": share}, gives=("token_penalised",)),
        loss_piece=Piece("loss", kl_cov_loss, {"penalty": penalty}, ("token_penalised",)),
        aggregation=Aggregation(aggregation),
        invariants=EVERYTHING,
        source="Cui et al. 2025, arXiv 2505.22617, KL-Cov",
        departures=("chosen among the tokens of the whole batch", "eps is added to the deviation"),
        recommended={"inner_epochs": 1, "minibatches": 4},
    )
