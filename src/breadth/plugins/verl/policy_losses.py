"""Policy losses for verl: those of ours that verl does not have, each with verl's own normaliser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from breadth.losses.tokens import policy_gradient_loss, ppo_clip_loss
from breadth.tensors.masked import fill_padding

PolicyLoss = Callable[..., tuple[Tensor, dict[str, float]]]


def _clip(config: Any) -> dict[str, float]:
    both = config.clip_ratio
    low, high = config.clip_ratio_low, config.clip_ratio_high
    return {"clip_low": both if low is None else low, "clip_high": both if high is None else high}


def _nothing(config: Any) -> dict[str, float]:
    del config
    return {}


#: name for ``actor_rollout_ref.actor.policy_loss.loss_mode`` -> our loss, and its numbers out of the actor's settings
LOSSES: dict[str, tuple[Callable[..., Any], Callable[[Any], dict[str, float]]]] = {
    "breadth_ppo_clip": (ppo_clip_loss, _clip),  # verl's vanilla is dual-clipped whatever one sets
    "breadth_policy_gradient": (policy_gradient_loss, _nothing),
}


def policy_loss_of(name: str) -> PolicyLoss:
    """Return the policy loss of that name as verl calls it: padded (B, T) rows of a micro-batch in, a scalar and metrics out.

    ``loss_agg_mode`` and the numbers of the whole batch in ``config.global_batch_info`` go to verl's own aggregation, so that the
    gradient does not depend on how verl cuts a batch. Metrics carry the names that verl's losses use.

    Raises
    ------
    KeyError
        An unknown name.

    Source: the losses name theirs. Departures: none.
    """
    function, numbers = LOSSES[name]

    def loss(
        old_log_prob: Tensor, log_prob: Tensor, advantages: Tensor, response_mask: Tensor, loss_agg_mode: str = "token-mean",
        config: Any = None, rollout_is_weights: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
        from verl.trainer.ppo.core_algos import agg_loss

        if config is None:
            raise ValueError(f"policy loss {name!r}: expected verl's actor settings as config, got None")
        mask = response_mask.bool()
        matrix, stats = function(log_prob, old_log_prob, advantages, mask, **numbers(config))  # (B, T)
        if rollout_is_weights is not None:
            matrix = matrix * fill_padding(rollout_is_weights, mask)
        value = agg_loss(loss_mat=matrix, loss_mask=mask, loss_agg_mode=loss_agg_mode, **config.global_batch_info)
        with torch.no_grad():
            gap = fill_padding(old_log_prob - log_prob.detach(), mask).sum() / mask.sum().clamp(min=1)
        return value, {
            "actor/pg_clipfrac": stats.get("clip_share", 0.0),
            "actor/ppo_kl": float(gap),
            "actor/pg_clipfrac_lower": 0.0,
        }

    loss.__name__ = loss.__qualname__ = name
    return loss
