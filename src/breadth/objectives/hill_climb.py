"""Hill-climb: maximum likelihood of the best k answers of each batch that the policy draws."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from breadth.losses.tokens import reinforce_loss
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.selection.filters import top_share
from breadth.tensors.masked import wide


def best_share(reward: Tensor, group: Tensor, *, share: float, within: str, scored: Tensor | None = None) -> Tensor:
    """Return n_scored/n_best for the best rollouts and 0 for the others, (N,): the mean over all is the mean over the best.

    Where every scored rollout of the selection's scope is best (all rewards tie), all are learned from.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> best_share(torch.tensor([0.0, 1.0, 0.5, 0.2]), torch.zeros(4).long(), share=0.25, within="batch")
    tensor([0., 4., 0., 0.])
    """
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    best = top_share(reward, group, share=share, scored=scored, within=within)
    return wide(best.to(reward.dtype)) * (keep.sum() / best.sum().clamp(min=1)).to(wide(reward).dtype)


def hill_climb(*, share: float = 0.125, within: str = "batch") -> Objective:
    """Return hill-climb: −log π(x) of the top ``share`` of the batch by reward, mean over those answers.

    Parameters
    ----------
    share : float
        In (0, 1]; 1/8.
    within : str
        ``batch`` (as published) or ``group`` (the best of each prompt; ours).

    Raises
    ------
    ValueError
        ``share`` out of range, or an unknown ``within``.

    Source: Brown et al. 2019 (GuacaMol), arXiv 1811.09621, SMILES LSTM baseline, after Neil et al. 2018. Departures: (1) all that tie
    with the last of the best are kept, so that the order of the batch decides nothing; (2) the best are those of this batch alone,
    one pass each: no pool of the best so far.

    Examples
    --------
    >>> hill_climb(share=0.5).advantage(reward=[0.0, 1.0], group=[0, 0])
    tensor([0., 2.])
    """
    numbers: dict[str, Any] = {"share": share, "within": within}
    top_share(torch.zeros(0), torch.zeros(0).long(), **numbers)  # checks the numbers
    return Objective(
        name="hill_climb",
        title="Hill-climb",
        family="policy",
        settings=numbers,
        baseline=Piece("A2", best_share, numbers, takes=("scored",)),
        loss_piece=Piece("loss", reinforce_loss),
        aggregation=Aggregation("seq_mean_token_sum"),
        invariants=("shift_blind", "order_blind") + (("group_local",) if within == "group" else ()),
        source="Brown et al. 2019, arXiv 1811.09621, SMILES LSTM baseline",
        departures=(
            "all that tie with the last of the best are kept",
            "the best are those of this batch alone, one pass each",
        ),
    )
