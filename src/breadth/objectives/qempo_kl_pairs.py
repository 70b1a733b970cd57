"""QEMPO-KL on preference pairs: SPL's loss in other letters."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective


def qempo_kl_pairs(*, inv_lambda1: float = 4e-3, ratio: float = 1e-2) -> PairObjective:
    """Return offline QEMPO-KL: −log σ((s+ − s−)/λ1 + (λ2/λ1)[(s+ − s−) − (s+_ref − s−_ref)]).

    It is ``spl`` at α = (1 + λ2)/λ1 and β = λ2/λ1; fixed point π_ref^{β/α}·exp(r/α)/Z.

    Parameters
    ----------
    inv_lambda1 : float
        1/λ1 ≥ 0; 4e-3.
    ratio : float
        λ2/λ1 > 0; 1e-2. At 0 use ``qempo_pairs``.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: arXiv 2602.15894, eq. 6. Departures: none.

    Examples
    --------
    >>> qempo_kl_pairs().piece.settings
    {'a': 0.014, 'b': 0.01}
    """
    if not inv_lambda1 >= 0 or not ratio > 0:
        raise ValueError(f"expected inv_lambda1 >= 0 and ratio > 0, got {inv_lambda1} and {ratio}")
    return pair_objective(
        name="qempo_kl_pairs",
        title="QEMPO-KL (pairs)",
        source="arXiv 2602.15894, eq. 6",
        settings={"inv_lambda1": inv_lambda1, "ratio": ratio},
        a=inv_lambda1 + ratio,
        b=ratio,
    )
