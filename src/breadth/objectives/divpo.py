"""DivPO: preference pairs that join the rarest good answer with the commonest bad one, then DPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from breadth.objectives.composition import Piece
from breadth.objectives.dpo import dpo
from breadth.objectives.dynamic_sampling import SelectionObjective
from breadth.objectives.pair_objective import PairObjective
from breadth.objectives.streams import SEQUENCE_STREAMS
from breadth.records import Loss
from breadth.selection.pairs import select_pairs

DIVERSITY = "(N,) float, larger = rarer; −log π per token, inverse word frequency, or 1 − share of the answer's class"


@dataclass(frozen=True, kw_only=True)
class DivpoObjective(SelectionObjective):
    """A selection of pairs together with the loss that learns from them."""

    pairs: PairObjective

    def loss(self, *, denominator: float | None = None, **streams: Any) -> Loss:
        """Return DPO's loss of the selected pairs; see :meth:`PairObjective.loss`."""
        return self.pairs.loss(denominator=denominator, **streams)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The selection, then the loss on its pairs."""
        return (self.piece, self.pairs.piece)


def divpo(*, rho: float = 0.25, n_pairs: int = 1, beta: float = 0.1) -> DivpoObjective:
    """Return DivPO: pairs by :func:`breadth.selection.pairs.select_pairs`, then −log σ of DPO.

    Parameters
    ----------
    rho : float
        In [0, ½]; the paper sets it per task, 0.1 to 0.3. 0.25 is ours.
    n_pairs : int
        Pairs per prompt; 1.
    beta : float
        DPO's β; 0.1.

    Raises
    ------
    ValueError
        Numbers out of range.

    Source: Lanchantin et al. 2025, arXiv 2501.18101, section 3. Departures: (1) ``n_pairs`` above 1 is ours; (2) the
    diversity is a stream, the paper offers three.

    Examples
    --------
    >>> divpo().select(reward=[1.0, 1.0, 0.0], group=[0, 0, 0], diversity=[0.1, 0.9, 0.5])
    tensor([[1, 2]])
    """
    numbers: dict[str, Any] = {"rho": rho, "n_pairs": n_pairs}
    empty = torch.zeros(0)
    select_pairs(empty, empty.long(), empty, **numbers)  # checks the numbers
    return DivpoObjective(
        name="divpo",
        title="DivPO",
        family="selection",
        piece=Piece("selection", select_pairs, numbers, ("reward", "group", "diversity")),
        source="Lanchantin et al. 2025, arXiv 2501.18101, section 3",
        needs=("reward", "group", "diversity"),
        streams={**SEQUENCE_STREAMS, "diversity": DIVERSITY},
        invariants=("order_blind", "shift_blind", "group_local"),
        settings={**numbers, "beta": beta},
        departures=("more than one pair per prompt is ours", "the diversity is a stream"),
        pairs=dpo(beta=beta),
    )
