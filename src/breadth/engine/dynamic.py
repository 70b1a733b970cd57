"""Dynamic sampling: groups that are all right or all wrong are left out, and others are drawn until the batch is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from breadth.engine.regroup import Drawn, join, take

if TYPE_CHECKING:
    from breadth.objectives.dynamic_sampling import DynamicSampling


@dataclass(frozen=True)
class Mixed:
    """What was drawn, what of it is learned from (None = no group was mixed), and the counts."""

    drawn: Drawn
    kept: Drawn | None
    stats: dict[str, float]

    @property
    def short(self) -> str | None:
        """Why the batch is not full, or None."""
        kept, wanted, rounds = (int(self.stats[k]) for k in ("groups_kept", "groups_wanted", "sampling_rounds"))
        if kept >= wanted:
            return None
        return f"{kept} of {wanted} groups were mixed after {rounds} rounds (objective.max_rounds)"


def mixed_batch(draw: Callable[[int], Drawn], selection: DynamicSampling, *, wanted: int) -> Mixed:
    """Return a batch of ``wanted`` mixed groups, from as few rounds of drawing as it takes.

    Parameters
    ----------
    draw : function of the round's number
        Returns judged rollouts; group labels must not repeat between rounds.
    selection : DynamicSampling
        Says which groups are mixed, by correctness and before any shaping, and how many rounds there may be.

    Source: Yu et al. 2025 (DAPO), arXiv 2503.14476, section 3.2. Departures: where ``max_rounds`` rounds do not fill the batch,
    what was found is learned from.
    """
    drawn: list[Drawn] = []
    kept: list[Drawn] = []
    n_kept = 0
    while n_kept < wanted and len(drawn) < selection.max_rounds:
        batch = draw(len(drawn))
        drawn.append(batch)
        streams = batch.judged.streams
        keep = selection.select(**{name: streams[name] for name in ("correct", "group", "scored")})  # (N,) bool
        labels = streams["group"][keep].unique()[: wanted - n_kept]
        if len(labels):
            rows = (torch.isin(streams["group"], labels) & keep).nonzero().squeeze(1)
            kept.append(take(batch, rows))
            n_kept += len(labels)
    n_drawn = sum(len(batch.judged.streams["group"].unique()) for batch in drawn)
    stats = {"sampling_rounds": len(drawn), "groups_drawn": n_drawn, "groups_wanted": wanted, "groups_kept": n_kept}
    return Mixed(join(drawn), join(kept) if kept else None, {name: float(count) for name, count in stats.items()})
