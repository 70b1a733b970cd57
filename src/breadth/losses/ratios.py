"""B: policy losses whose ratio is not PPO's: one ratio a sequence (GSPO), or a ratio that is only a weight (CISPO).

Arguments, matrices and statistics as in :mod:`breadth.losses.tokens`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.losses.tokens import Stats, check_clip, ratio_stats, saturating_exp, token_ratio
from breadth.tensors.masked import fill_padding


def sequence_clip_loss(
    logp: Tensor,
    logp_old: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
) -> tuple[Tensor, Stats]:
    """Return −min(sA, clip(s, 1 − clip_low, 1 + clip_high)·A) at every token, (N, T), with one s per sequence.

    s_i = exp((1/|y_i|) Σ_t log ρ_t), the geometric mean of the token ratios. Under ``seq_mean_token_mean`` the equal
    entries of a row average to the sequence's own loss, which is the paper's.

    Parameters
    ----------
    logp, logp_old, advantage, mask
        See the module.
    clip_low, clip_high : float
        0 ≤ clip_low < 1, clip_high ≥ 0. A mean over tokens moves little: 3e-4 and 4e-4 (section 5.1).

    Returns
    -------
    matrix : (N, T)
    stats : dict
        ``ratio``, ``kl_old``, ``clip_share`` of the sequence ratio, means over tokens.

    Raises
    ------
    TypeError, ValueError
        Numbers out of range, a mask that is not boolean, shapes that differ.

    Source: Zheng et al. 2025 (GSPO), arXiv 2507.18071, eq. 5 to 7. Departures: none.

    Examples
    --------
    >>> logp, mask = torch.tensor([[0.001, 0.0]]), torch.tensor([[True, True]])
    >>> matrix, stats = sequence_clip_loss(logp, torch.zeros(1, 2), torch.tensor([1.0]), mask)
    >>> [round(x, 6) for x in matrix.flatten().tolist()], stats["clip_share"]
    ([-1.0004, -1.0004], 1.0)
    """
    check_clip(clip_low, clip_high)
    log_ratio, _, weight = token_ratio(logp, logp_old, advantage, mask)
    mean = log_ratio.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)  # (N, 1)
    log_ratio = mean * mask  # (N, T), 0 in the padding
    ratio = saturating_exp(log_ratio)
    free, clipped = weight * ratio, weight * ratio.clamp(1 - clip_low, 1 + clip_high)
    return -torch.minimum(free, clipped), ratio_stats(log_ratio, ratio, mask, clipped.detach() < free.detach())


def clipped_weight_loss(
    logp: Tensor,
    logp_old: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 1.0,
    clip_high: float = 4.0,
) -> tuple[Tensor, Stats]:
    """Return −sg[clip(ρ, 1 − clip_low, 1 + clip_high)]·A·log π per token, (N, T): the ratio only weighs the gradient.

    No token loses its gradient, however far its ratio has moved; the weight is capped instead.

    Parameters
    ----------
    logp, logp_old, advantage, mask
        See the module.
    clip_low : float
        In [0, 1]; 1 = no lower bound, as the paper trains.
    clip_high : float
        ≥ 0. The cap is 1 + clip_high; TRL's ``epsilon_high`` is that cap itself.

    Returns
    -------
    matrix : (N, T)
    stats : dict
        ``ratio``, ``kl_old``, and ``clip_share``, here the share of tokens whose *weight* is capped.

    Raises
    ------
    TypeError, ValueError
        Numbers out of range, a mask that is not boolean, shapes that differ.

    Source: MiniMax 2025 (CISPO), arXiv 2506.13585, eq. 4 and 5. Departures: none; the paper gives no number for the
    cap, 5 is what TRL's documentation recommends.

    Examples
    --------
    >>> logp = torch.tensor([[-1.0]])
    >>> clipped_weight_loss(logp, logp - 3.0, torch.tensor([1.0]), torch.tensor([[True]]))[0]
    tensor([[5.]])
    """
    if not 0 <= clip_low <= 1 or not clip_high >= 0:
        raise ValueError(f"expected 0 <= clip_low <= 1 and clip_high >= 0, got {clip_low} and {clip_high}")
    log_ratio, ratio, weight = token_ratio(logp, logp_old, advantage, mask)
    capped = ratio.detach().clamp(1 - clip_low, 1 + clip_high)
    return -(capped * weight * fill_padding(logp, mask)), ratio_stats(log_ratio, ratio, mask, capped != ratio.detach())
