"""G: the plain supervised loss, minus the log-probability of the token to learn."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import check_mask, wide


def cross_entropy_loss(
    logits: Tensor, labels: Tensor, mask: Tensor, *, label_smoothing: float = 0.0
) -> tuple[Tensor, dict[str, float]]:
    """Return −log f_label per position, and ``cross_entropy``, its mean per kept position.

    With label smoothing ε the label's share is 1 − ε and ε is spread evenly over the tokens that are possible.

    Parameters
    ----------
    logits : (..., V)
        With gradient; −inf marks a token that can never come and takes no part in the smoothing.
    labels : (...) int64
        Any index under a mask that is False.
    mask : (...) bool
        True = learn this position.
    label_smoothing : float
        In [0, 1); 0.

    Returns
    -------
    matrix : (...)
        0 where the mask is False.
    stats : dict

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, shapes that differ, ``label_smoothing`` out of range.

    Source: maximum likelihood; smoothing of Szegedy et al. 2016, arXiv 1512.00567, section 7. Departures: none.

    Examples
    --------
    >>> matrix, _ = cross_entropy_loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([True]))
    >>> matrix
    tensor([0.6931])
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing: expected a number in [0, 1), got {label_smoothing}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels: expected shape {tuple(logits.shape[:-1])}, as logits, got {tuple(labels.shape)}")
    check_mask(mask, labels, "labels")
    logits = wide(logits).masked_fill(~mask[..., None], 0.0)  # (..., V)
    label = labels.masked_fill(~mask, 0)[..., None]  # (..., 1)
    log_f = logits.log_softmax(-1)
    plain = -log_f.gather(-1, label).squeeze(-1)  # (...)
    matrix = plain
    if label_smoothing:
        possible = logits > -torch.inf
        mean = log_f.masked_fill(~possible, 0.0).sum(-1) / possible.sum(-1)
        matrix = (1 - label_smoothing) * plain - label_smoothing * mean
    stats = {"cross_entropy": float(plain.detach().masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1))}
    return matrix.masked_fill(~mask, 0.0), stats
