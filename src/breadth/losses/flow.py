"""C: squares with a log Z that is learned: trajectory balance, and FlowRL's length-normalised form of it."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.losses.tokens import saturating_exp
from breadth.tensors.masked import wide


def flow_square(
    seq_logp: Tensor,
    reward: Tensor,
    *,
    seq_logp_ref: Tensor,
    log_z: Tensor,
    scale: float,
    length: Tensor | None = None,
    weight: Tensor | None = None,
    scored: Tensor | None = None,
) -> Tensor:
    """Return w_i·(log Z + (s_i − s_i^ref)/|y_i| − scale·r_i)², (N,); without ``length`` nothing is divided.

    Zero exactly at π = π_ref·exp(scale·r)/Z (without ``length``), whatever the law of the samples and the weights:
    right off-policy. The gradient flows through ``seq_logp`` and ``log_z``.

    Parameters
    ----------
    seq_logp : (N,)
        With gradient, nats.
    reward : (N,)
        NaN = unscored: term 0.
    seq_logp_ref : (N,)
        Of the reference, nats.
    log_z : (N,)
        One value per prompt, repeated over its rollouts; nats (per token if ``length`` is given).
    scale : float
        > 0: 1/β of trajectory balance, β of FlowRL.
    length : (N,), optional
        Tokens, ≥ 1.
    weight : (N,), optional
        ≥ 0, detached here.
    scored : (N,) bool, optional

    Raises
    ------
    ValueError
        ``scale`` is not positive, or ``log_z`` has another shape than ``seq_logp``.

    Source: Malkin et al. 2022, arXiv 2201.13259 (trajectory balance); Zhu et al. 2025 (FlowRL), arXiv
    2509.15207. Departures: none.

    Examples
    --------
    >>> flow_square(torch.tensor([-1.0]), torch.tensor([2.0]), seq_logp_ref=torch.tensor([-2.0]),
    ...             log_z=torch.tensor([0.0]), scale=1.0)
    tensor([1.])
    """
    if not scale > 0:
        raise ValueError(f"scale: expected a number > 0, got {scale}")
    if log_z.shape != seq_logp.shape:
        raise ValueError(f"log_z: expected shape {tuple(seq_logp.shape)}, as seq_logp, got {tuple(log_z.shape)}")
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    gap = wide(seq_logp) - wide(seq_logp_ref.detach()).masked_fill(~keep, 0.0)
    gap = gap if length is None else gap / length.clamp(min=1)
    delta = wide(log_z) + gap - scale * wide(reward.detach()).masked_fill(~keep, 0.0)
    square = delta.masked_fill(~keep, 0.0) ** 2
    return square if weight is None else square * weight.detach().masked_fill(~keep, 0.0)


def sequence_weight(
    seq_logp: Tensor, seq_logp_old: Tensor, *, clip_low: float = 0.2, clip_high: float = 0.2, clip: bool = True
) -> Tensor:
    """Return the detached ratio π(y)/π_old(y) of whole sequences, (N,), clipped to [1 − clip_low, 1 + clip_high].

    Parameters
    ----------
    seq_logp, seq_logp_old : (N,)
        Nats.
    clip_low, clip_high : float
        ≥ 0, clip_low < 1.
    clip : bool
        False = the unclipped ratio.

    Source: Zhu et al. 2025 (FlowRL), arXiv 2509.15207. Departures: none.

    Examples
    --------
    >>> sequence_weight(torch.tensor([0.0, -1.0]), torch.tensor([-1.0, -1.0]))
    tensor([1.2000, 1.0000])
    """
    ratio = saturating_exp(wide(seq_logp.detach()) - wide(seq_logp_old.detach()))
    return ratio.clamp(1 - clip_low, 1 + clip_high) if clip else ratio
