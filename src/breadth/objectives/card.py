"""What methods without an advantage have in common with :class:`Objective`: name, source, settings, needs, no memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from breadth.objectives.composition import Piece
from breadth.objectives.streams import nearest

#: what a loss on pairs may promise; A "change" is one of the loss of any pair
PAIR_INVARIANTS = {
    "order_blind": "permuting the pairs permutes their losses",
    "pair_local": "the loss of a pair depends on that pair alone",
    "shift_blind": "one constant added to the log-probabilities of both sides changes nothing",
    "reference_blind": "the reference changes nothing",
    "reference_zero": "at the reference policy the implicit reward of every sequence is 0",
    "length_blind": "lengths change nothing at given log-probabilities",
}
#: what a supervised loss on logits may promise
SFT_INVARIANTS = {
    "order_blind": "permuting the positions permutes their losses",
    "shift_blind": "one constant added to all logits of a position changes nothing",
    "token_blind": "renaming the tokens changes nothing",
}
#: what a selection may promise
SELECTION_INVARIANTS = {
    "order_blind": "permuting the rollouts permutes what is selected",
    "shift_blind": "a constant added to every reward changes nothing",
    "group_local": "what is selected in a group depends on that group alone",
}
_KNOWN = {"pair": PAIR_INVARIANTS, "sft": SFT_INVARIANTS, "selection": SELECTION_INVARIANTS}


@dataclass(frozen=True, kw_only=True)
class Card:
    """A named method of the families pair, sft and selection: what the catalogue and a trainer may ask of it."""

    name: str
    title: str
    family: str
    piece: Piece
    source: str
    needs: tuple[str, ...]
    streams: Mapping[str, str]  # every name that it takes -> what it is and how to get it
    invariants: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    departures: tuple[str, ...] = ()
    recommended: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.family not in _KNOWN:
            raise ValueError(f"family: expected one of {', '.join(_KNOWN)}, got {self.family!r}")
        object.__setattr__(self, "settings", dict(self.settings))
        object.__setattr__(self, "recommended", dict(self.recommended))
        known = _KNOWN[self.family]
        object.__setattr__(self, "invariants", tuple(name for name in known if name in self.invariants))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All pieces in the order in which they run."""
        return (self.piece,)

    def check(self, given: Mapping[str, Any], needs: Iterable[str]) -> None:
        """Raise TypeError for an unknown stream and ValueError for those that are absent, with how to get them."""
        for name in given:
            if name not in self.streams:
                raise TypeError(
                    f"objective {self.name!r}: unknown stream {name!r}{nearest(name, self.streams)} "
                    f"(known: {', '.join(self.streams)})"
                )
        absent = [name for name in needs if given.get(name) is None]
        if absent:
            how = "".join(f"\n  {name}: {self.streams[name]}" for name in absent)
            raise ValueError(f"objective {self.name!r} needs {', '.join(absent)}, which it was not given:{how}")

    def observe(self, **streams: Any) -> None:
        """Take note of a batch after its update. Nothing to remember here; unknown stream names still raise."""
        self.check(streams, ())

    def state_dict(self) -> dict[str, Any]:
        """Return what must go into a checkpoint: nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            The state is not empty: it belongs to another objective.
        """
        if state:
            raise ValueError(f"objective {self.name!r} has no state, got keys {', '.join(map(str, state))}")

    def __str__(self) -> str:
        head = f"{self.name} ({self.family}), needs {', '.join(self.needs)}"
        return "\n".join([head, *(f"  {piece}" for piece in self.pieces)])


def same_shape(owner: str, values: Mapping[str, Tensor], shape: tuple[int, ...]) -> None:
    """Raise ValueError that names the first tensor of another shape."""
    for name, value in values.items():
        if tuple(value.shape) != shape:
            raise ValueError(f"objective {owner!r}: {name}: expected shape {shape}, got {tuple(value.shape)}")
