"""A3: outcome-based exploration. Bonuses for answers that were rarely seen, before (UCB) or in the same group (Batch)."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import class_count, group_count, group_mean
from breadth.tensors.masked import wide

VARIANTS = ("con", "mean", "plain")


def visit_bonus(
    count: Tensor,
    group: Tensor,
    *,
    scored: Tensor | None = None,
    variant: str = "con",
    offset: float = 0.5,
) -> Tensor:
    """Return b_i = min(1, N_i^{−1/2}), minus what the variant says, (N,) float64; 0 for a rollout without an answer.

    ``plain``: b. ``mean``: b minus the mean of b over the scored members of the group that have an answer. ``con``:
    b − ``offset``, with 0.5 negative from the fifth visit on.

    Parameters
    ----------
    count : (N,) int64
        N: how often the answer was given to the prompt before this batch; −1 = no answer could be read.
    group : (N,) int64
    scored : (N,) bool, optional
    variant : str
    offset : float
        b₀, only for ``con``.

    Raises
    ------
    ValueError
        Unknown variant.

    Source: Song, Kempe and Munos 2025, arXiv 2509.06941, UCB, UCB-Mean and UCB-Con. Departures: (1) a rollout without
    an answer gets no bonus and leaves the mean alone.

    Examples
    --------
    >>> one = torch.zeros(4, dtype=torch.int64)
    >>> visit_bonus(torch.tensor([0, 4, 16, -1]), one)
    tensor([ 0.5000,  0.0000, -0.2500,  0.0000], dtype=torch.float64)
    >>> visit_bonus(torch.tensor([0, 4, 16, -1]), one, variant="plain")
    tensor([1.0000, 0.5000, 0.2500, 0.0000], dtype=torch.float64)
    """
    check_exploration(variant=variant)
    bonus = count.clamp(min=1).to(torch.float64).rsqrt()
    answered = count >= 0 if scored is None else (count >= 0) & scored
    if variant == "mean":
        bonus = bonus - group_mean(bonus, group, keep=answered)
    elif variant == "con":
        bonus = bonus - offset
    return torch.where(answered, bonus, 0.0)


def shape_by_visits(
    values: Tensor,
    group: Tensor,
    *,
    count: Tensor,
    scored: Tensor | None = None,
    weight: float = 0.1,
    variant: str = "con",
    offset: float = 0.5,
) -> Tensor:
    """Return A_i + weight·b_i, (N,), detached; the bonus is added to the standardised advantage, not to the reward.

    Parameters
    ----------
    values : (N,)
        Advantages.
    group, count, scored, variant, offset
        See :func:`visit_bonus`.
    weight : float
        c ≥ 0.

    Raises
    ------
    ValueError
        Unknown variant, negative weight.

    Source: Song, Kempe and Munos 2025, arXiv 2509.06941. Departures: see :func:`visit_bonus`; the paper's c could not
    be verified.

    Examples
    --------
    >>> shape_by_visits(torch.zeros(2), torch.tensor([0, 0]), count=torch.tensor([0, 100]), weight=1.0, variant="mean")
    tensor([ 0.4500, -0.4500])
    """
    check_exploration(weight=weight, variant=variant)
    values = wide(values.detach())
    bonus = visit_bonus(count, group, scored=scored, variant=variant, offset=offset)
    return values + weight * bonus.to(values.dtype)


def shape_by_repetition(
    values: Tensor,
    group: Tensor,
    *,
    kind: Tensor,
    scored: Tensor | None = None,
    correct: Tensor | None = None,
    weight: float = 0.1,
    penalise: str = "all",
) -> Tensor:
    """Return A_i − weight·(copies of the answer among the other members)/n, (N,), detached.

    Parameters
    ----------
    values : (N,)
        Advantages.
    group : (N,) int64
    kind : (N,) int64
        Class inside the group.
    scored : (N,) bool, optional
    correct : (N,) bool, optional
        For ``penalise="wrong"``.
    weight : float
        c ≥ 0.
    penalise : str
        ``all`` (the paper): agreement on the right answer is punished too. ``wrong``: only wrong rollouts are.

    Returns
    -------
    (N,) float32 or wider
        n counts the scored members. A group of one is left alone.

    Raises
    ------
    ValueError
        Unknown option, negative weight, ``correct`` absent where it is needed.

    Source: Song, Kempe and Munos 2025, arXiv 2509.06941, Batch. Departures: (1) ``penalise="wrong"`` is ours; the
    paper's c could not be verified.

    Examples
    --------
    >>> shape_by_repetition(torch.zeros(4), torch.zeros(4, dtype=torch.int64), kind=torch.tensor([0, 0, 0, 1]), weight=1.0)
    tensor([-0.5000, -0.5000, -0.5000,  0.0000])
    """
    check_exploration(weight=weight, penalise=penalise)
    values = wide(values.detach())
    scored = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
    acts = scored
    if penalise == "wrong":
        if correct is None:
            raise ValueError("penalise='wrong' needs the stream `correct` (N,) bool")
        acts = scored & ~correct
    copies = (class_count(kind, group, keep=scored) - 1).to(values.dtype)
    share = copies / group_count(group, keep=scored).clamp(min=1)
    return torch.where(acts, values - weight * share, values)


def check_exploration(*, weight: float = 0.0, variant: str = "con", penalise: str = "all") -> None:
    """Raise ValueError for an option that nobody knows or a negative weight."""
    if variant not in VARIANTS:
        raise ValueError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
    if penalise not in ("all", "wrong"):
        raise ValueError(f"penalise: expected one of all, wrong, got {penalise!r}")
    if not weight >= 0:
        raise ValueError(f"weight: expected a number >= 0, got {weight}")
