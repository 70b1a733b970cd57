"""QEMPO as squares: the implicit reward s/λ, fitted to the reward inside the group; right off-policy too."""

from __future__ import annotations

from breadth.advantages.entropy import shape_by_entropy
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece
from breadth.objectives.squares import CENTRED, centred_squares, check_weight


def qempo_squares(*, inv_lambda: float = 4e-3) -> Objective:
    """Return ½ Σ [(s − s̄)/λ − (r − r̄)]²/(G − 1) over each group; fixed point π ∝ exp(λr).

    Its gradient on-policy is that of eq. 9 and, up to the factor 1/λ, that of ``qempo(mask="none")``.

    Parameters
    ----------
    inv_lambda : float
        1/λ > 0, reward per nat; 4e-3 is the paper's, at which the fixed point is not a good policy on text (see the
        page of ``qempo``). Nothing anchors the policy but the samples' own support.

    Raises
    ------
    ValueError
        ``inv_lambda`` is not positive.

    Source: arXiv 2602.15894, eq. 9, in the squared form of GVPO, arXiv 2504.19599. Departures: (1) sequence
    log-probabilities, as eq. 9 and against the listing; (2) no mask.

    Examples
    --------
    >>> qempo_squares(inv_lambda=0.1).needs
    ('reward', 'group', 'seq_logp')
    """
    check_weight("inv_lambda", inv_lambda)
    loss_piece, coupled = centred_squares(inv_lambda, 0.0)
    term = {"inv_lambda": inv_lambda, "mask": "none"}
    return Objective(
        name="qempo_squares",
        title="QEMPO (squares)",
        family="group",
        settings={"inv_lambda": inv_lambda},
        baseline=centre_piece(),
        shape_advantages=(Piece("A3", shape_by_entropy, term, ("seq_logp",), ("scored",)),),
        loss_piece=loss_piece,
        coupled=coupled,
        aggregation=Aggregation("group_mean"),
        invariants=CENTRED,
        source="arXiv 2602.15894, eq. 9 as squares",
        departures=("whole sequences, not token variances over padding", "no mask"),
    )
