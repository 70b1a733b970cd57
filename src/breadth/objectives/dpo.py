"""DPO: preference pairs, each side measured against the reference."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective


def dpo(*, beta: float = 0.1, label_smoothing: float = 0.0) -> PairObjective:
    """Return DPO: −log σ(β[(s+ − s−) − (s+_ref − s−_ref)]); fixed point π_ref·exp(r/β)/Z.

    Parameters
    ----------
    beta : float
        β > 0; 0.1.
    label_smoothing : float
        Share of labels taken to be swapped, in [0, ½); 0 (conservative DPO if above).

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Rafailov et al. 2023, arXiv 2305.18290, eq. 7. Departures: none.

    Examples
    --------
    >>> dpo().piece.settings
    {'a': 0.1, 'b': 0.1}
    """
    return pair_objective(
        name="dpo",
        title="DPO",
        source="Rafailov et al. 2023, arXiv 2305.18290, eq. 7",
        settings={"beta": beta, "label_smoothing": label_smoothing},
        a=beta,
        b=beta,
        label_smoothing=label_smoothing,
    )
