"""C: the implicit-reward family. One formula, a·log π − b·log π_ref, and the ways in which it is matched to a reward.

Its optimum is π* ∝ π_ref^{b/a}·exp(r/a). DPO, IPO, SPL, SimPO, CPO, QEMPO and QEMPO-KL match it on pairs; GVPO, QEMPO
and QEMPO-KL by group-centred squares; REINVENT and FlowRL by squares with a log Z of 0 or a learned one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.tensors.groups import group_centre, group_count
from breadth.tensors.groups import group_mean as mean_of_group
from breadth.tensors.masked import wide

LINKS = ("sigmoid", "ipo", "hinge")


def implicit_reward(
    logp: Tensor,
    logp_ref: Tensor | None = None,
    a: float | Tensor = 1.0,
    b: float | Tensor = 0.0,
    length: Tensor | None = None,
) -> Tensor:
    """Return a·log π − b·log π_ref, each divided by ``length`` if given.

    ==============  ============  ==========  =============
    method          a             b           length
    ==============  ============  ==========  =============
    DPO, GVPO       β             β           no
    SPL             α             β           no
    QEMPO           1/λ           0           no
    QEMPO-KL        (1 + λ2)/λ1   λ2/λ1       no
    SimPO / CPO     β             0           yes / no
    REINVENT        1/σ           1/σ         no
    ==============  ============  ==========  =============

    Parameters
    ----------
    logp : (N,)
        Sequence log-probabilities, nats; the gradient flows.
    logp_ref : (N,), optional
        Of the reference; may be absent only if b = 0, and gets no gradient.
    a, b : float or Tensor
    length : (N,), optional
        Tokens, ≥ 1.

    Returns
    -------
    (N,) float32 or wider, in units of reward

    Raises
    ------
    ValueError
        b is not 0 and there is no ``logp_ref``.

    Source: the common form of arXiv 2305.18290 eq. 5, 2504.19599, 2511.08594, 2602.15894. Departures: none.

    Examples
    --------
    >>> implicit_reward(torch.tensor([-1.0]), torch.tensor([-2.0]), a=0.5, b=0.5)
    tensor([0.5000])
    """
    reward = a * wide(logp)
    if logp_ref is not None:
        reward = reward - b * wide(logp_ref.detach())
    elif isinstance(b, Tensor) or b != 0:
        raise ValueError(f"logp_ref: needed because b = {b}; pass the reference's log-probabilities, or b = 0")
    return reward if length is None else reward / length.clamp(min=1)


def pair_loss(
    *,
    chosen: Tensor,
    rejected: Tensor,
    ref_chosen: Tensor | None = None,
    ref_rejected: Tensor | None = None,
    a: float,
    b: float,
    link: str = "sigmoid",
    margin: float = 0.0,
    chosen_length: Tensor | None = None,
    rejected_length: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the loss of each preference pair and the implicit rewards of its two sides.

    With Δ = R(chosen) − R(rejected) − margin and R from :func:`implicit_reward`:
    ``sigmoid`` −log σ(Δ); ``ipo`` ((Δ − ½)/a)², which for a = b = β is (h − 1/(2β))² with h the log-ratio difference;
    ``hinge`` max(0, 1 − Δ). Label smoothing ε mixes (1 − ε)·f(Δ) + ε·f(−Δ).

    Parameters
    ----------
    chosen, rejected : (B,)
        Sequence log-probabilities with gradient, nats.
    ref_chosen, ref_rejected : (B,), optional
        Of the reference; needed if b ≠ 0.
    a, b : float
        See :func:`implicit_reward`.
    link : str
        ``sigmoid``, ``ipo`` or ``hinge``.
    margin : float
        In units of implicit reward (SimPO's γ).
    chosen_length, rejected_length : (B,), optional
        Both or neither; divide the log-probabilities.
    label_smoothing : float
        ε in [0, ½).

    Returns
    -------
    loss : (B,) with gradient
    chosen_reward, rejected_reward : (B,) detached

    Raises
    ------
    ValueError
        Unknown link, one length without the other, a missing reference, ``label_smoothing`` out of range.

    Source: DPO arXiv 2305.18290 eq. 7; IPO arXiv 2310.12036 eq. 17; hinge arXiv 2305.10425; SimPO arXiv 2405.14734
    eq. 6; SPL arXiv 2511.08594; QEMPO-KL and QEMPO arXiv 2602.15894 eq. 6 and 7. Departures: IPO for a ≠ b is
    our extension.

    Examples
    --------
    >>> loss, better, worse = pair_loss(chosen=torch.tensor([-1.0]), rejected=torch.tensor([-1.0]), a=0.1, b=0.0)
    >>> loss
    tensor([0.6931])
    """
    if link not in LINKS:
        raise ValueError(f"link: expected one of {', '.join(LINKS)}, got {link!r}")
    if not 0 <= label_smoothing < 0.5:
        raise ValueError(f"label_smoothing: expected a number in [0, 0.5), got {label_smoothing}")
    if (chosen_length is None) != (rejected_length is None):
        raise ValueError("chosen_length and rejected_length: give both or neither")
    chosen_reward = implicit_reward(chosen, ref_chosen, a, b, chosen_length)
    rejected_reward = implicit_reward(rejected, ref_rejected, a, b, rejected_length)
    delta = chosen_reward - rejected_reward - margin

    def of(gap: Tensor) -> Tensor:
        if link == "sigmoid":
            return -F.logsigmoid(gap)
        if link == "ipo":
            return ((gap - 0.5) / a) ** 2
        return (1 - gap).clamp(min=0)

    loss = of(delta)
    if label_smoothing:
        loss = (1 - label_smoothing) * loss + label_smoothing * of(-delta)
    return loss, chosen_reward.detach(), rejected_reward.detach()


