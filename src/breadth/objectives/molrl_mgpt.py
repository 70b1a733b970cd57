"""MolRL-MGPT: agents that learn by REINVENT's square and are pushed from the agents before them, in likelihood."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from breadth.advantages.baseline import no_baseline
from breadth.losses.implicit import likelihood_square
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import reference_piece, report_kl_prior
from breadth.objectives.replaying import replay_of, replaying
from breadth.tensors.masked import wide


def repelled_square(
    seq_logp: Tensor,
    reward: Tensor,
    *,
    seq_logp_ref: Tensor,
    sigma: float,
    repulsion: float,
    seq_logp_agents: Tensor | None = None,
    reward_unscheduled: Tensor | None = None,
    scored: Tensor | None = None,
) -> Tensor:
    """Return (s_ref + σ₁·r − s)² − σ₂·Σ_j |s_j − s|·r of each sequence, (N,), over the agents j before this one.

    Parameters
    ----------
    seq_logp : (N,)
        s = log π(x) of the agent that learns, with gradient, nats.
    reward : (N,)
        r, after a schedule if there is one (σ₁ falls with it); NaN = unscored: term 0.
    seq_logp_ref : (N,)
        Of the prior, nats.
    sigma : float
        σ₁ > 0, nats per unit of reward.
    repulsion : float
        σ₂ ≥ 0, nats per unit of reward.
    seq_logp_agents : (N, J), optional
        s_j of the J earlier agents, nats; absent or J = 0: the square alone.
    reward_unscheduled : (N,), optional
        r before the schedule, for the second term, whose weight does not fall; absent: ``reward``.
    scored : (N,) bool, optional

    Raises
    ------
    ValueError
        ``sigma`` is not positive, ``repulsion`` negative.

    Source: Hu et al., NeurIPS 2023 (MolRL-MGPT), loss of agent i. Departures: the s_j carry no gradient; in the published listing they do,
    and nothing is ever stepped by it.

    Examples
    --------
    >>> repelled_square(torch.tensor([-10.0]), torch.tensor([0.5]), seq_logp_ref=torch.tensor([-12.0]), sigma=60.0, repulsion=0.5,
    ...                 seq_logp_agents=torch.tensor([[-14.0, -9.0]]))
    tensor([782.7500])
    """
    if not repulsion >= 0:
        raise ValueError(f"repulsion: expected a number >= 0, got {repulsion}")
    square = likelihood_square(seq_logp, reward, seq_logp_ref=seq_logp_ref, sigma=sigma, scored=scored)
    if seq_logp_agents is None or not seq_logp_agents.shape[1]:
        return square
    score = reward if reward_unscheduled is None else reward_unscheduled
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    gap = (wide(seq_logp_agents.detach()) - wide(seq_logp)[:, None]).abs().sum(dim=1)  # (N, J) -> (N,)
    return square - repulsion * (gap * wide(score.detach()).nan_to_num(nan=0.0)).masked_fill(~keep, 0.0)


def shape_by_repulsion(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    sigma: float,
    repulsion: float,
    reward: Tensor,
    seq_logp_agents: Tensor | None = None,
    reward_unscheduled: Tensor | None = None,
    scored: Tensor | None = None,
) -> Tensor:
    """Return values + σ₂/(2σ₁)·r·Σ_j sign(s − s_j), (N,): the second term's part of the gradient, on the advantages' scale.

    Source: the gradient of :func:`repelled_square`, divided by −2σ₁. Departures: none.
    """
    del group
    if seq_logp_agents is None or not seq_logp_agents.shape[1]:
        return values
    score = reward if reward_unscheduled is None else reward_unscheduled
    away = (seq_logp[:, None] - seq_logp_agents).sign().sum(dim=1)  # (N,)
    push = (repulsion / (2 * sigma) * score * away).to(values.dtype)
    return values + (push if scored is None else push.masked_fill(~scored, 0.0))


def molrl_mgpt(
    *,
    sigma: float = 100.0,
    repulsion: float = 0.5,
    replay_size: int = 1000,
    replay_samples: int = 5,
    replay_top: int = 25,
    replay_weighting: str = "uniform",
) -> Objective:
    """Return the loss of one agent among several: mean of (s_ref + σ₁·r − s)² − σ₂·Σ_{j<i} |s_j − s|·r.

    ``breadth agents`` trains K of them from one prior, each in turn at every step on samples of its own, with one memory among them. Alone
    (``breadth train``) it is the first agent: plain REINVENT with that memory. σ₁ falls to 0 with ``train.reward_schedule = "linear"``; σ₂ does
    not.

    Parameters
    ----------
    sigma : float
        σ₁ > 0, nats per unit of reward; 100.
    repulsion : float
        σ₂ ≥ 0; 0.5.
    replay_size, replay_top, replay_samples, replay_weighting : int, int, int, str
        Distinct best answers kept (1,000), among how many of the best is drawn (25), how many join each batch (5), and how they are drawn.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Hu et al., NeurIPS 2023 (De novo drug design using reinforcement learning with multiple GPT agents), the loss and, for the memory,
    its code. Departures: (1) the earlier agents' likelihoods carry no gradient; (2) the mean is over the batch with its replayed answers;
    (3) the memory refuses what the batch has already, and is kept per prompt. As published the second term is unbounded below: where it
    outweighs the square, the policy leaves the language; the log's ``agents_gap`` shows it.

    Examples
    --------
    >>> molrl_mgpt().settings["repulsion"]
    0.5
    """
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number > 0, got {sigma}")
    if not repulsion >= 0:
        raise ValueError(f"repulsion: expected a number >= 0, got {repulsion}")
    replay: dict[str, Any] = {
        "replay_size": replay_size, "replay_samples": replay_samples, "replay_weighting": replay_weighting, "replay_top": replay_top,
    }  # fmt: skip
    numbers = {"sigma": sigma, "repulsion": repulsion}
    others = ("seq_logp_agents", "reward_unscheduled", "scored")
    return replaying(
        replay_of(**replay),
        name="molrl_mgpt",
        title="MolRL-MGPT",
        family="group",
        settings={**numbers, **replay},
        baseline=Piece("A2", no_baseline, takes=("scored",)),
        shape_advantages=(
            reference_piece(1 / sigma, centred=False),
            Piece("A3", shape_by_repulsion, numbers, ("reward", "seq_logp"), others),
        ),
        loss_piece=Piece("loss", repelled_square, numbers, ("reward", "seq_logp_ref"), others, report_agents),
        aggregation=Aggregation("seq_mean"),
        invariants=("order_blind", "group_local"),
        source="Hu et al., NeurIPS 2023 (MolRL-MGPT)",
        departures=(
            "the earlier agents' likelihoods carry no gradient",
            "the mean is over the batch with its replayed answers",
            "the memory refuses what the batch has already, and is kept per prompt",
        ),
    )


def report_agents(before: Tensor, after: Tensor | None, streams: Any, settings: Any) -> dict[str, float]:
    """Return ``kl_prior``, and ``agents_gap``: mean |s_j − s| over scored rollouts and earlier agents, nats per sequence."""
    found = report_kl_prior(before, after, streams, settings)
    others = streams.get("seq_logp_agents")
    if others is None or not bool(streams["scored"].any()):
        return found
    gap = (others - streams.get("seq_logp", before)[:, None]).abs()[streams["scored"]]
    return {**found, "agents_gap": float(gap.mean())}
