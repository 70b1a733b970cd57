"""A2: from rewards to advantages. Unscored rollouts (NaN) get 0 and take no part in anybody's baseline.

All outputs are detached, (N,), float32 or wider. ``scored`` may only narrow what NaN already says.
"""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_centre, group_count, group_deviation
from breadth.tensors.masked import wide


def _scored(values: Tensor, scored: Tensor | None) -> Tensor:
    present = ~torch.isnan(values)
    return present if scored is None else present & scored


def no_baseline(reward: Tensor, group: Tensor, *, scored: Tensor | None = None) -> Tensor:
    """Return the reward itself, (N,), 0 where unscored.

    Source: Williams 1992, "Simple statistical gradient-following algorithms" (REINFORCE with b = 0). Departures: none.

    Examples
    --------
    >>> no_baseline(torch.tensor([1.0, float("nan")]), torch.tensor([0, 0]))
    tensor([1., 0.])
    """
    del group
    return wide(reward.detach()).masked_fill(~_scored(reward, scored), 0.0)


def centre(reward: Tensor, group: Tensor, *, scored: Tensor | None = None) -> Tensor:
    """Return r_i − mean of its group's scored rewards, (N,).

    A group of one, or with all rewards equal, gives exactly 0.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored.
    group : (N,) int64
    scored : (N,) bool, optional

    Source: Liu et al. 2025 (Dr. GRPO), arXiv 2503.20783, section 3. Departures: none.

    Examples
    --------
    >>> centre(torch.tensor([1.0, 0.0, float("nan")]), torch.tensor([0, 0, 0]))
    tensor([ 0.5000, -0.5000,  0.0000])
    """
    return group_centre(reward.detach(), group, keep=_scored(reward, scored)).nan_to_num(nan=0.0)


def centre_batch(reward: Tensor, group: Tensor, *, scored: Tensor | None = None) -> Tensor:
    """Return r_i − mean of all scored rewards of the batch, (N,); groups play no part.

    With one rollout in the batch: 0.

    Source: Williams 1992 (REINFORCE with a constant baseline, here the batch's mean). Departures: the mean contains r_i
    itself, which shrinks the expected gradient by (N − 1)/N and changes nothing else.

    Examples
    --------
    >>> centre_batch(torch.tensor([1.0, 0.0]), torch.tensor([0, 1]))
    tensor([ 0.5000, -0.5000])
    """
    return centre(reward, torch.zeros_like(group), scored=scored)


def standardise(
    reward: Tensor, group: Tensor, *, scored: Tensor | None = None, ddof: int = 1, eps: float = 1e-4
) -> Tensor:
    """Return (r_i − r̄)/(σ + eps) inside the group, (N,).

    Groups with n ≤ ddof scored members, or with all rewards equal, give exactly 0, for eps = 0 too.

    Parameters
    ----------
    reward : (N,)
        NaN = unscored.
    group : (N,) int64
    scored : (N,) bool, optional
    ddof : int
        1 = sample deviation (TRL, verl), 0 = population deviation (pass@k's closed form).
    eps : float
        Added to σ: 1e-4 in TRL, 1e-6 in verl, ≥ 0.

    Raises
    ------
    ValueError
        ``eps`` is negative.

    Source: Shao et al. 2024 (GRPO), arXiv 2402.03300, section 4.1.2. Departures: the paper has no eps and does not say
    which deviation.

    Examples
    --------
    >>> standardise(torch.tensor([1.0, 0.0]), torch.tensor([0, 0]), ddof=0, eps=0.0)
    tensor([ 1., -1.])
    """
    if eps < 0:
        raise ValueError(f"eps: expected a number >= 0, got {eps}")
    keep = _scored(reward, scored)
    centred = group_centre(reward.detach(), group, keep=keep)
    deviation = group_deviation(reward.detach(), group, keep=keep, ddof=ddof).nan_to_num(nan=0.0)
    scale = torch.where(deviation > 0, deviation + eps, 1.0)
    return (centred / scale).nan_to_num(nan=0.0)


def leave_one_out(reward: Tensor, group: Tensor, *, scored: Tensor | None = None) -> Tensor:
    """Return r_i − mean of the *other* scored rewards of its group = n/(n − 1)·(r_i − r̄), (N,).

    A group of one gives 0: nobody else says what to expect.

    Source: Kool et al. 2019; Ahmadian et al. 2024, arXiv 2402.14740 (RLOO). Departures: none.

    Examples
    --------
    >>> leave_one_out(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0, 0, 0]))
    tensor([ 1.0000, -0.5000, -0.5000])
    """
    keep = _scored(reward, scored)
    count = group_count(group, keep=keep)
    return centre(reward, group, scored=scored) * (count / (count - 1).clamp(min=1))


def scale_by_batch_deviation(
    values: Tensor, group: Tensor, *, scored: Tensor | None = None, eps: float = 1e-8
) -> Tensor:
    """Return A_i / (σ_batch + eps), (N,), with σ_batch the sample deviation over the scored rollouts of the batch.

    The mean is not removed. Fewer than two scored rollouts, or all advantages equal to 0, are returned as they are.

    Source: the advantage normalisation of common PPO implementations (Huang et al. 2022, "The 37 implementation details
    of PPO", detail 7). Departures: those also subtract the batch mean.

    Examples
    --------
    >>> scale_by_batch_deviation(torch.tensor([2.0, -2.0]), torch.tensor([0, 0]), eps=0.0)
    tensor([ 0.7071, -0.7071])
    """
    values = wide(values.detach())
    keep = _scored(values, scored)
    deviation = group_deviation(values, torch.zeros_like(group), keep=keep).nan_to_num(nan=0.0)
    return values / torch.where(deviation > 0, deviation + eps, 1.0)
