"""QEMPO-KL: quality plus entropy, with a pull towards the prior."""

from __future__ import annotations

from breadth.advantages.entropy import shape_by_entropy_and_reference
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece, report_entropy
from breadth.objectives.qempo import check_entropy_options, entropy_invariants, entropy_needs


def qempo_kl(
    *,
    inv_lambda1: float | str = "auto",
    ratio: float = 1e-2,
    mask: str = "correct_subset",
    length_norm: str = "none",
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return online QEMPO-KL: A_i = (r_i − r̄) − a(s_i − s̄) + b(s_i^ref − s̄^ref); a = (1 + λ2)/λ1, b = λ2/λ1.

    Parameters
    ----------
    inv_lambda1 : float or "auto"
        1/λ1 ≥ 0; ``auto`` weighs the entropy part as in ``qempo``; the paper's is 4e-3.
    ratio : float
        b = λ2/λ1 ≥ 0; 1e-2 in the paper. It acts as the β of ``rlhf``.
    mask : str
        ``correct_subset`` (default), ``none`` (eq. 8 to the letter) or ``group_all_correct``; both terms together.
    length_norm : str
        ``none`` or ``per_token``.
    clip_low, clip_high : float
        0.2 each.

    Raises
    ------
    ValueError
        Unknown option or a number out of range.

    Source: arXiv 2602.15894, eq. 8; it is the RL objective of SPL, arXiv 2511.08594, with α = a and β = b. Departures:
    those of ``qempo``, and (8) the covariance has the sign of eq. 8 and the weight b, the listing has the opposite sign
    and b²; (9) π_ref is the prior, the listing uses the sampling policy; (10) both terms are masked.

    Examples
    --------
    >>> import torch
    >>> qempo_kl(inv_lambda1=0.0, ratio=0.5, mask="none").advantage(
    ...     reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]),
    ...     seq_logp=torch.tensor([-1.0, -3.0]), seq_logp_ref=torch.tensor([-2.0, -2.0]))
    tensor([0., 0.])
    """
    check_entropy_options("inv_lambda1", inv_lambda1, mask, length_norm)
    if ratio < 0:
        raise ValueError(f"ratio: expected a number >= 0, got {ratio}")
    term = {"inv_lambda1": inv_lambda1, "ratio": ratio, "mask": mask, "length_norm": length_norm}
    needs = (*entropy_needs(mask, length_norm), "seq_logp_ref")
    return Objective(
        name="qempo_kl",
        title="QEMPO-KL",
        family="policy",
        settings={**term, "clip_low": clip_low, "clip_high": clip_high},
        baseline=centre_piece(),
        shape_advantages=(
            Piece("A3", shape_by_entropy_and_reference, term, needs, ("scored", "length"), report_entropy),
        ),
        loss_piece=clip_piece(clip_low, clip_high),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=entropy_invariants(inv_lambda1),
        source="arXiv 2602.15894, eq. 8",
        departures=(
            "all departures of qempo",
            "the covariance has the sign and the weight of eq. 8, not of the listing",
            "the reference is the prior, not the sampling policy",
            "both terms are masked together",
        ),
    )
