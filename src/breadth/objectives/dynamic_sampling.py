"""Dynamic sampling: drop the groups that are all right or all wrong, before any shaping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.objectives.card import Card, same_shape
from breadth.objectives.composition import Piece
from breadth.objectives.streams import SEQUENCE_STREAMS
from breadth.selection.filters import mixed_groups


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


def dynamic_sampling(*, min_rate: float = 0.0, max_rate: float = 1.0) -> SelectionObjective:
    """Return the selection that keeps groups with min_rate < share of correct < max_rate.

    Parameters
    ----------
    min_rate, max_rate : float
        0 and 1.

    Raises
    ------
    ValueError
        Not 0 ≤ min_rate < max_rate ≤ 1.

    Source: Yu et al. 2025 (DAPO), arXiv 2503.14476, eq. 11. Departures: (1) on correctness, not on the reward after
    shaping; (2) drawing further prompts until the batch is full is the trainer's.

    Examples
    --------
    >>> dynamic_sampling().select(correct=[True, False, True, True], group=[0, 0, 1, 1])
    tensor([ True,  True, False, False])
    """
    numbers = {"min_rate": min_rate, "max_rate": max_rate}
    empty = torch.zeros(0, dtype=torch.bool)
    mixed_groups(empty, empty.long(), **numbers)  # checks the numbers
    return SelectionObjective(
        name="dynamic_sampling",
        title="Dynamic sampling",
        family="selection",
        piece=Piece("selection", mixed_groups, numbers, ("correct", "group"), ("scored",)),
        source="Yu et al. 2025, arXiv 2503.14476, eq. 11",
        needs=("correct", "group"),
        streams=SEQUENCE_STREAMS,
        invariants=("order_blind", "shift_blind", "group_local"),
        settings=numbers,
        departures=("on correctness, not on the shaped reward", "drawing further prompts is the trainer's"),
    )
