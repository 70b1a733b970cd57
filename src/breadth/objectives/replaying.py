"""Objectives that learn again from the best answers so far: a replay memory beside whatever else they remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.objectives.composition import Objective
from breadth.objectives.remembering import RememberingObjective
from breadth.objectives.streams import prepare
from breadth.rewards.diversity_filter import DiversityFilter
from breadth.rewards.replay import WEIGHTINGS, ReplayMemory

NEEDS = ("prompt_id", "key", "tokens", "mask")


@dataclass(frozen=True)
class Replay:
    """How an objective replays: the memory, and what is drawn from it at each step for each prompt of the batch."""

    memory: ReplayMemory
    samples: int
    weighting: str
    raw: bool = False  # True: rewards are stored as they were judged, before A1
    buckets: bool = False  # True: the stream `bucket_key` is read and stored
    top: int = 0  # draws are among so many best entries; 0: among all
    purge_at: int = 0  # entries of a bucket that was rewarded so often are forgotten; 0: never. Needs a diversity filter

    def __str__(self) -> str:
        cap = f", per_bucket={self.memory.per_bucket}" if self.memory.per_bucket else ""
        best = f" of the {self.top} best" if self.top else ""
        gone = f", full buckets (of {self.purge_at}) forgotten" if self.purge_at else ""
        drawn = f"{self.samples}{best} drawn per prompt, weighting={self.weighting!r}"
        return f"ReplayMemory(capacity={self.memory.capacity}{cap}), {drawn}{gone}"


@dataclass(frozen=True)
class ReplayingObjective(RememberingObjective):
    """An objective with a replay memory. The trainer mixes what it draws into the batch, under the stream ``replayed``.

    What is stored is the reward after A1 (what a diversity filter left of it), or where ``replay.raw`` before it. A replayed
    rollout is not stored again and counts as no visit; the filter leaves it alone. Its log-probabilities are computed anew
    under the current policy.
    """

    replay: Replay | None = None

    def __post_init__(self) -> None:
        Objective.__post_init__(self)
        if self.replay is None:
            raise ValueError(f"objective {self.name!r}: expected a replay memory, got None")
        if self.replay.purge_at and not isinstance(self.memory, DiversityFilter):
            raise ValueError(f"objective {self.name!r}: purge_at needs a diversity filter that says which buckets are full")

    @property
    def _stored(self) -> Replay:
        assert self.replay is not None  # __post_init__ has seen to it
        return self.replay

    @property
    def advantage_needs(self) -> tuple[str, ...]:
        """Streams without which ``advantage`` raises."""
        if self.memory is None:
            return Objective.advantage_needs.fget(self)  # type: ignore[attr-defined]  # a property of the class above the next
        return super().advantage_needs

    @property
    def needs(self) -> tuple[str, ...]:
        """Streams of the two calls and of ``observe``."""
        return tuple(dict.fromkeys([*super().needs, *NEEDS, *self._bucket_stream]))

    @property
    def _bucket_stream(self) -> tuple[str, ...]:
        return ("bucket_key",) if self._stored.buckets else ()

    @torch.no_grad()
    def shape(self, **streams: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the advantages (N,) and the statistics of the shaping, see :meth:`Objective.shape`."""
        return Objective.shape(self, **streams) if self.memory is None else super().shape(**streams)

    @torch.no_grad()
    def observe(self, **streams: Any) -> None:
        """Store the batch's best answers and take note of the batch; needs ``prompt_id``, ``key``, ``tokens`` and ``mask``."""
        ready = prepare(self.name, streams, needs=("reward", "group", *NEEDS, *self._bucket_stream), takes=("replayed",))
        shaped = ready["reward"].masked_fill(~ready["scored"], torch.nan) if self._stored.raw else self.shaped_rewards(**streams)
        fresh = ready["scored"] & ~ready["replayed"] if "replayed" in ready else ready["scored"]
        kept = [row[keep].tolist() for row, keep in zip(ready["tokens"], ready["mask"], strict=True)]
        self._stored.memory.update(ready["prompt_id"], ready["key"], fresh, reward=shaped, tokens=kept, bucket_keys=ready.get("bucket_key"))
        if self.memory is not None:
            super().observe(**streams)
        if self._stored.purge_at and isinstance(self.memory, DiversityFilter):  # __post_init__ has seen to it
            for prompt in dict.fromkeys(ready["prompt_id"].tolist()):
                self._stored.memory.purge(prompt, self.memory.full(prompt, self._stored.purge_at))

    def state_dict(self) -> dict[str, Any]:
        """Return what must go into a checkpoint, as plain JSON."""
        own = {} if self.memory is None else {"memory": self.memory.state_dict()}
        return {"replay": self._stored.memory.state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The state of another objective.
        """
        expected = ("replay",) if self.memory is None else ("memory", "replay")
        if set(state) != set(expected):
            found = ", ".join(sorted(map(str, state))) or "none"
            raise ValueError(f"objective {self.name!r}: expected state {', '.join(expected)}, got keys {found}")
        try:
            self._stored.memory.load_state_dict(state["replay"])
        except ValueError as error:
            raise ValueError(f"objective {self.name!r}: {error}") from error
        if self.memory is not None:
            super().load_state_dict(state["memory"])

    def __str__(self) -> str:
        head = Objective.__str__(self) if self.memory is None else super().__str__()
        return f"{head}\n  {'replay':<12} {self.replay}"


def replay_of(
    replay_size: int, replay_samples: int, replay_weighting: str, *, replay_top: int = 0, buckets: bool = False, purge_at: int = 0
) -> Replay | None:
    """Return the replay that these settings ask for, or None where ``replay_size`` is 0.

    Raises
    ------
    ValueError
        Numbers out of range or an unknown weighting.

    Examples
    --------
    >>> replay_of(0, 10, "uniform") is None, replay_of(50, 10, "uniform").samples
    (True, 10)
    """
    if replay_weighting not in WEIGHTINGS:
        raise ValueError(f"replay_weighting: expected one of {', '.join(WEIGHTINGS)}, got {replay_weighting!r}")
    if replay_size < 0 or not replay_samples >= 1:
        raise ValueError(f"expected replay_size >= 0 and replay_samples >= 1, got {replay_size} and {replay_samples}")
    if replay_top < 0 or (replay_top and replay_samples > replay_top):
        raise ValueError(f"replay_top: expected 0 (all) or at least replay_samples = {replay_samples}, got {replay_top}")
    if replay_size == 0:
        return None
    return Replay(
        ReplayMemory(capacity=replay_size), replay_samples, replay_weighting, buckets=buckets, top=replay_top, purge_at=purge_at
    )


def replaying(replay: Replay | None, memory: Any = None, **card: Any) -> Objective:
    """Return an objective with these parts: plain, with a memory, or with a replay."""
    if replay is not None:
        return ReplayingObjective(**card, memory=memory, replay=replay)
    return Objective(**card) if memory is None else RememberingObjective(**card, memory=memory)
