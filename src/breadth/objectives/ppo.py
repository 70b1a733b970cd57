"""PPO with a critic: a value head gives every token its own baseline, by generalised advantage estimation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.losses.gae import critic_loss, gae, terminal_reward, whiten_tokens
from breadth.objectives.composition import Aggregation, Objective, Piece
from breadth.objectives.pieces import clip_piece
from breadth.objectives.streams import prepare
from breadth.tensors.masked import check_mask, wide


def estimate(
    values: Tensor,
    group: Tensor,
    *,
    value_old: Tensor,
    mask: Tensor,
    discount: float,
    trace: float,
    scored: Tensor | None = None,
    beta: float = 0.0,
    logp_old: Tensor | None = None,
    logp_ref: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return advantages and value targets, both (N, T), 0 in the padding; rows that are not scored mean nothing.

    The reward of a token is −β(log π_old − log π_ref), plus the sequence's reward at its last token.

    Parameters
    ----------
    values : (N,)
        Rewards; NaN = unscored.
    value_old : (N, T)
        V of the prefix before each token, before this batch's updates, units of reward.
    mask : (N, T) bool
        True = a completion token.
    beta : float
        Reward per nat; > 0 needs ``logp_old`` and ``logp_ref`` (N, T).

    Raises
    ------
    TypeError, ValueError
        As :func:`breadth.losses.gae.gae`; numbers of scored rollouts that are not finite.

    Source: Schulman et al. 2015, arXiv 1506.02438, eq. 16; the KL in the reward: Ziegler et al. 2019, arXiv 1909.08593,
    eq. 2. Departures: none.

    Examples
    --------
    >>> one = torch.tensor([[True, True]])
    >>> half = torch.full((1, 2), 0.5)
    >>> estimate(torch.ones(1), torch.zeros(1), value_old=half, mask=one, discount=1.0, trace=0.5)
    (tensor([[0.2500, 0.5000]]), tensor([[0.7500, 1.0000]]))
    """
    del group
    check_mask(mask, value_old, "value_old")
    per_token = None
    if beta:
        assert logp_old is not None and logp_ref is not None  # streams that beta > 0 needs
        per_token = -beta * (wide(logp_old) - wide(logp_ref))  # (N, T)
    reward = terminal_reward(values, mask, per_token=per_token)
    kept = mask if scored is None else mask & scored[:, None]
    for name, found in (("value_old", value_old), ("per-token reward", reward)):
        if bool(torch.isfinite(found.masked_fill(~kept, 0.0).sum())):  # one number tells
            continue
        bad = (kept & ~torch.isfinite(found)).any(-1).nonzero().flatten().tolist()
        if bad:
            raise ValueError(f"{name}: not finite at tokens of {len(bad)} scored rollouts, first in row {bad[0]}")
    return gae(reward, value_old, mask, discount=discount, trace=trace)


def gae_advantage(values: Tensor, group: Tensor, **streams: Any) -> Tensor:
    """Return the advantages (N, T) of :func:`estimate`, not whitened.

    Source: Schulman et al. 2015, arXiv 1506.02438, eq. 16. Departures: none.
    """
    return estimate(values, group, **streams)[0]


def whiten(values: Tensor, group: Tensor, *, mask: Tensor, scored: Tensor | None = None) -> Tensor:
    """Return advantages with mean 0 and deviation 1 over the tokens of all scored rollouts, (N, T).

    Source: see :func:`breadth.losses.gae.whiten_tokens`. Departures: none.
    """
    del group
    return whiten_tokens(values, mask if scored is None else mask & scored[:, None])


def report_values(before: Tensor, after: Tensor, streams: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, float]:
    """Return the means of V and of its target over scored tokens, the share of the target's variance that V explains,
    and ``kl_reward`` where there is a KL in the reward."""
    del before
    kept = streams["mask"] & streams["scored"][:, None]
    if not bool(kept.any()):
        return {}
    n = kept.sum()

    def mean(x: Tensor) -> Tensor:
        return x.masked_fill(~kept, 0.0).sum() / n

    def spread(x: Tensor) -> Tensor:
        return mean((x - mean(x)).square_())

    value = streams["value_old"].to(after.dtype)
    target = after + value
    stats = {"value_mean": float(mean(value)), "value_target_mean": float(mean(target))}
    variance = spread(target)
    if bool(variance > 0):
        stats["explained_variance"] = float(1 - spread(after) / variance)
    if "beta" in settings:
        stats["kl_reward"] = float(mean(streams["logp_old"] - streams["logp_ref"]))
    return stats


