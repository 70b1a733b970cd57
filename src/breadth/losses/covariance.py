"""B: Clip-Cov and KL-Cov: rein in the few tokens whose advantage and log-probability vary together most.

To first order, that covariance is how fast a policy-gradient step lowers the entropy. Both choose tokens among those
of the whole batch; the choice is made once and handed to every micro-batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.losses.entropies import check_share
from breadth.losses.tokens import Stats, check_clip, ratio_stats, token_advantage, token_ratio
from breadth.tensors.masked import check_mask, fill_padding


@torch.no_grad()
def token_covariance(logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Return (A_t − Ā)(log π_t − mean log π), (N, T), means over the kept tokens; −inf elsewhere.

    Parameters
    ----------
    logp : (N, T)
        Nats.
    advantage : (N,) or (N, T)
    mask : (N, T) bool
        True = keep.

    Raises
    ------
    TypeError, ValueError
        A mask that is not boolean, shapes that differ.

    Source: Cui et al. 2025, arXiv 2505.22617, the covariance of section 4. Departures: none.

    Examples
    --------
    >>> token_covariance(torch.tensor([[-1.0], [-3.0]]), torch.tensor([1.0, -1.0]), torch.ones(2, 1, dtype=torch.bool))
    tensor([[1.],
            [1.]])
    """
    logp = fill_padding(logp, mask)
    weight = token_advantage(advantage, logp, mask)  # (N, T), or (N, 1) to be broadcast
    length = mask.sum(-1, keepdim=True)  # (N, 1)
    n = length.sum().clamp(min=1)
    mean = (weight * length).sum() / n if advantage.ndim == 1 else weight.sum() / n
    product = (logp - logp.sum() / n).mul_(weight - mean)
    return product.masked_fill_(~mask, -torch.inf)


@torch.no_grad()
def choose_clip_cov(
    logp: Tensor,
    logp_old: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    seed: int,
    share: float = 2e-4,
    cov_low: float = 1.0,
    cov_high: float = 5.0,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
) -> dict[str, Tensor]:
    """Return ``token_keep``, (N, T) bool: False for share·M tokens drawn among those with cov_low < cov < cov_high.

    Parameters
    ----------
    logp, logp_old, advantage, mask
        Of the whole batch; M tokens are kept by the mask.
    seed : int
        The draw is a function of it alone (of a generator on the CPU), not of the global generator or the device.
    share : float
        In (0, 1]; max(1, ⌊share·M⌋) tokens, fewer if fewer qualify.
    cov_low, cov_high : float
        Open interval of covariances.
    clip_low, clip_high : float
        Tokens whose gradient the clip removes already do not qualify.

    Raises
    ------
    TypeError, ValueError
        Numbers out of range, a mask that is not boolean, shapes that differ.

    Source: Cui et al. 2025, arXiv 2505.22617, Clip-Cov, numbers of the released code. Departures: chosen
    in the whole batch; the released code takes at least one token in each *micro-batch*.

    Examples
    --------
    >>> logp, mask = torch.tensor([[-1.0], [-5.0]]), torch.ones(2, 1, dtype=torch.bool)
    >>> choose_clip_cov(logp, logp, torch.tensor([1.0, -1.0]), mask, seed=0)["token_keep"].sum()
    tensor(1)
    """
    check_share(share)
    check_clip(clip_low, clip_high)
    if not cov_low < cov_high:
        raise ValueError(f"expected cov_low < cov_high, got {cov_low} and {cov_high}")
    covariance = token_covariance(logp, advantage, mask)
    check_mask(mask, logp_old, "logp_old")
    able = ((covariance > cov_low) & (covariance < cov_high)).flatten().nonzero().flatten()  # (C,) few: the rest is left alone
    one = torch.ones_like(able, dtype=torch.bool)
    rows = able // mask.shape[1]
    drawn_from = [x.reshape(-1)[able] for x in (logp, logp_old)]
    weight = advantage.reshape(-1)[able if advantage.ndim == 2 else rows]
    _, ratio, weight = token_ratio(*drawn_from, weight, one)  # (C,) each
    able = able[weight * ratio.clamp(1 - clip_low, 1 + clip_high) >= weight * ratio]
    n = min(max(1, int(share * int(mask.sum()))), len(able))
    drawn = torch.randperm(len(able), generator=torch.Generator().manual_seed(seed))[:n].to(able.device)
    keep = torch.ones(mask.numel(), dtype=torch.bool, device=mask.device)
    keep[able[drawn]] = False
    return {"token_keep": keep.view_as(mask)}


