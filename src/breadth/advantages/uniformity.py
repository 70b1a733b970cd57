"""A3: UCPO. The advantage of the correct members of a group, dealt out anew so that rare ones get more of it."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_count, group_index, group_sum
from breadth.tensors.masked import wide

LEVELS = ("per_token", "sequence")


def inverse_share(likely: Tensor, group: Tensor, *, keep: Tensor) -> Tensor:
    """Return (1/q_i)/Σ_j(1/q_j) with q = softmax of ``likely`` over the kept members of a group, (N,); 0 for the others.

    That is the softmax of −likely. Sums to 1 in every group that has a kept member.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> inverse_share(torch.tensor([0.0, 0.0, 5.0]), torch.tensor([0, 0, 0]), keep=torch.tensor([True, True, False]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    index, n = group_index(group)
    low = likely.new_full((n,), torch.inf).scatter_reduce(0, index, likely.masked_fill(~keep, torch.inf), "amin")
    weight = torch.exp(torch.where(keep, low[index] - likely, -torch.inf))  # the rarest has 1
    return weight / torch.where(keep, group_sum(weight, group), 1.0)


def shape_by_uniformity(
    values: Tensor,
    group: Tensor,
    *,
    correct: Tensor,
    seq_logp: Tensor,
    length: Tensor | None = None,
    scored: Tensor | None = None,
    tau: float = 0.2,
    power: float = 1.0,
    level: str = "per_token",
) -> Tensor:
    """Return advantages in which the correct members share their sum M as M·[(1 − τ)/n_c + τ·w_i/Σ_j w_j], (N,), detached.

    w = q^−power, q the softmax of the correct members' (mean token) log-probabilities. Only groups with at least two
    correct members and M > 0 change; the sum of a group never does.

    What that reaches: for a softmax over answers the expected step of a correct answer's logit is π·A, so with advantages
    that sum to 0, τ = 1 and power 1 lift all correct answers alike. Their proportions stay what they were; it takes
    power > 1 to make them equal.

    Parameters
    ----------
    values : (N,)
        Advantages, of binary rewards: equal for all correct members of a group.
    group : (N,) int64
    correct : (N,) bool
    seq_logp : (N,)
        Under the policy that sampled, nats.
    length : (N,) int64, optional
        For ``level="per_token"``.
    scored : (N,) bool, optional
    tau : float
        τ in [0, 1].
    power : float
        > 0; 1 in the code.
    level : str
        ``per_token``: mean token log-probability (the code). ``sequence``: whole sequences; the weights are then steep,
        one long answer may take τ·M.

    Raises
    ------
    ValueError
        Unknown level, ``tau`` out of range, ``length`` absent where it is needed.

    Source: Lochab, Li and Zhang 2026 (UCPO), arXiv 2605.00365, the code's redistribution. Departures: (1) rewards that
    are not binary keep the sum of their advantages, the code assumes one common value; (2) ``level="sequence"`` and
    ``power`` are ours.

    Examples
    --------
    >>> shape_by_uniformity(
    ...     torch.tensor([0.5, 0.5, -1.0]), torch.zeros(3, dtype=torch.int64), length=torch.ones(3), tau=0.5,
    ...     correct=torch.tensor([True, True, False]), seq_logp=torch.tensor([0.75, 0.25, 0.5]).log())
    tensor([ 0.3750,  0.6250, -1.0000])
    """
    check_uniformity(tau=tau, power=power, level=level)
    values = wide(values.detach())
    likely = wide(seq_logp.detach())
    if level == "per_token":
        if length is None:
            raise ValueError("level='per_token' needs the stream `length` (N,) int64")
        likely = likely / length.clamp(min=1)
    right = correct if scored is None else correct & scored
    n_right = group_count(group, keep=right)
    mass = group_sum(values, group, keep=right)
    rare = inverse_share(power * likely, group, keep=right).to(values.dtype)
    share = (1 - tau) / n_right.clamp(min=1).to(values.dtype) + tau * rare
    return torch.where(right & (n_right >= 2) & (mass > 0), mass * share, values)


def check_uniformity(*, tau: float, power: float, level: str) -> None:
    """Raise ValueError for a level that nobody knows or a number out of range."""
    if not power > 0:
        raise ValueError(f"power: expected a number > 0, got {power}")
    if level not in LEVELS:
        raise ValueError(f"level: expected one of {', '.join(LEVELS)}, got {level!r}")
    if not 0 <= tau <= 1:
        raise ValueError(f"tau: expected a number in [0, 1], got {tau}")
