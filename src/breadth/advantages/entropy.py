"""A3: entropy terms of QEMPO and QEMPO-KL, at the level of whole sequences, with three choices of who takes part."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import group_centre, group_count
from breadth.tensors.masked import wide

MASKS = ("correct_subset", "none", "group_all_correct")
LENGTH_NORMS = ("none", "per_token")

#: ``inv_lambda="auto"``: entropy term's deviation over advantage's deviation, both over the batch
AUTO_SHARE = 0.5
#: nats. Below this spread the term is float32 noise between copies of one sequence; "auto" does not blow it up.
SPREAD_FLOOR = 0.01


def entropy_members(
    group: Tensor, *, correct: Tensor | None, scored: Tensor | None = None, mask: str = "correct_subset"
) -> Tensor:
    """Return who takes part in the entropy term, (N,) bool.

    ``correct_subset``: the correct members of groups with at least two of them. ``none``: every scored member.
    ``group_all_correct``: the members of groups in which every scored member is correct.

    Raises
    ------
    ValueError
        Unknown mask, or ``correct`` absent where it is needed.

    Source: arXiv 2602.15894: its text describes the first, its eq. 9 the second, its listing the third.
    Departures: none.

    Examples
    --------
    >>> group = torch.tensor([0, 0, 0])
    >>> entropy_members(group, correct=torch.tensor([True, True, False])).tolist()
    [True, True, False]
    >>> entropy_members(group, correct=torch.tensor([True, True, False]), mask="group_all_correct").tolist()
    [False, False, False]
    """
    if mask not in MASKS:
        raise ValueError(f"mask: expected one of {', '.join(MASKS)}, got {mask!r}")
    scored = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
    if mask == "none":
        return scored
    if correct is None:
        raise ValueError(f"mask={mask!r} needs the stream `correct` (N,) bool")
    right = scored & correct
    n_right = group_count(group, keep=right)
    if mask == "correct_subset":
        return right & (n_right >= 2)
    return scored & (n_right == group_count(group, keep=scored))


def centred_term(
    seq_logp: Tensor,
    group: Tensor,
    *,
    correct: Tensor | None = None,
    scored: Tensor | None = None,
    length: Tensor | None = None,
    mask: str = "correct_subset",
    length_norm: str = "none",
) -> Tensor:
    """Return −(s_i − mean of s over those who take part), (N,), detached; 0 for those who do not.

    Sums to 0 in every group, does not change if a constant is added to every s, is 0 where fewer than two take part.

    Parameters
    ----------
    seq_logp : (N,)
        Sequence log-probabilities, nats.
    group : (N,) int64
    correct, scored : (N,) bool
    length : (N,) int, optional
        Tokens, for ``length_norm="per_token"``.
    mask : str
        See :func:`entropy_members`.
    length_norm : str
        ``none``: s_i. ``per_token``: s_i / length_i, since s_i falls with length and −s_i is then a bonus for it.

    Raises
    ------
    ValueError
        Unknown option or a missing stream.

    Source: arXiv 2602.15894, the variance of eq. 8 and 9 in advantage form. Departures: (1) centred on those who take
    part, which makes it the gradient of the entropy among them; centred on the whole group (as the text can be read) it
    pushes correct answers down. (2) ``per_token`` is ours.

    Examples
    --------
    >>> centred_term(torch.tensor([-1.0, -3.0, -9.0]), torch.zeros(3, dtype=torch.int64),
    ...              correct=torch.tensor([True, True, False]))
    tensor([-1.,  1.,  0.])
    """
    if length_norm not in LENGTH_NORMS:
        raise ValueError(f"length_norm: expected one of {', '.join(LENGTH_NORMS)}, got {length_norm!r}")
    value = wide(seq_logp.detach())
    if length_norm == "per_token":
        if length is None:
            raise ValueError("length_norm='per_token' needs the stream `length` (N,) int64")
        value = value / length.clamp(min=1)
    members = entropy_members(group, correct=correct, scored=scored, mask=mask)
    return group_centre(-value, group, keep=members).nan_to_num(nan=0.0)


def auto_weight(values: Tensor, term: Tensor, *, scored: Tensor | None = None) -> float:
    """Return the weight that gives ``weight · term`` half the deviation of ``values`` over the scored rollouts.

    0 where either has no spread. A term that spreads by less than 0.01 nats counts as 0.01, so that a collapsed policy
    (identical sequences, log-probabilities equal up to rounding) does not turn rounding noise into an advantage.

    Parameters
    ----------
    values, term : (N,)
    scored : (N,) bool, optional

    Source: none. Departures: not in any paper; arXiv 2602.15894 uses the fixed 1/λ = 4e-3.

    Examples
    --------
    >>> auto_weight(torch.tensor([1.0, -1.0]), torch.tensor([4.0, -4.0]))
    0.125
    """
    keep = ~torch.isnan(values) if scored is None else scored
    if int(keep.sum()) < 2:
        return 0.0
    spread = wide(term)[keep].std(correction=0)
    weight = AUTO_SHARE * wide(values)[keep].std(correction=0) / spread.clamp(min=SPREAD_FLOOR)
    return float(torch.where(spread > 0, weight, 0.0))


def shape_by_entropy(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    correct: Tensor | None = None,
    scored: Tensor | None = None,
    length: Tensor | None = None,
    inv_lambda: float | str = "auto",
    mask: str = "correct_subset",
    length_norm: str = "none",
) -> Tensor:
    """Return A_i − (1/λ)(s_i − s̄) for those who take part, (N,), detached.

    On-policy with ``mask="none"`` that is the gradient of E r + (1/λ)·H(π), optimum π ∝ exp(λr); with
    ``correct_subset`` the term is the gradient of the entropy *among correct answers* (up to (n_c − 1)/G), which does
    not compete with quality: the fixed point is uniform on the correct answers for every 1/λ > 0.

    Parameters
    ----------
    values : (N,)
        Advantages.
    group, seq_logp, correct, scored, length, mask, length_norm
        See :func:`centred_term`.
    inv_lambda : float or "auto"
        1/λ ≥ 0; ``auto``: see :func:`auto_weight`.

    Raises
    ------
    ValueError
        A negative ``inv_lambda``, an unknown option or a missing stream.

    Source: arXiv 2602.15894, eq. 9. Departures: (1) advantage form, which equals eq. 9 on-policy up to the factor 2/λ;
    (2) the default mask and the default weight are ours, the paper's are ``group_all_correct`` in the listing and 4e-3.

    Examples
    --------
    >>> shape_by_entropy(torch.tensor([0.5, 0.5, -1.0]), torch.zeros(3, dtype=torch.int64), inv_lambda=0.1,
    ...                  seq_logp=torch.tensor([-1.0, -3.0, -9.0]), correct=torch.tensor([True, True, False]))
    tensor([ 0.4000,  0.6000, -1.0000])
    """
    values = wide(values.detach())
    term = centred_term(
        seq_logp, group, correct=correct, scored=scored, length=length, mask=mask, length_norm=length_norm
    )
    return values + resolve_weight("inv_lambda", inv_lambda, values, term, scored) * term


def shape_by_entropy_and_reference(
    values: Tensor,
    group: Tensor,
    *,
    seq_logp: Tensor,
    seq_logp_ref: Tensor,
    correct: Tensor | None = None,
    scored: Tensor | None = None,
    length: Tensor | None = None,
    inv_lambda1: float | str = "auto",
    ratio: float = 1e-2,
    mask: str = "correct_subset",
    length_norm: str = "none",
) -> Tensor:
    """Return A_i − a(s_i − s̄) + b(s_i^ref − s̄^ref) for those who take part, (N,), detached; a = (1 + λ2)/λ1, b = λ2/λ1.

    In other words the entropy term at 1/λ1 plus a KL term at β = ratio: a·s − b·s_ref = s/λ1 + ratio·(s − s_ref). Both
    are masked together, so that with ``correct_subset`` the fixed point on the correct answers is ∝ π_ref^{b/a}.

    Parameters
    ----------
    values : (N,)
        Advantages.
    group, seq_logp, correct, scored, length, mask, length_norm
        See :func:`centred_term`.
    seq_logp_ref : (N,)
        Of the reference policy, nats.
    inv_lambda1 : float or "auto"
        1/λ1 ≥ 0; ``auto`` weighs the entropy term alone, see :func:`auto_weight`.
    ratio : float
        λ2/λ1 ≥ 0; 0 makes it :func:`shape_by_entropy`.

    Raises
    ------
    ValueError
        A negative number, an unknown option or a missing stream.

    Source: arXiv 2602.15894, eq. 8 (the RL form of SPL, arXiv 2511.08594, with α = a and β = b). Departures:
    (1) the covariance enters with the sign of eq. 8, not of the listing; (2) π_ref is the reference, not the sampling
    policy; (3) both terms are masked, the listing masks the variance only; (4) the factor ½ on the variance is kept.

    Examples
    --------
    >>> shape_by_entropy_and_reference(
    ...     torch.zeros(2), torch.tensor([0, 0]), seq_logp=torch.tensor([-1.0, -3.0]), inv_lambda1=0.1, ratio=0.5,
    ...     seq_logp_ref=torch.tensor([-1.0, -3.0]), correct=torch.tensor([True, True]))
    tensor([-0.1000,  0.1000])
    """
    if ratio < 0:
        raise ValueError(f"ratio: expected a number >= 0, got {ratio}")
    values = wide(values.detach())
    options = {"correct": correct, "scored": scored, "length": length, "mask": mask, "length_norm": length_norm}
    term = centred_term(seq_logp, group, **options)
    pull = centred_term(seq_logp - seq_logp_ref, group, **options)
    return values + resolve_weight("inv_lambda1", inv_lambda1, values, term, scored) * term + ratio * pull


def resolve_weight(name: str, weight: float | str, values: Tensor, term: Tensor, scored: Tensor | None) -> float:
    """Return the number that stands for ``weight``: itself, or :func:`auto_weight` for ``"auto"``.

    Raises
    ------
    ValueError
        Neither a number ≥ 0 nor ``"auto"``.
    """
    if weight == "auto":
        return auto_weight(values, term, scored=scored)
    if isinstance(weight, str) or not weight >= 0:
        raise ValueError(f"{name}: expected a number >= 0 or 'auto', got {weight!r}")
    return float(weight)
