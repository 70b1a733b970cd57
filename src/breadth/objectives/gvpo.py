"""GVPO: fit the implicit reward to the reward by least squares, centred in the group, where log Z cancels."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from breadth.losses.implicit import group_loss, group_means
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import centre_piece, reference_piece
from breadth.objectives.squares import CENTRED, centred_squares, check_weight, report_surprisal

REFERENCES = ("prior", "old")


def squares_to_sampler(current: Tensor, reward: Tensor, group: Tensor, *, seq_logp: Tensor, **more: Any) -> Tensor:
    """Return :func:`breadth.losses.implicit.group_loss`, (N,), with the sampling policy's ``seq_logp`` as reference.

    Source: GVPO, arXiv 2504.19599, released code. Departures: none.
    """
    return group_loss(current, reward, group, seq_logp_ref=seq_logp, **more)


def means_to_sampler(
    current: Tensor, reward: Tensor, group: Tensor, *, seq_logp: Tensor, **more: Any
) -> dict[str, Tensor]:
    """Return :func:`breadth.losses.implicit.group_means` with the sampling policy's ``seq_logp`` as reference.

    Source: none, arithmetic. Departures: none.
    """
    return group_means(current, reward, group, seq_logp_ref=seq_logp, **more)


def gvpo(*, beta: float = 0.1, reference: str = "prior") -> Objective:
    """Return GVPO: ½ Σ [β((s − s') − mean) − (r − r̄)]²/(G − 1) over each group, mean over groups.

    Parameters
    ----------
    beta : float
        β > 0, reward per nat; 0.1 in the released script.
    reference : str
        ``prior``: s' is the reference's, fixed point π_ref·exp(r/β)/Z. ``old``: s' is the sampling policy's, as the
        released code has it; then every batch moves the target and the prior is forgotten.

    Raises
    ------
    ValueError
        ``beta`` is not positive, or an unknown reference.

    Source: arXiv 2504.19599, group-centred squares (Algorithm 1). Departures: (1) the reference is the prior by default.

    Examples
    --------
    >>> import torch
    >>> loss = gvpo(beta=0.5).loss(logp=torch.tensor([[-1.0], [-3.0]]), mask=torch.ones(2, 1, dtype=torch.bool),
    ...     reward=torch.tensor([1.0, 0.0]), group=torch.tensor([0, 0]), seq_logp_ref=torch.tensor([-2.0, -2.0]))
    >>> float(loss.value)  # the implicit rewards differ by 1, as the rewards do
    0.0
    """
    check_weight("beta", beta)
    if reference not in REFERENCES:
        raise ValueError(f"reference: expected one of {', '.join(REFERENCES)}, got {reference!r}")
    loss_piece, coupled = centred_squares(beta, beta)
    if reference == "old":
        weights = {"a": beta, "b": beta}
        needs = ("reward", "group", "seq_logp")
        loss_piece = Piece("loss", squares_to_sampler, weights, needs, loss_piece.takes, report_surprisal)
        coupled = Piece("coupling", means_to_sampler, weights, ("seq_logp",), ("scored",), gives=coupled.gives)
    kept = CENTRED if reference == "prior" else (*CENTRED, "all_equal_zero")
    return Objective(
        name="gvpo",
        title="GVPO",
        family="group",
        settings={"beta": beta, "reference": reference},
        baseline=centre_piece(),
        # on its own samples the policy's log-ratio to itself is 0: no term is left in the advantage
        shape_advantages=(reference_piece(beta),) if reference == "prior" else (),
        loss_piece=loss_piece,
        coupled=coupled,
        aggregation=Aggregation("group_mean"),
        invariants=kept,
        source="arXiv 2504.19599, group-centred squares",
        departures=("the reference is the prior by default, the released code's is the sampling policy",),
    )
