"""IPO: preference pairs by least squares, so that a certain preference does not drive the log-ratio to infinity."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective

LENGTH_NORMS = ("none", "per_token")


def ipo(*, tau: float = 0.1, length_norm: str = "none") -> PairObjective:
    """Return IPO: (h − 1/(2τ))² with h = (s+ − s−) − (s+_ref − s−_ref).

    Over uniform pairs of distinct answers with preference p the fixed point is π_ref·exp(mean_j p(y ≻ y_j)/τ)/Z.

    Parameters
    ----------
    tau : float
        τ > 0; 0.1.
    length_norm : str
        ``none`` (eq. 17) or ``per_token``, as TRL and, by its authors' word there, the paper's runs.

    Raises
    ------
    ValueError
        Unknown option or a number out of range.

    Source: Azar et al. 2023, arXiv 2310.12036, eq. 17. Departures: none.

    Examples
    --------
    >>> ipo().needs
    ('chosen', 'rejected', 'ref_chosen', 'ref_rejected')
    """
    if length_norm not in LENGTH_NORMS:
        raise ValueError(f"length_norm: expected one of {', '.join(LENGTH_NORMS)}, got {length_norm!r}")
    return pair_objective(
        name="ipo",
        title="IPO",
        source="Azar et al. 2023, arXiv 2310.12036, eq. 17",
        settings={"tau": tau, "length_norm": length_norm},
        a=tau,
        b=tau,
        link="ipo",
        per_token=length_norm == "per_token",
    )
