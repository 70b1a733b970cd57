"""Objectives with a memory across steps: it is read before a batch is shaped and written after its update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.objectives.composition import Objective
from breadth.objectives.streams import prepare
from breadth.rewards.memory import Memory


@dataclass(frozen=True)
class RememberingObjective(Objective):
    """An objective whose pieces take streams that its memory supplies (``count``, ``bucket_count``).

    The pieces stay pure. ``shape`` changes nothing; ``observe`` writes; ``state_dict`` is plain JSON and goes into every
    checkpoint. Feed it the whole batch of all devices, or their memories drift apart. ``augmentation_rounds`` asks the trainer for so many
    further updates a step, on the same answers (and a replay memory's) in other spellings.

    Examples
    --------
    >>> import breadth
    >>> objective = breadth.objective("ucb", variant="plain", weight=1.0)
    >>> batch = {"reward": [1.0, 1.0], "group": [0, 0], "prompt_id": [5, 5], "key": ["a", "b"]}
    >>> objective.advantage(**batch)
    tensor([1., 1.])
    >>> for _ in range(4):
    ...     objective.observe(**batch)
    >>> objective.advantage(**batch)
    tensor([0.5000, 0.5000])
    >>> objective.state_dict()
    {'counts': {'5': {'a': 4, 'b': 4}}}
    """

    memory: Memory | None = None
    augmentation_rounds: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory is None:
            raise ValueError(f"objective {self.name!r}: expected a memory, got None; without one use Objective")

    @property
    def _kept(self) -> Memory:
        assert self.memory is not None  # __post_init__ has seen to it
        return self.memory

    @property
    def advantage_needs(self) -> tuple[str, ...]:
        """Streams without which ``advantage`` raises, those of the memory among them."""
        return tuple(dict.fromkeys([*super().advantage_needs, *self._kept.needs]))

    @torch.no_grad()
    def shape(self, **streams: Any) -> tuple[Tensor, dict[str, float]]:
        """Return the advantages (N,) and the statistics of the shaping, see :meth:`Objective.shape`."""
        return super().shape(**{**streams, **self._kept.recall(**self._for_memory(streams))})

    @torch.no_grad()
    def shaped_rewards(self, **streams: Any) -> Tensor:
        """Return the rewards after A1, (N,) with NaN = unscored: what a diversity filter left of them; the memories stay as they are."""
        takes = tuple(name for piece in self.shape_rewards for name in piece.takes)
        given = dict(streams)
        if self.memory is not None:
            given |= self.memory.recall(**self._for_memory(streams))
        ready = prepare(self.name, given, needs=("reward", "group"), takes=takes)
        shaped = ready["reward"].masked_fill(~ready["scored"], torch.nan)
        for piece in self.shape_rewards:
            shaped = piece(shaped, ready["group"], streams=ready)
        return shaped

    def observe(self, **streams: Any) -> None:
        """Take note of a batch after its update; needs the streams of the memory, ``reward`` and ``group``."""
        self._kept.note(**self._for_memory(streams))

    def state_dict(self) -> dict[str, Any]:
        """Return what must go into a checkpoint, as plain JSON."""
        return self._kept.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The state of another memory.
        """
        try:
            self._kept.load_state_dict(state)
        except ValueError as error:
            raise ValueError(f"objective {self.name!r}: {error}") from error

    def _for_memory(self, streams: Mapping[str, Any]) -> dict[str, Any]:
        names = (*self._kept.needs, *self._kept.takes)
        ready = prepare(self.name, streams, needs=("reward", "group", *self._kept.needs), takes=self._kept.takes)
        return {name: ready[name] for name in names if name in ready}

    def __str__(self) -> str:
        return f"{super().__str__()}\n  {'memory':<12} {self.memory}"
