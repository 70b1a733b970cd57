"""Dynamic sampling: drop the groups that are all right or all wrong, before any shaping; another objective learns from the rest."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from breadth.objectives.card import Card, same_shape
from breadth.objectives.composition import Objective, Piece
from breadth.objectives.streams import SEQUENCE_STREAMS, nearest
from breadth.selection.filters import mixed_groups

#: the files of this folder; those that hold no objective of their name are refused by the family
LEARNERS = tuple(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))


@dataclass(frozen=True, kw_only=True)
class SelectionObjective(Card):
    """The front page of the family "selection": which rollouts are learned from, before an objective of another family."""

    def select(self, **streams: Any) -> Tensor:
        """Return what is selected: (N,) bool of rollouts, or (M, 2) int64 of (chosen, rejected) rows.

        Raises
        ------
        TypeError
            An unknown stream, or a type that does not fit.
        ValueError
            A stream that is needed and absent, or shapes that differ.
        """
        self.check(streams, self.needs)
        given = {name: torch.as_tensor(value) for name, value in streams.items() if value is not None}
        known = {name: given[name] for name in (*self.needs, *self.piece.takes) if name in given}
        same_shape(self.name, known, tuple(given["group"].shape))
        return self.piece(streams=known)


@dataclass(frozen=True, kw_only=True)
class DynamicSampling(SelectionObjective):
    """A selection of groups, and the objective that learns from those that it keeps."""

    inner: Objective
    max_rounds: int

    @property
    def pieces(self) -> tuple[Any, ...]:
        """The selection, then the pieces of the objective that learns."""
        return (self.piece, *self.inner.pieces)


def dynamic_sampling(
    *, of: str | Mapping[str, Any] | Objective = "dapo", min_rate: float = 0.0, max_rate: float = 1.0, max_rounds: int = 10
) -> DynamicSampling:
    """Return an objective that learns only from groups with min_rate < share of correct < max_rate.

    Parameters
    ----------
    of : str, mapping or Objective
        What learns from the groups that are kept: a name, a table ``{kind = ..., its numbers}``, or an objective of the families
        policy, actor_critic or group.
    min_rate, max_rate : float
        0 and 1.
    max_rounds : int
        Batches of prompts that a trainer draws at most to fill one step; 10.

    Raises
    ------
    ValueError
        Not 0 ≤ min_rate < max_rate ≤ 1, ``max_rounds`` below 1, or an ``of`` that is no such objective.

    Source: Yu et al. 2025 (DAPO), arXiv 2503.14476, eq. 11. Departures: (1) on correctness, not on the reward after
    shaping; (2) a trainer that finds too few groups in ``max_rounds`` learns from those that it found.

    Examples
    --------
    >>> dynamic_sampling(of="grpo").select(correct=[True, False, True, True], group=[0, 0, 1, 1])
    tensor([ True,  True, False, False])
    >>> dynamic_sampling(of={"kind": "grpo", "eps": 0.0}).settings["of"]["eps"]
    0.0
    """
    numbers: dict[str, Any] = {"min_rate": min_rate, "max_rate": max_rate}
    empty = torch.zeros(0, dtype=torch.bool)
    mixed_groups(empty, empty.long(), **numbers)  # checks the numbers
    if max_rounds < 1:
        raise ValueError(f"max_rounds: expected an integer >= 1, got {max_rounds}")
    inner = _learner(of)
    return DynamicSampling(
        name="dynamic_sampling",
        title="Dynamic sampling",
        family="selection",
        piece=Piece("selection", mixed_groups, numbers, ("correct", "group"), ("scored",)),
        source="Yu et al. 2025, arXiv 2503.14476, eq. 11",
        needs=("correct", "group"),
        streams=SEQUENCE_STREAMS,
        invariants=("order_blind", "shift_blind", "group_local"),
        settings={"of": {"kind": inner.name, **inner.settings}, **numbers, "max_rounds": max_rounds},
        departures=("on correctness, not on the shaped reward", "too few groups after max_rounds are learned from as they are"),
        inner=inner,
        max_rounds=max_rounds,
    )


def _learner(of: str | Mapping[str, Any] | Objective) -> Objective:
    """Return the objective that a name or a table of this folder names."""
    if isinstance(of, str):
        of = {"kind": of}
    if isinstance(of, Mapping):
        numbers = dict(of)
        kind = str(numbers.pop("kind", ""))
        if kind not in LEARNERS:
            close = nearest(kind, LEARNERS)
            raise ValueError(f"of: unknown objective {kind!r}{close}; pass the objective itself if it is a plug-in's")
        factory = getattr(importlib.import_module(f"breadth.objectives.{kind}"), kind, None)
        of = kind if factory is None else factory(**numbers)
    if isinstance(of, str) or getattr(of, "family", None) not in ("policy", "actor_critic", "group"):
        raise ValueError(
            f"of: expected an objective of the families policy, actor_critic or group, got {getattr(of, 'name', of)!r} "
            f"of the family {getattr(of, 'family', None)!r}"
        )
    return of