def group_loss(
    seq_logp: Tensor,
    reward: Tensor,
    group: Tensor,
    *,
    a: float | Tensor,
    b: float | Tensor,
    seq_logp_ref: Tensor | None = None,
    log_z: Tensor | float | None = None,
    group_mean: Tensor | None = None,
    reward_mean: Tensor | None = None,
    group_size: Tensor | None = None,
    scored: Tensor | None = None,
) -> Tensor:
    """Return terms ½·d_i²/(G − 1), (N,), whose sum over a group is the group's loss.

    Centred: d_i = (R_i − R̄) − (r_i − r̄), where Z(x) cancels, so that it is right off-policy too. With ``log_z``:
    d_i = R_i − (r_i − a·log Z), where log Z = log Σ π_ref^{b/a}·exp(r/a). R is :func:`implicit_reward`, G the number of
    scored members. The loss of a batch is the mean over groups with at least two of them.

    On-policy the expected gradient of a group's loss is −a·∇J with J = E r + a·H(π) − b·CE(π, π_ref).

    Parameters
    ----------
    seq_logp : (N,)
        With gradient, nats. The gradient flows through R̄ unless ``group_mean`` is given.
    reward : (N,)
        NaN = unscored: term 0, no part in any mean.
    group : (N,) int64
    a, b : float or (N,)
    seq_logp_ref : (N,), optional
        Needed if b ≠ 0.
    log_z : (N,) or float, optional
        Given: no centring.
    group_mean, reward_mean, group_size : (N,), optional
        R̄ (of the implicit reward), r̄ and G of the *whole* group, detached, for a micro-batch that holds part of it.
        Since Σd = 0 over the group, the gradients of the parts still sum to the whole group's.
    scored : (N,) bool, optional

    Returns
    -------
    (N,) float32 or wider
        0 in groups with fewer than two scored members, with ``log_z`` too.

    Raises
    ------
    ValueError
        Shapes that differ or a missing reference.

    Source: GVPO arXiv 2504.19599 (a = b = β); QEMPO-KL and QEMPO arXiv 2602.15894 eq. 8 and 9 as squares.
    Departures: none.

    Examples
    --------
    >>> s = torch.tensor([-1.0, -3.0], requires_grad=True)
    >>> terms = group_loss(s, torch.tensor([1.0, 0.0]), torch.tensor([0, 0]), a=0.5, b=0.0)
    >>> terms.tolist()  # the implicit rewards already differ by 1, as the rewards do
    [0.0, 0.0]
    """
    if seq_logp.shape != group.shape or reward.shape != group.shape:
        raise ValueError(
            f"expected seq_logp, reward and group of one shape (N,), "
            f"got {tuple(seq_logp.shape)}, {tuple(reward.shape)} and {tuple(group.shape)}"
        )
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    implicit = implicit_reward(
        seq_logp.masked_fill(~keep, 0.0), None if seq_logp_ref is None else seq_logp_ref.masked_fill(~keep, 0.0), a, b
    )
    reward = wide(reward.detach()).masked_fill(~keep, 0.0).to(implicit.dtype)
    size = group_count(group, keep=keep) if group_size is None else group_size
    if log_z is not None:
        gap = implicit - reward + a * log_z
    else:
        left = _minus_mean(implicit, group, keep, group_mean)
        gap = left - _minus_mean(reward, group, keep, reward_mean)
    terms = gap.masked_fill(~(keep & (size >= 2)), 0.0) ** 2 / 2
    return terms / (size - 1).clamp(min=1)


