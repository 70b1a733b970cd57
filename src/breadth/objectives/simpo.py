"""SimPO: preference pairs without a reference, per token of length, with a margin."""

from __future__ import annotations

from breadth.objectives.pair_objective import PairObjective, pair_objective


def simpo(*, beta: float = 2.0, margin: float = 0.5, label_smoothing: float = 0.0) -> PairObjective:
    """Return SimPO: −log σ(β(s+/|y+| − s−/|y−|) − γ).

    Parameters
    ----------
    beta : float
        β > 0; 2.0 in the released code (recipes: 2 to 10).
    margin : float
        γ, in units of implicit reward; 0.5 (the code's γ/β of 0.25; recipes: 0.1 to 0.8 times β).
    label_smoothing : float
        In [0, ½); 0.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Meng et al. 2024, arXiv 2405.14734, eq. 6. Departures: none.

    Examples
    --------
    >>> simpo().needs
    ('chosen', 'rejected', 'chosen_length', 'rejected_length')
    """
    return pair_objective(
        name="simpo",
        title="SimPO",
        source="Meng et al. 2024, arXiv 2405.14734, eq. 6",
        settings={"beta": beta, "margin": margin, "label_smoothing": label_smoothing},
        a=beta,
        b=0.0,
        margin=margin,
        label_smoothing=label_smoothing,
        per_token=True,
    )
