"""SPL: DPO with its KL split in two, entropy weighed by α and the pull to the reference by β."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective


def spl(*, alpha: float = 0.14, beta: float = 0.1, label_smoothing: float = 0.0) -> PairObjective:
    """Return SPL: −log σ(α(s+ − s−) − β(s+_ref − s−_ref)); fixed point π_ref^{β/α}·exp(r/α)/Z.

    At α = β it is ``dpo``; above, its answer is DPO's at the global temperature α/β.

    Parameters
    ----------
    alpha : float
        α > 0; useful at 1.1 to 1.5 times β, swept to 11 times in the paper. 0.14 is ours within that range.
    beta : float
        β ≥ 0; 0.1.
    label_smoothing : float
        In [0, ½); 0.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Slocum et al. 2025, arXiv 2511.08594, offline loss. Departures: none.

    Examples
    --------
    >>> spl().piece.settings
    {'a': 0.14, 'b': 0.1}
    """
    return pair_objective(
        name="spl",
        title="SPL",
        source="Slocum et al. 2025, arXiv 2511.08594, offline loss",
        settings={"alpha": alpha, "beta": beta, "label_smoothing": label_smoothing},
        a=alpha,
        b=beta,
        label_smoothing=label_smoothing,
    )