def group_means(
    seq_logp: Tensor,
    reward: Tensor,
    group: Tensor,
    *,
    a: float | Tensor,
    b: float | Tensor,
    seq_logp_ref: Tensor | None = None,
    scored: Tensor | None = None,
) -> dict[str, Tensor]:
    """Return the whole batch's ``group_mean``, ``reward_mean`` and ``group_size`` for :func:`group_loss`, each (N,).

    Computed once, detached, on the whole batch and indexed like the other streams, they let a micro-batch hold part of
    a group. Valid for the weights at which ``seq_logp`` was computed.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> s, r = torch.tensor([-1.0, -3.0]), torch.tensor([1.0, 0.0])
    >>> group_means(s, r, torch.tensor([0, 0]), a=1.0, b=0.0)["group_mean"]
    tensor([-2., -2.])
    """
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    implicit = implicit_reward(seq_logp.detach(), seq_logp_ref, a, b)
    return {
        "group_mean": mean_of_group(implicit, group, keep=keep),
        "reward_mean": mean_of_group(reward.detach(), group, keep=keep),
        "group_size": group_count(group, keep=keep),
    }


def _minus_mean(values: Tensor, group: Tensor, keep: Tensor, mean: Tensor | None) -> Tensor:
    if mean is None:
        return group_centre(values, group, keep=keep).masked_fill(~keep, 0.0)
    return (values - mean.detach().to(values.dtype)).masked_fill(~keep, 0.0)


def likelihood_square(
    seq_logp: Tensor,
    reward: Tensor,
    *,
    seq_logp_ref: Tensor,
    sigma: float,
    scored: Tensor | None = None,
) -> Tensor:
    """Return (s_i^ref + σ·r_i − s_i)² of each sequence, (N,): REINVENT's augmented likelihood.

    Equal to σ²·(R_i − r_i)² with a = b = 1/σ and log Z forced to 0. Its gradient is −2σ·A·∇s with
    A = r − (s − s_ref)/σ: KL-regularised policy gradient without a baseline on-policy, and a wrong optimum off-policy.

    Parameters
    ----------
    seq_logp : (N,)
        With gradient, nats.
    reward : (N,)
        NaN = unscored: term 0.
    seq_logp_ref : (N,)
        Of the prior, nats.
    sigma : float
        σ > 0, nats per unit of reward.
    scored : (N,) bool, optional

    Raises
    ------
    ValueError
        ``sigma`` is not positive.

    Source: Olivecrona et al. 2017, arXiv 1704.07555, the augmented likelihood (no equation number). Departures: none in
    the square; see :mod:`breadth.objectives.reinvent` for the training around it.

    Examples
    --------
    >>> likelihood_square(torch.tensor([-10.0]), torch.tensor([0.5]), seq_logp_ref=torch.tensor([-12.0]), sigma=60.0)
    tensor([784.])
    """
    if not sigma > 0:
        raise ValueError(f"sigma: expected a number > 0, got {sigma}")
    keep = ~torch.isnan(reward) if scored is None else scored & ~torch.isnan(reward)
    reward = wide(reward.detach()).masked_fill(~keep, 0.0)
    target = wide(seq_logp_ref.detach()).masked_fill(~keep, 0.0) + sigma * reward
    return ((target - wide(seq_logp)).masked_fill(~keep, 0.0)) ** 2