def keep_weight(logp_old: Tensor, advantage: Tensor, mask: Tensor, *, token_keep: Tensor) -> Tensor:
    """Return 1 for the tokens that keep their advantage and 0 for the others, (N, T).

    Raises
    ------
    ValueError
        Shapes that differ.

    Source: Cui et al. 2025, arXiv 2505.22617, Clip-Cov. Departures: none.

    Examples
    --------
    >>> mask = torch.ones(1, 2, dtype=torch.bool)
    >>> keep_weight(torch.zeros(1, 2), torch.ones(1), mask, token_keep=torch.tensor([[True, False]]))
    tensor([[1., 0.]])
    """
    del advantage
    if token_keep.shape != mask.shape:
        raise ValueError(f"token_keep: expected shape {tuple(mask.shape)}, as mask, got {tuple(token_keep.shape)}")
    return (token_keep & mask).to(torch.promote_types(logp_old.dtype, torch.float32))


@torch.no_grad()
def choose_kl_cov(
    logp: Tensor, logp_old: Tensor, advantage: Tensor, mask: Tensor, *, share: float = 2e-3
) -> dict[str, Tensor]:
    """Return ``token_penalised``, (N, T) bool: the max(1, ⌊share·M⌋) kept tokens of largest covariance.

    Raises
    ------
    TypeError, ValueError
        ``share`` out of range, a mask that is not boolean, shapes that differ.

    Source: Cui et al. 2025, arXiv 2505.22617, KL-Cov. Departures: chosen in the whole batch.

    Examples
    --------
    >>> logp, mask = torch.tensor([[-1.0], [-5.0], [-2.0]]), torch.ones(3, 1, dtype=torch.bool)
    >>> choose_kl_cov(logp, logp, torch.tensor([1.0, -1.0, 0.0]), mask)["token_penalised"].flatten()
    tensor([False,  True, False])
    """
    del logp_old
    check_share(share)
    covariance = token_covariance(logp, advantage, mask).flatten()  # (N·T,)
    n = min(max(1, int(share * int(mask.sum()))), int(mask.sum()))
    chosen = torch.zeros_like(covariance, dtype=torch.bool)
    chosen[covariance.topk(n).indices] = True
    return {"token_penalised": chosen.view_as(mask) & mask}


def kl_cov_loss(
    logp: Tensor,
    logp_old: Tensor,
    advantage: Tensor,
    mask: Tensor,
    *,
    token_penalised: Tensor,
    penalty: float = 1.0,
) -> tuple[Tensor, Stats]:
    """Return −ρA + penalty·|log ρ| on the chosen tokens and −ρA on the others, (N, T), unclipped.

    On the first step of a batch ρ = 1, where |log ρ| is taken to have gradient 0: it acts from the second step on.

    Parameters
    ----------
    logp, logp_old, advantage, mask
        See :mod:`breadth.losses.tokens`.
    token_penalised : (N, T) bool
        From :func:`choose_kl_cov`.
    penalty : float
        ≥ 0, 1 in the paper's runs.

    Raises
    ------
    TypeError, ValueError
        A negative penalty, a mask that is not boolean, shapes that differ.

    Source: Cui et al. 2025, arXiv 2505.22617, KL-Cov. Departures: |log ρ| as in the released code, for the KL term.

    Examples
    --------
    >>> mask = torch.tensor([[True]])
    >>> kl_cov_loss(torch.tensor([[0.5]]), torch.zeros(1, 1), torch.zeros(1), mask, token_penalised=mask)[0]
    tensor([[0.5000]])
    """
    if not penalty >= 0:
        raise ValueError(f"penalty: expected a number >= 0, got {penalty}")
    log_ratio, ratio, weight = token_ratio(logp, logp_old, advantage, mask)
    matrix = -(weight * ratio) + penalty * log_ratio.abs() * (token_penalised & mask)
    return matrix, ratio_stats(log_ratio, ratio, mask)
