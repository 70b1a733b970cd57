"""REINFORCE: the plain score-function gradient, with the batch's mean as baseline."""

from __future__ import annotations

from breadth.advantages.baseline import centre_batch, no_baseline
from breadth.losses.tokens import reinforce_loss
from breadth.objectives.composition import Aggregation, Objective, Piece


def reinforce(*, baseline: str = "mean") -> Objective:
    """Return REINFORCE: A_i = r_i − b, loss −Σ_t A log π_t, mean over sequences.

    Parameters
    ----------
    baseline : str
        ``mean``: b is the mean reward of the batch, whatever the groups (default: without it rewards ≥ 0 push every
        sampled token up). ``none``: b = 0, the bare estimator.

    Raises
    ------
    ValueError
        Unknown baseline.

    Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning".
    Departures: (1) the baseline is the mean of the same batch, r_i included.

    Examples
    --------
    >>> import torch
    >>> reinforce().advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 1]))
    tensor([ 0.5000, -0.5000])
    """
    functions = {"mean": centre_batch, "none": no_baseline}
    if baseline not in functions:
        raise ValueError(f"baseline: expected 'mean' or 'none', got {baseline!r}")
    return Objective(
        name="reinforce",
        title="REINFORCE",
        family="policy",
        settings={"baseline": baseline},
        baseline=Piece("A2", functions[baseline], takes=("scored",)),
        loss_piece=Piece("loss", reinforce_loss),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("order_blind", "shift_blind") if baseline == "mean" else ("order_blind", "group_local"),
        source="Williams 1992",
        departures=("the baseline is the mean reward of the same batch, r_i included",),
    )
