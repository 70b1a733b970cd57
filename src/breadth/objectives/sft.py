"""SFT: maximum likelihood of given answers; on a model's own correct answers it is rejection sampling, a control of any claim."""

from __future__ import annotations

import torch

from breadth.objectives.composition import Piece
from breadth.objectives.gem import SFT_STREAMS, SftObjective
from breadth.selection.cross_entropy import cross_entropy_loss


def sft(*, label_smoothing: float = 0.0) -> SftObjective:
    """Return supervised fine-tuning: −log f_label, mean over the positions that are learned.

    Parameters
    ----------
    label_smoothing : float
        In [0, 1); 0.

    Raises
    ------
    ValueError
        ``label_smoothing`` out of range.

    Source: maximum likelihood; on correct samples: Yuan et al. 2023, arXiv 2308.01825 (rejection-sampling fine-tuning),
    which keeps distinct answers. Departures: none.

    Examples
    --------
    >>> sft().needs
    ('logits', 'labels', 'mask')
    """
    numbers = {"label_smoothing": label_smoothing}
    one = torch.zeros(1, 1)
    cross_entropy_loss(one, one[0].long(), one[0] == 0, **numbers)  # checks the numbers
    return SftObjective(
        name="sft",
        title="SFT",
        family="sft",
        piece=Piece("loss", cross_entropy_loss, numbers, ("logits", "labels", "mask")),
        source="maximum likelihood; Yuan et al. 2023, arXiv 2308.01825, for samples that are kept if correct",
        needs=("logits", "labels", "mask"),
        streams=SFT_STREAMS,
        invariants=("order_blind", "shift_blind", "token_blind"),
        settings=numbers,
    )
