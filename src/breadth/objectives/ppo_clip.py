"""PPO-clip without a critic: several small steps on each batch, with the ratio clipped."""

from __future__ import annotations

from breadth.advantages.baseline import scale_by_batch_deviation
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, clip_piece


def ppo_clip(
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
    normalise: bool = True,
    aggregation: str = "token_mean",
) -> Objective:
    """Return PPO-clip with the group's mean as baseline; recommended with 4 epochs of 4 mini-batches per batch.

    Parameters
    ----------
    clip_low, clip_high : float
        0.2 each (the paper's ε).
    dual_clip : float, optional
        c > 1 caps the loss of negative advantages; None = off (verl: 3).
    normalise : bool
        Divide advantages by their deviation over the batch, as common implementations do.
    aggregation : str
        ``token_mean``: the paper's average over time steps.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 7. Departures: (1) no value network and no GAE: the baseline is
    the group's mean; (2) the batch mean is not subtracted again when normalising; (3) no entropy bonus.

    Examples
    --------
    >>> import torch
    >>> ppo_clip(normalise=False).advantage(reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]))
    tensor([ 0.5000, -0.5000])
    """
    numbers = {"clip_low": clip_low, "clip_high": clip_high, "dual_clip": dual_clip}
    invariants = ["shift_blind", "order_blind", "group_of_one_zero", "all_equal_zero", "zero_sum"]
    return Objective(
        name="ppo_clip",
        title="PPO-clip (no critic)",
        family="policy",
        settings={**numbers, "normalise": normalise, "aggregation": aggregation},
        baseline=centre_piece(),
        shape_advantages=(Piece("A3", scale_by_batch_deviation, takes=("scored",)),) if normalise else (),
        loss_piece=clip_piece(clip_low, clip_high, dual_clip),
        aggregation=Aggregation(aggregation),
        invariants=tuple(invariants if normalise else [*invariants, "group_local"]),
        source="Schulman et al. 2017, arXiv 1707.06347, eq. 7",
        departures=("no value network and no GAE: the baseline is the group's mean", "no entropy bonus"),
        recommended={"inner_epochs": 4, "minibatches": 4},
    )
