"""Trajectory balance: log Z + log π − log π_ref = r/β, by squares, with log Z learned or estimated from the group."""

from __future__ import annotations

from torch import Tensor

from breadth.advantages.baseline import no_baseline
from breadth.losses.flow import flow_square
from breadth.losses.implicit import group_means
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.flowrl import shape_by_flow
from breadth.objectives.pieces import centre_piece, reference_piece, report_kl_prior
from breadth.objectives.reinvent import centred_likelihood_square
from breadth.objectives.squares import CENTRED, check_weight

ESTIMATES = ("batch", "learned")


def shape_by_balance(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    seq_logp_ref: Tensor,
    log_z: Tensor,
    beta: float,
    scored: Tensor | None = None,
) -> Tensor:
    """Return r − β(log Z + s − s_ref), (N,), 0 where unscored: the advantage form with a learned log Z.

    Source: the gradient of trajectory balance, arXiv 2201.13259, on-policy. Departures: none.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1)
    >>> shape_by_balance(one, one.long(), seq_logp=-one, seq_logp_ref=-2 * one, log_z=one, beta=0.25)
    tensor([0.5000])
    """
    whole = values.new_ones(values.shape)  # nothing is divided by length
    return shape_by_flow(
        values, group, seq_logp=seq_logp, seq_logp_ref=seq_logp_ref, log_z=log_z, length=whole, scale=1 / beta,
        scored=scored,
    )  # fmt: skip


def trajectory_balance(*, beta: float = 0.05, log_z: str = "batch") -> Objective:
    """Return trajectory balance: (log Z + s − s_ref − r/β)² per sequence; fixed point π_ref·exp(r/β)/Z.

    Parameters
    ----------
    beta : float
        β > 0, reward per nat. 0.05 is ours.
    log_z : str
        ``batch``: the group's own estimate, mean of r/β − s + s_ref (VarGrad): the centred square, mean over groups of
        Σ d²/(G − 1). ``learned``: the stream ``log_z`` with its own gradient, mean over sequences.

    Raises
    ------
    ValueError
        ``beta`` is not positive, or an unknown kind of log Z.

    Source: Malkin et al. 2022, arXiv 2201.13259, trajectory balance; with VarGrad for language models: Bartoldson et al. 2025
    (TBA), arXiv 2503.18929. Departures: (1) no replay buffer and no asynchrony; (2) divided by G − 1, not G.

    Examples
    --------
    >>> trajectory_balance(log_z="learned").needs
    ('reward', 'group', 'seq_logp', 'seq_logp_ref', 'log_z')
    """
    check_weight("beta", beta)
    if log_z not in ESTIMATES:
        raise ValueError(f"log_z: expected one of {', '.join(ESTIMATES)}, got {log_z!r}")
    reference = ("seq_logp_ref",)
    if log_z == "batch":
        whole = ("group_mean", "reward_mean", "group_size")
        baseline, shaping = centre_piece(), reference_piece(beta)
        loss_piece = Piece(
            "loss", centred_likelihood_square, {"sigma": 1 / beta}, ("reward", "group", *reference),
            ("scored", *whole), report_kl_prior,
        )  # fmt: skip
        coupled = Piece("coupling", group_means, {"a": 1.0, "b": 1.0}, reference, ("scored",), gives=whole)
    else:
        baseline = Piece("A2", no_baseline, takes=("scored",))
        shaping = Piece("A3", shape_by_balance, {"beta": beta}, ("seq_logp", *reference, "log_z"), ("scored",))
        loss_piece = Piece(
            "loss", flow_square, {"scale": 1 / beta}, ("reward", *reference, "log_z"), ("scored",), report_kl_prior
        )
        coupled = None
    return Objective(
        name="trajectory_balance",
        title="Trajectory balance",
        family="group",
        settings={"beta": beta, "log_z": log_z},
        baseline=baseline,
        shape_advantages=(shaping,),
        loss_piece=loss_piece,
        coupled=coupled,
        aggregation=Aggregation("group_mean" if log_z == "batch" else "seq_mean"),
        invariants=CENTRED if log_z == "batch" else ("order_blind", "group_local"),
        source="Malkin et al. 2022, arXiv 2201.13259, trajectory balance; Bartoldson et al. 2025, arXiv 2503.18929",
        departures=("no replay buffer and no asynchrony", "divided by G − 1, not G"),
    )
