"""QEMPO on preference pairs: the implicit reward is the log-probability itself."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective


def qempo_pairs(*, inv_lambda: float = 4e-3) -> PairObjective:
    """Return offline QEMPO: −log σ((s+ − s−)/λ); fixed point exp(λr)/Z over the answers that pairs connect.

    Nothing anchors what no pair covers: there the first model's mass stays as it was, and no entropy is maximised.

    Parameters
    ----------
    inv_lambda : float
        1/λ > 0; 4e-3.

    Raises
    ------
    ValueError
        ``inv_lambda`` is not positive.

    Source: arXiv 2602.15894, eq. 7. Departures: none; it is CPO's sigmoid loss with α = 0.

    Examples
    --------
    >>> qempo_pairs().needs
    ('chosen', 'rejected')
    """
    return pair_objective(
        name="qempo_pairs",
        title="QEMPO (pairs)",
        source="arXiv 2602.15894, eq. 7",
        settings={"inv_lambda": inv_lambda},
        a=inv_lambda,
        b=0.0,
    )
