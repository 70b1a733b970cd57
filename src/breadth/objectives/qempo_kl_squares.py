"""QEMPO-KL as squares: the implicit reward a·s − b·s_ref, fitted to the reward inside the group."""

from __future__ import annotations

from breadth.advantages.entropy import shape_by_entropy_and_reference
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece
from breadth.objectives.squares import CENTRED, centred_squares, check_weight


def qempo_kl_squares(*, inv_lambda1: float = 4e-3, ratio: float = 1e-2) -> Objective:
    """Return ½ Σ [(R − R̄) − (r − r̄)]²/(G − 1), R = a·s − b·s_ref, a = (1 + λ2)/λ1, b = λ2/λ1.

    Fixed point π ∝ π_ref^{b/a}·exp(r/a), from samples of any law.

    Parameters
    ----------
    inv_lambda1 : float
        1/λ1 > 0; 4e-3 (paper).
    ratio : float
        b = λ2/λ1 > 0; 1e-2 (paper). At 0 use ``qempo_squares``.

    Raises
    ------
    ValueError
        A number that is not positive.

    Source: arXiv 2602.15894, eq. 8, in the squared form of GVPO, arXiv 2504.19599. Departures: (1) the sign and weight
    of eq. 8, not of the listing; (2) the reference is the prior, not the sampling policy; (3) no mask.

    Examples
    --------
    >>> qempo_kl_squares().loss_piece.settings
    {'a': 0.014, 'b': 0.01}
    """
    check_weight("inv_lambda1", inv_lambda1)
    check_weight("ratio", ratio)
    loss_piece, coupled = centred_squares(inv_lambda1 + ratio, ratio)
    term = {"inv_lambda1": inv_lambda1, "ratio": ratio, "mask": "none"}
    needs = ("seq_logp", "seq_logp_ref")
    return Objective(
        name="qempo_kl_squares",
        title="QEMPO-KL (squares)",
        family="group",
        settings={"inv_lambda1": inv_lambda1, "ratio": ratio},
        baseline=centre_piece(),
        shape_advantages=(Piece("A3", shape_by_entropy_and_reference, term, needs, ("scored",)),),
        loss_piece=loss_piece,
        coupled=coupled,
        aggregation=Aggregation("group_mean"),
        invariants=CENTRED,
        source="arXiv 2602.15894, eq. 8 as squares",
        departures=(
            "the covariance has the sign and the weight of eq. 8, not of the listing",
            "the reference is the prior, not the sampling policy",
            "no mask",
        ),
    )
