"""Diversity that a user can use: among outputs above a quality bar, or weighted by validity."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from breadth.metrics.averages import mean_over_sets
from breadth.metrics.conditions import TextMeasurement, with_conditions
from breadth.metrics.pairwise import mean_pairwise


def diversity_above_bar(
    distance: np.ndarray, score: Sequence[float] | np.ndarray, *, bar: float, group: Sequence[Hashable] | None = None
) -> TextMeasurement:
    """Return the mean pairwise distance among the answers whose score is at least ``bar``.

    Parameters
    ----------
    distance : (N, N) array
        Entries between different groups are ignored.
    score : (N,) float
        NaN: unscored, takes no part, counted in ``n_unscored``.
    bar : float
    group : N labels, optional
        Pairs inside each group, averaged over the groups with at least two answers above the bar. None: one group.

    Returns
    -------
    TextMeasurement
        ``n`` counts answers above the bar in groups that have a value; ``note`` says which share of the scored answers
        is above it. ``value`` None where no group has two. A policy with few good answers may score high: read it beside
        that share, or use :func:`effective_diversity`.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a distance inside a group that is not finite.

    Source: the view of Shypula et al. 2025, arXiv 2504.12522 (diversity among outputs that meet a quality threshold).
    Departures: distances of your choice, not their program-execution classes.

    Examples
    --------
    >>> far = 1 - np.eye(3)
    >>> row = diversity_above_bar(far, [1.0, 0.9, 0.1], bar=0.5)
    >>> row.value, row.n, row.note
    (1.0, 2, '67 % of the scored answers are above the bar')
    """
    distance, score, places = _checked(distance, score, group)
    scored = ~np.isnan(score)
    good = scored & (score >= bar)  # NaN compares False
    values = []
    for members in places:
        chosen = members[good[members]]
        values.append((*mean_pairwise(distance[np.ix_(chosen, chosen)]), chosen.size))
    row = mean_over_sets("diversity_above_bar", values, int((~scored).sum()), "distance")
    share = good.sum() / scored.sum() if scored.any() else 0.0
    note = f"{share:.0%} of the scored answers are above the bar".replace("%", " %")
    return with_conditions(row, scope="pooled" if group is None else "within_prompt", note=note)


def effective_diversity(
    distance: np.ndarray, validity: Sequence[float], *, group: Sequence[Hashable] | None = None
) -> TextMeasurement:
    """Return Σ_{i<j} v_i·v_j·d_ij / C(n, 2): mean pairwise distance in which a pair counts as far as both are valid.

    With v in {0, 1} it is (chance that two answers are both valid) × (mean distance among the valid ones): a policy gains
    by being wider *and* by being right more often.

    Parameters
    ----------
    distance : (N, N) array
        Entries between different groups, and of answers with v = 0, are ignored.
    validity : (N,) float in [0, 1]
        v; NaN: unscored, takes no part at all.
    group : N labels, optional

    Returns
    -------
    TextMeasurement
        Mean over groups with at least two scored answers; ``error`` over groups, for one group the jackknife.

    Raises
    ------
    ValueError
        Shapes that do not fit, validity outside [0, 1], a distance inside a group that is not finite.

    Source: the view of Shypula et al. 2025, arXiv 2504.12522 (effective diversity: invalid outputs add nothing).
    Departures: 1. distances of your choice. 2. weights between 0 and 1 are allowed.

    Examples
    --------
    >>> effective_diversity(1 - np.eye(3), [1, 1, 0]).value  # one of three pairs
    0.3333333333333333
    """
    distance, weight, places = _checked(distance, validity, group)
    scored = ~np.isnan(weight)
    if ((weight[scored] < 0) | (weight[scored] > 1)).any():
        raise ValueError("validity: expected numbers between 0 and 1, or NaN for unscored")
    values = []
    for members in places:
        chosen = members[scored[members]]
        both = np.outer(weight[chosen], weight[chosen])
        # a distance to an invalid answer may be undefined; it counts nothing either way
        weighted = np.where(both > 0, distance[np.ix_(chosen, chosen)] * both, 0.0)
        values.append((*mean_pairwise(weighted), chosen.size))
    row = mean_over_sets("effective_diversity", values, int((~scored).sum()), "distance")
    return with_conditions(row, scope="pooled" if group is None else "within_prompt")


def _checked(
    distance: np.ndarray, score: Sequence[float] | np.ndarray, group: Sequence[Hashable] | None
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    distance, score = np.asarray(distance, dtype=float), np.asarray(score, dtype=float)
    n = score.size
    if score.shape != (n,) or distance.shape != (n, n):
        raise ValueError(f"distance, score: expected shapes (N, N) and (N,), got {distance.shape} and {score.shape}")
    if group is not None and len(group) != n:
        raise ValueError(f"group: expected {n} labels, one for each answer, got {len(group)}")
    places: dict[Hashable, list[int]] = {}
    for place, label in enumerate(group if group is not None else [0] * n):
        places.setdefault(label, []).append(place)
    return distance, score, [np.array(members, dtype=np.int64) for members in places.values()]
