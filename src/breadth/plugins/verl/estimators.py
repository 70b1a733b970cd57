"""Advantage estimators for verl: token rewards and uids in, our advantages out, one name for each objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor

from breadth.objectives.support import support
from breadth.plugins.verl.settings import PREFIX, Settings, objective_of, read_settings

Estimator = Callable[..., tuple[Tensor, Tensor]]

#: what one of our trainers has made of the batch that verl is about to ask an estimator about: its estimator's name, (N,)
_HANDED: ContextVar[tuple[str, Tensor] | None] = ContextVar("breadth_advantage", default=None)


@contextmanager
def handed_over(estimator: str, advantage: Tensor) -> Iterator[None]:
    """Let the estimator of that name return these advantages, (N,), instead of computing them from what verl shows it."""
    token = _HANDED.set((estimator, advantage))
    try:
        yield
    finally:
        _HANDED.reset(token)


def estimator_of(name: str) -> Estimator:
    """Return the advantage estimator ``breadth_<name>``.

    It is called by verl as (token_level_rewards (N, T), response_mask (N, T), index=uid (N,), config=algorithm) and returns advantages
    and returns, both (N, T), equal, and 0 outside the mask. The reward of an answer is the sum over its tokens; NaN = unscored: no part
    in the group, advantage 0. Groups without any token in the mask (verl's padding) take no part either.

    Examples
    --------
    >>> rewards, mask = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.ones(2, 2)
    >>> estimator_of("dr_grpo")(token_level_rewards=rewards, response_mask=mask, index=np.array(["a", "a"]))[0]
    tensor([[ 0.5000,  0.5000],
            [-0.5000, -0.5000]])

    Source: none; the objectives name theirs. Departures: none.
    """
    estimator = PREFIX + name

    def advantages(
        token_level_rewards: Tensor,
        response_mask: Tensor,
        index: np.ndarray | None = None,
        config: Any = None,
        **others: Any,
    ) -> tuple[Tensor, Tensor]:
        del others
        handed = _HANDED.get()
        if handed is not None and handed[0] == estimator:
            values = handed[1]
            if len(values) != len(response_mask):
                raise RuntimeError(
                    f"{estimator}: {len(values)} advantages are at hand for {len(response_mask)} rows: verl has dropped or added rows "
                    "between the shaping and the estimator"
                )
        else:
            values = _from_rewards(estimator, token_level_rewards, response_mask, index, read_settings(config))
        out = values.to(token_level_rewards)[:, None] * response_mask  # (N, T)
        return out, out

    advantages.__name__ = advantages.__qualname__ = estimator
    return advantages


def _from_rewards(
    estimator: str, rewards: Tensor, mask: Tensor, index: np.ndarray | None, settings: Settings
) -> Tensor:
    made = objective_of(estimator, settings)
    if support(made)["verl"] != "estimator":
        unseen = [name for name in made.advantage_needs if name not in ("reward", "group", "scored", "correct")]
        what = f"needs {', '.join(unseen)}" if unseen else "remembers earlier steps"
        raise ValueError(
            f"objective {made.name!r} {what}, which an advantage estimator of verl does not see: add "
            "trainer.v1.trainer_mode=breadth_sync (or breadth_colocate_async, breadth_separate_async)"
        )
    if index is None:
        raise ValueError(
            f"{estimator}: verl handed over no uid, by which the answers to one prompt are told apart: the batch needs "
            "non_tensor_batch['uid'], one label a row, equal for the answers to one prompt"
        )
    if len(index) != len(mask):
        raise ValueError(f"{estimator}: expected {len(mask)} uids, one a row, got {len(index)}")
    reward, group = rewards.sum(-1), group_of(index).to(mask.device)  # (N,), (N,)
    live = torch.zeros(int(group.max()) + 1, dtype=torch.bool, device=mask.device)  # (G,)
    live[group[mask.any(-1)]] = True
    reward = reward.masked_fill(~live[group], torch.nan)
    check_scored(estimator, reward[live[group]], settings.max_unscored_share)
    return made.advantage(reward=reward, group=group, correct=reward >= settings.correct_at)


def group_of(uids: Any) -> Tensor:
    """Return the group of each row, (N,) int64: rows with equal uids, wherever they stand.

    Examples
    --------
    >>> group_of(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    seen: dict[Any, int] = {}
    return torch.tensor([seen.setdefault(uid, len(seen)) for uid in uids], dtype=torch.int64)


def check_scored(owner: str, reward: Tensor, limit: float) -> float:
    """Return the share of rows without a score, 0 for no rows.

    Raises
    ------
    RuntimeError
        It is above the limit.
    """
    n, unscored = len(reward), int(reward.isnan().sum())
    share = unscored / n if n else 0.0
    if share > limit or (n and math.isclose(share, 1.0)):
        raise RuntimeError(
            f"{owner}: {unscored} of {n} answers have no score (limit {limit:.0%}, algorithm.breadth.max_unscored_share): mend the reward "
            "function; it returned NaN for them"
        )
    return share
