"""CPO: preference pairs without a reference, plus the likelihood of the chosen answer."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective


def cpo(*, beta: float = 0.1, alpha: float = 1.0, label_smoothing: float = 0.0) -> PairObjective:
    """Return CPO: −log σ(β(s+ − s−)) − α·s+. At α = 0 it is ``qempo_pairs`` with 1/λ = β.

    Parameters
    ----------
    beta : float
        β > 0; 0.1.
    alpha : float
        Weight of −log π(chosen) ≥ 0; 1 in the paper.
    label_smoothing : float
        In [0, ½); 0.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Xu et al. 2024, arXiv 2401.08417, eq. 3. Departures: none; TRL takes the mean over tokens for the last
    term, the paper the sum.

    Examples
    --------
    >>> cpo(alpha=0.0).invariants == pair_objective(name="x", title="", source="", settings={}, a=1.0, b=0.0).invariants
    True
    """
    return pair_objective(
        name="cpo",
        title="CPO",
        source="Xu et al. 2024, arXiv 2401.08417, eq. 3",
        settings={"beta": beta, "alpha": alpha, "label_smoothing": label_smoothing},
        a=beta,
        b=0.0,
        label_smoothing=label_smoothing,
        likelihood=alpha,
    )
