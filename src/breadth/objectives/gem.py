"""GEM: supervised training that keeps the spread of the model it starts from; use it before any reinforcement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.objectives.card import Card
from breadth.objectives.composition import Piece
from breadth.records import Loss
from breadth.selection.gem import gem_loss

SFT_STREAMS = {
    "logits": "(..., V) float with gradient; logits[..., t, :] predicts labels[..., t]",
    "labels": "(...) int64; the token to learn at each position",
    "mask": "(...) bool, True = learn this position",
}


@dataclass(frozen=True, kw_only=True)
class SftObjective(Card):
    """The front page of the family "sft": one call from logits and labels to a loss."""

    def denominator(self, **streams: Any) -> float:
        """Return the learned positions of the whole batch, to be handed to ``loss`` for each of its micro-batches."""
        self.check(streams, ("mask",))
        return float(max(1, int(streams["mask"].sum())))

    def loss(self, *, denominator: float | None = None, **streams: Any) -> Loss:
        """Return the mean loss over learned positions with gradient, its matrix (...), and statistics.

        Raises
        ------
        TypeError
            An unknown stream, or a mask that is not boolean.
        ValueError
            A stream that is absent, shapes that differ, a mask that keeps nothing.
        """
        self.check(streams, self.needs)
        mask: Tensor = streams["mask"]
        if not bool(torch.any(mask)):
            shape = tuple(mask.shape)
            raise ValueError(f"mask: expected at least one kept position, got none in shape {shape}")
        logits, labels = streams["logits"], streams["labels"]
        matrix, stats = self.piece.function(logits, labels, mask, **self.piece.settings)
        return Loss(value=matrix.sum() / (denominator or float(mask.sum())), matrix=matrix, stats=stats)


def gem(*, beta: float = 0.7, weight: str = "uniform", slope: float = 0.01) -> SftObjective:
    """Return GEM: −Σ_k q_k·w_k·(log f_label − log f_k) per token, q = softmax(logits/β) detached.

    Parameters
    ----------
    beta : float
        In (0, 1]; 0.7.
    weight : str
        ``uniform`` or ``sigmoid``, w = σ(slope·(z_k − z_label)).
    slope : float
        0.01.

    Raises
    ------
    ValueError
        Unknown weight, or ``beta`` out of range.

    Source: Li et al. 2025, arXiv 2408.16673, loss of the released code. Departures: none.

    Examples
    --------
    >>> gem().needs
    ('logits', 'labels', 'mask')
    """
    numbers: dict[str, Any] = {"beta": beta, "weight": weight, "slope": slope}
    one = torch.zeros(1, 1)
    gem_loss(one, one[0].long(), one[0] == 0, **numbers)  # checks the numbers
    return SftObjective(
        name="gem",
        title="GEM",
        family="sft",
        piece=Piece("loss", gem_loss, numbers, ("logits", "labels", "mask")),
        source="Li et al. 2025, arXiv 2408.16673, loss of the released code",
        needs=("logits", "labels", "mask"),
        streams=SFT_STREAMS,
        invariants=("order_blind", "shift_blind", "token_blind"),
        settings=numbers,
    )