@dataclass(frozen=True)
class ActorCriticObjective(Objective):
    """An objective whose advantages are (N, T), and whose loss also fits a value head to ``targets``."""

    @torch.no_grad()
    def targets(self, **streams: Any) -> Tensor:
        """Return what ``value`` is fitted to, (N, T), detached: A + V before whitening; NaN in unscored rows, 0 in the padding.

        Parameters
        ----------
        **streams
            As for ``shape``, of the whole batch.

        Raises
        ------
        TypeError, ValueError
            As ``shape``.
        """
        ready = prepare(self.name, streams, needs=self.advantage_needs, takes=self.baseline.takes)
        piece, scored = self.baseline, ready["scored"]
        given = {name: ready[name] for name in (*piece.needs, *piece.takes) if name in ready}
        target = estimate(ready["reward"].masked_fill(~scored, torch.nan), ready["group"], **given, **piece.settings)[1]
        return target.masked_fill(~scored[:, None] & ready["mask"], torch.nan)


def ppo(
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    trace: float = 0.95,
    discount: float = 1.0,
    beta: float = 0.0,
    whiten_advantages: bool = True,
    value_coefficient: float = 0.1,
    value_clip: float | None = 0.2,
    aggregation: str = "token_mean",
) -> Objective:
    """Return PPO with a value head and GAE; recommended with 4 epochs over each batch, as TRL had it.

    Parameters
    ----------
    clip_low, clip_high : float
        0.2 each (the paper's ε).
    trace, discount : float
        λ 0.95 and γ 1 of GAE.
    beta : float
        Reward per nat of the KL to the reference, taken from every token's reward; 0 = none, > 0 needs ``logp_ref``.
    whiten_advantages : bool
        Mean 0 and deviation 1 over the tokens of the batch's scored rollouts.
    value_coefficient : float
        c₁ > 0 of ½(V − target)²; 0.1 as TRL's PPO had it.
    value_clip : float, optional
        > 0: V is also taken clipped to ±this around the V before the update; 0.2 as TRL's PPO had it; None = off.
    aggregation : str
        ``token_mean``.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Schulman et al. 2017, arXiv 1707.06347, eq. 7 and 9; Schulman et al. 2015, arXiv 1506.02438, eq. 16.
    Departures: (1) no entropy bonus (c₂ = 0) and no early stop on KL; (2) in the native engine the value head shares the
    policy's trunk and learning rate; (3) value clipping, as in the OpenAI baselines code; (4) the variance in whitening is
    the population's.

    Examples
    --------
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> streams = {"reward": torch.tensor([1.0, 0.0]), "group": torch.tensor([0, 0]), "mask": mask}
    >>> method = ppo(whiten_advantages=False, trace=1.0)
    >>> method.advantage(**streams, value_old=torch.full((2, 2), 0.5))
    tensor([[ 0.5000,  0.5000],
            [-0.5000,  0.0000]])
    >>> method.targets(**streams, value_old=torch.full((2, 2), 0.5))
    tensor([[1., 1.],
            [0., 0.]])
    """
    for name, number in (("trace", trace), ("discount", discount)):
        if not 0 <= number <= 1:
            raise ValueError(f"{name}: expected a number in [0, 1], got {number}")
    if not beta >= 0:
        raise ValueError(f"beta: expected a number >= 0, got {beta}")
    if not value_coefficient > 0:
        raise ValueError(f"value_coefficient: expected a number > 0, got {value_coefficient}")
    if value_clip is not None and not value_clip > 0:
        raise ValueError(f"value_clip: expected a number > 0 or None, got {value_clip}")
    clips = {"clip_low": clip_low, "clip_high": clip_high}
    numbers = {"discount": discount, "trace": trace}
    needs = ("value_old", "mask", *(("logp_old", "logp_ref") if beta else ()))
    critic = {"coefficient": value_coefficient, **({} if value_clip is None else {"clip": value_clip})}
    fitted = ("value", "value_target", *(() if value_clip is None else ("value_old",)))
    return ActorCriticObjective(
        name="ppo",
        title="PPO (value head, GAE)",
        family="actor_critic",
        settings={
            **clips,
            **{"trace": trace, "discount": discount, "beta": beta, "whiten_advantages": whiten_advantages},
            **{"value_coefficient": value_coefficient, "value_clip": value_clip, "aggregation": aggregation},
        },
        baseline=Piece(
            "A2", gae_advantage, {**numbers, **({"beta": beta} if beta else {})}, needs, ("scored",), report_values
        ),
        shape_advantages=(Piece("A3", whiten, needs=("mask",), takes=("scored",)),) if whiten_advantages else (),
        loss_piece=clip_piece(clip_low, clip_high),
        penalties=(Piece("value loss", critic_loss, critic, fitted),),
        aggregation=Aggregation(aggregation),
        invariants=("order_blind",) if whiten_advantages else ("order_blind", "group_local"),
        source="Schulman et al. 2017, arXiv 1707.06347, eq. 7 and 9; 2015, arXiv 1506.02438, eq. 16",
        departures=(
            "no entropy bonus and no early stop on KL",
            "in the native engine the value head shares the policy's trunk and learning rate",
            "value clipping, as in the OpenAI baselines code",
            "the variance in whitening is the population's",
        ),
        recommended={"inner_epochs": 4, "minibatches": 1},
    )
