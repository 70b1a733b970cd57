"""G: GEM, a supervised loss that keeps the spread of the model it starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import check_mask, wide

WEIGHTS = ("uniform", "sigmoid")


def gem_loss(
    logits: Tensor, labels: Tensor, mask: Tensor, *, beta: float = 0.7, weight: str = "uniform", slope: float = 0.01
) -> tuple[Tensor, dict[str, float]]:
    """Return −Σ_k q_k·w_k·(log f_label − log f_k) per position, and ``cross_entropy``, its mean per kept position.

    q = softmax(logits/β), detached: where the model is already spread over good tokens, the pull on the label is
    weaker than cross-entropy's. With w = 1 the gradient in the logits is q − onehot(label).

    Parameters
    ----------
    logits : (..., V)
        With gradient; logits[..., t, :] predicts labels[..., t] (shifted by the caller).
    labels : (...) int64
        Any index under a mask that is False.
    mask : (...) bool
        True = learn this position.
    beta : float
        In (0, 1]; 0.7. β → 0 tends to no pull on what the model already ranks first.
    weight : str
        ``uniform`` (w = 1, "linear" in the released code) or ``sigmoid`` (w = σ(slope·(z_k − z_label)), detached,
        "log_sigmoid" there).
    slope : float
        0.01.

    Returns
    -------
    matrix : (...)
        0 where the mask is False; may be negative.
    stats : dict

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, shapes that differ, an unknown weight, ``beta`` out of range.

    Source: Li et al. 2025 (GEM), arXiv 2408.16673, loss and weights of the released code. Departures:
    none.

    Examples
    --------
    >>> matrix, _ = gem_loss(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([True]))
    >>> matrix
    tensor([0.])
    """
    if weight not in WEIGHTS:
        raise ValueError(f"weight: expected one of {', '.join(WEIGHTS)}, got {weight!r}")
    if not 0 < beta <= 1:
        raise ValueError(f"beta: expected a number in (0, 1], got {beta}")
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels: expected shape {tuple(logits.shape[:-1])}, as logits, got {tuple(labels.shape)}")
    check_mask(mask, labels, "labels")
    logits = wide(logits).masked_fill(~mask[..., None], 0.0)  # (..., V)
    label = labels.masked_fill(~mask, 0)[..., None]  # (..., 1)
    log_f = logits.log_softmax(-1)
    with torch.no_grad():
        share = (logits / beta).softmax(-1)
        if weight == "sigmoid":
            share = share * torch.sigmoid(slope * (logits - logits.gather(-1, label)))
    log_label = log_f.gather(-1, label)  # (..., 1)
    # 0 · −inf must not be NaN: a forbidden token has share 0
    others = (share * log_f.masked_fill(share == 0, 0.0)).sum(-1)
    matrix = (others - share.sum(-1) * log_label.squeeze(-1)).masked_fill(~mask, 0.0)
    mean = -log_label.detach().squeeze(-1).masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
    return matrix, {"cross_entropy": float(mean)}
