"""Augmented hill-climb: REINVENT's square on the best half of the batch alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from breadth.advantages.baseline import no_baseline
from breadth.losses.implicit import likelihood_square
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import reference_piece, report_kl_prior
from breadth.objectives.replaying import replay_of, replaying
from breadth.objectives.squares import check_weight
from breadth.selection.filters import top_share


@torch.no_grad()
def top_weights(
    current: Tensor, reward: Tensor, group: Tensor, *, share: float, within: str, scored: Tensor | None = None
) -> dict[str, Tensor]:
    """Return ``selection_weight``, (N,): n_scored/n_selected for the selected rollouts of the whole batch, else 0.

    The mean over scored sequences of weighted terms is then the mean over selected ones, in micro-batches too.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> reward = torch.tensor([0.0, 1.0])
    >>> top_weights(reward, reward, torch.zeros(2).long(), share=0.5, within="batch")
    {'selection_weight': tensor([0., 2.])}
    """
    del current
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    selected = top_share(reward, group, share=share, scored=scored, within=within)
    weight = keep.sum() / selected.sum().clamp(min=1)
    return {"selection_weight": selected.to(reward.dtype) * weight}


def top_square(
    current: Tensor,
    reward: Tensor,
    group: Tensor,
    *,
    seq_logp_ref: Tensor,
    sigma: float,
    share: float,
    within: str,
    scored: Tensor | None = None,
    selection_weight: Tensor | None = None,
) -> Tensor:
    """Return (s_ref + σr − s)² of the selected rollouts times their weight, 0 for the others, (N,).

    Source: Thomas et al. 2022, J. Cheminformatics 14:68. Departures: none.
    """
    if selection_weight is None:
        found = top_weights(current, reward, group, share=share, within=within, scored=scored)
        selection_weight = found["selection_weight"]
    square = likelihood_square(current, reward, seq_logp_ref=seq_logp_ref, sigma=sigma, scored=scored)
    return square * selection_weight.to(square.dtype)


def shape_by_selection(
    values: Tensor, group: Tensor, *, reward: Tensor, share: float, within: str, scored: Tensor | None = None
) -> Tensor:
    """Return the advantages of the selected rollouts times their weight, 0 for the others, (N,).

    Source: the gradient of the square above, on-policy. Departures: none.
    """
    found = top_weights(values, reward, group, share=share, within=within, scored=scored)
    return values * found["selection_weight"].to(values.dtype)


def ahc(
    *,
    sigma: float = 60.0,
    share: float = 0.5,
    within: str = "batch",
    replay_size: int = 0,
    replay_samples: int = 10,
    replay_weighting: str = "uniform",
) -> Objective:
    """Return augmented hill-climb: mean of (s_ref + σ·r − s)² over the top ``share`` of the batch by reward.

    Parameters
    ----------
    sigma : float
        σ > 0, nats per unit of reward; 60.
    share : float
        In (0, 1]; 0.5.
    within : str
        ``batch`` (as published) or ``group`` (one scale of difficulty per prompt; ours).
    replay_size, replay_samples, replay_weighting : int, int, str
        As in ``reinvent``; 0 = no replay. Replayed answers compete with the batch for their place in the top.

    Raises
    ------
    ValueError
        Numbers out of range, or an unknown ``within``.

    Source: Thomas et al. 2022, J. Cheminformatics 14:68. Departures: (1) those of ``reinvent``; (2) the selection makes
    the square off-policy, which with log Z forced to 0 moves its optimum: kept as published.

    Examples
    --------
    >>> ahc().settings["share"]
    0.5
    """
    check_weight("sigma", sigma)
    numbers: dict[str, Any] = {"share": share, "within": within}
    top_share(torch.zeros(0), torch.zeros(0).long(), **numbers)  # checks the numbers
    replay: dict[str, Any] = {"replay_size": replay_size, "replay_samples": replay_samples, "replay_weighting": replay_weighting}
    return replaying(
        replay_of(**replay),
        name="ahc",
        title="Augmented hill-climb",
        family="group",
        settings={"sigma": sigma, **numbers, **replay},
        baseline=Piece("A2", no_baseline, takes=("scored",)),
        shape_advantages=(
            reference_piece(1 / sigma, centred=False),
            Piece("A3", shape_by_selection, numbers, ("reward",), ("scored",)),
        ),
        loss_piece=Piece(
            "loss", top_square, {"sigma": sigma, **numbers}, ("reward", "group", "seq_logp_ref"),
            ("scored", "selection_weight"), report_kl_prior,
        ),
        coupled=Piece("coupling", top_weights, numbers, (), ("scored",), gives=("selection_weight",)),
        aggregation=Aggregation("seq_mean"),
        invariants=("order_blind",),
        source="Thomas et al. 2022, J. Cheminformatics 14:68",
        departures=("those of reinvent", "the selection makes the square off-policy, kept as published"),
    )  # fmt: skip
