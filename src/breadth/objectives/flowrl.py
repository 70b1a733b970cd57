"""FlowRL: match the whole reward distribution with a learned log Z per prompt, per token of length."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.advantages.baseline import standardise
from breadth.losses.flow import flow_square, sequence_weight
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.dapo import standardise_piece
from breadth.objectives.pieces import report_kl_prior
from breadth.objectives.squares import check_weight


def flow_loss(
    current: Tensor,
    reward: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    seq_logp_ref: Tensor,
    log_z: Tensor,
    length: Tensor,
    scale: float,
    eps: float,
    clip: bool,
    clip_low: float,
    clip_high: float,
    scored: Tensor | None = None,
    normalised_reward: Tensor | None = None,
) -> Tensor:
    """Return w·(log Z + s/|y| − scale·r̂ − s_ref/|y|)², (N,), with r̂ standardised in its group.

    Parameters
    ----------
    current : (N,)
        With gradient, nats.
    seq_logp : (N,)
        Of the sampling policy; w is the ratio of the two, detached, clipped only if ``clip``.
    normalised_reward : (N,), optional
        r̂ over whole groups, for a micro-batch that holds part of one.

    Source: Zhu et al. 2025, arXiv 2509.15207, and its released code. Departures: see :func:`flowrl`.
    """
    scaled = standardise(reward, group, scored=scored, eps=eps) if normalised_reward is None else normalised_reward
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    return flow_square(
        current,
        scaled.masked_fill(~keep, torch.nan),
        seq_logp_ref=seq_logp_ref,
        log_z=log_z,
        scale=scale,
        length=length,
        weight=sequence_weight(current, seq_logp, clip=clip, clip_low=clip_low, clip_high=clip_high),
    )


def normalise_rewards(
    current: Tensor, reward: Tensor, group: Tensor, *, eps: float, scored: Tensor | None = None
) -> dict[str, Tensor]:
    """Return ``normalised_reward`` (N,): the reward standardised in its whole group.

    Source: none, arithmetic. Departures: none.
    """
    del current
    return {"normalised_reward": standardise(reward, group, scored=scored, eps=eps)}


@torch.no_grad()
def shape_by_flow(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    seq_logp_ref: Tensor,
    log_z: Tensor,
    length: Tensor,
    scale: float,
    scored: Tensor | None = None,
) -> Tensor:
    """Return r̂ − [log Z + (s − s_ref)/|y|]/scale, (N,), 0 where unscored: FlowRL's advantage form.

    Source: the gradient of the square of arXiv 2509.15207, on-policy. Departures: none.

    Examples
    --------
    >>> one = torch.ones(1)
    >>> shape_by_flow(one, one.long(), seq_logp=-one, seq_logp_ref=-2 * one, log_z=0 * one, length=one, scale=2.0)
    tensor([0.5000])
    """
    del group
    shaped = values - (log_z + (seq_logp - seq_logp_ref) / length.clamp(min=1)) / scale
    return shaped if scored is None else shaped.masked_fill(~scored, 0.0)


def flowrl(
    *,
    scale: float = 15.0,
    eps: float = 1e-4,
    clip_weight: bool = False,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> Objective:
    """Return FlowRL: mean of w·(log Z + s/|y| − scale·r̂ − s_ref/|y|)² over sequences.

    Parameters
    ----------
    scale : float
        β of the paper, > 0; 15.
    eps : float
        Added to the group's sample deviation in r̂.
    clip_weight : bool
        False: w is the unclipped ratio of sequences, as the released code uses it. True: clipped, as the paper says
        (the code computes the clipped ratio and then multiplies by the other one).
    clip_low, clip_high : float
        Of w, only if ``clip_weight``.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Zhu et al. 2025, arXiv 2509.15207, length-normalised trajectory balance. Departures: (1) eps is added to the deviation; (2) the
    network behind log Z (theirs: an MLP on the prompt's mean hidden state) belongs to the trainer; the native engine's is a
    linear layer on the state of the prompt's last token.

    Examples
    --------
    >>> flowrl().needs
    ('reward', 'group', 'seq_logp', 'seq_logp_ref', 'log_z', 'length')
    """
    check_weight("scale", scale)
    needs = ("seq_logp", "seq_logp_ref", "log_z", "length")
    numbers = {"scale": scale, "eps": eps, "clip": clip_weight, "clip_low": clip_low, "clip_high": clip_high}
    takes = ("scored", "normalised_reward")
    return Objective(
        name="flowrl",
        title="FlowRL",
        family="group",
        settings={
            "scale": scale,
            "eps": eps,
            "clip_weight": clip_weight,
            "clip_low": clip_low,
            "clip_high": clip_high,
        },
        baseline=standardise_piece("sample", eps),
        shape_advantages=(Piece("A3", shape_by_flow, {"scale": scale}, needs, ("scored",)),),
        loss_piece=Piece("loss", flow_loss, numbers, ("reward", "group", *needs), takes, report_kl_prior),
        coupled=Piece("coupling", normalise_rewards, {"eps": eps}, (), ("scored",), gives=("normalised_reward",)),
        aggregation=Aggregation("seq_mean"),
        invariants=("shift_blind", "order_blind", "group_local"),
        source="Zhu et al. 2025, arXiv 2509.15207, length-normalised trajectory balance",
        departures=("eps is added to the deviation", "the network behind log Z belongs to the trainer"),
    )
