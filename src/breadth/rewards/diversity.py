"""Rewards scaled by how unlike its siblings a rollout is (DARLING), safe where rewards can be negative."""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.groups import class_count, group_centre, group_count, group_deviation, mean_distance
from breadth.tensors.masked import square_scale, wide

COMBINATIONS = ("multiply", "add_zscore")
NEIGHBOURS = ("all", "correct")
QUALITY_MAPS = ("identity", "auto")
MEASURES = ("class_share", "mean_distance")


def diversity_factor(
    group: Tensor,
    *,
    kind: Tensor | None = None,
    distance: Tensor | None = None,
    scored: Tensor | None = None,
    correct: Tensor | None = None,
    measure: str = "class_share",
    neighbours: str = "all",
    floor: float = 0.1,
) -> Tensor:
    """Return d_i in [floor, 1], how unlike the others of its group each rollout is.

    ``class_share``: d_i = share of the other counted members that are of another class. If all members count, that is
    (n − |class of i|)/(n − 1). ``mean_distance``: d_i = mean distance to the other counted members.

    Parameters
    ----------
    group : (N,) int64
    kind : (N,) int64
        Class inside the group; for ``class_share``.
    distance : (N, N)
        In [0, 1], entries outside a group ignored; for ``mean_distance``.
    scored : (N,) bool, optional
        False = takes no part: neither a factor of its own (NaN) nor a neighbour.
    correct : (N,) bool, optional
        For ``neighbours="correct"``.
    measure : str
        ``class_share`` or ``mean_distance``.
    neighbours : str
        ``all``: every other scored member is a neighbour, wrong ones too. ``correct``: only correct ones.
    floor : float
        In [0, 1]. A duplicate keeps this share of its reward.

    Returns
    -------
    (N,) float32 or wider
        1 where there is no neighbour (a group of one; the only correct one under ``neighbours="correct"``).

    Raises
    ------
    ValueError
        Unknown option, ``floor`` outside [0, 1], or the stream that the option needs is absent.

    Source: Li et al. 2025, arXiv 2509.02534, eq. 4 and Figure 2; the floor is in the released code, not in the paper.
    Departures: (1) eq. 4 sums the classifier's "equivalent" verdict, which is similarity; the figure, the text and the
    code mean its complement, which is used here. (2) a group of one gives 1 (the code divides by zero).
    (3) ``neighbours="correct"`` leaves a lone correct answer its whole reward (the code multiplies it by 0.1).

    Examples
    --------
    >>> diversity_factor(torch.zeros(4, dtype=torch.int64), kind=torch.tensor([0, 0, 1, 2]))
    tensor([0.6667, 0.6667, 1.0000, 1.0000])
    """
    check_options(measure=measure, neighbours=neighbours, floor=floor)
    scored = torch.ones_like(group, dtype=torch.bool) if scored is None else scored
    near = scored
    if neighbours == "correct":
        if correct is None:
            raise ValueError("neighbours='correct' needs the stream `correct` (N,) bool")
        near = scored & correct
    if measure == "mean_distance":
        if distance is None:
            raise ValueError("measure='mean_distance' needs the stream `distance` (N, N)")
        factor = mean_distance(distance, group, keep=near)
    else:
        if kind is None:
            raise ValueError("measure='class_share' needs the stream `kind` (N,) int64")
        others = group_count(group, keep=near) - near.to(torch.int64)
        alike = class_count(kind, group, keep=near) - near.to(torch.int64)
        factor = (others - alike) / others  # (N,) 0/0 is NaN: no neighbour
    factor = factor.nan_to_num(nan=1.0).clamp(min=floor)
    return factor.masked_fill(~scored, torch.nan)


def map_quality(
    values: Tensor,
    *,
    quality_map: str = "auto",
    quality_mean: float | None = None,
    quality_deviation: float | None = None,
) -> Tensor:
    """Return rewards that a factor in [0, 1] may multiply: larger is better and none is negative.

    ``identity`` returns them as they are. ``auto`` is the identity if no scored reward is negative, else
    sigmoid((r − mean)/deviation). A product with a *negative* reward is wrong way round: it makes a duplicate's −2
    into −0.3 and leaves the distinct answer its −2.

    Parameters
    ----------
    values : (N,)
        NaN = unscored.
    quality_map : str
        ``identity`` or ``auto``.
    quality_mean, quality_deviation : float, optional
        Of the reference model's rewards, frozen. Given, ``auto`` always maps, so that the scale of the reward cannot
        change from one step to the next; else the batch's own are used, in the steps that hold a negative reward.

    Returns
    -------
    (N,) float32 or wider
        All equal rewards map to 0.5. NaN stays NaN.

    Raises
    ------
    ValueError
        Unknown option, a deviation that is not positive, or only one of the two frozen numbers.

    Source: none; the hazard is in arXiv 2509.02534, whose text never speaks of negative rewards. Departures: none.

    Examples
    --------
    >>> map_quality(torch.tensor([0.0, 2.0]))
    tensor([0., 2.])
    >>> map_quality(torch.tensor([-1.0, 1.0]))
    tensor([0.2689, 0.7311])
    """
    check_options(quality_map=quality_map, quality_mean=quality_mean, quality_deviation=quality_deviation)
    values = wide(values)
    if quality_map == "identity":
        return values
    if quality_mean is not None and quality_deviation is not None:
        return torch.sigmoid((values - quality_mean) / quality_deviation)
    scored = ~torch.isnan(values)
    if not bool((values[scored] < 0).any()):
        return values
    centred = values - values[scored].mean()
    centred = centred / square_scale(centred[scored].abs().amax())
    deviation = centred[scored].square().mean().sqrt()
    return torch.sigmoid(centred / torch.where(deviation > 0, deviation, 1.0))


def shape_by_diversity(
    values: Tensor,
    group: Tensor,
    *,
    kind: Tensor | None = None,
    distance: Tensor | None = None,
    scored: Tensor | None = None,
    correct: Tensor | None = None,
    measure: str = "class_share",
    neighbours: str = "all",
    floor: float = 0.1,
    combine: str = "multiply",
    weight: float = 1.0,
    quality_map: str = "auto",
    quality_mean: float | None = None,
    quality_deviation: float | None = None,
) -> Tensor:
    """Return rewards that grow with the rollout's diversity, detached.

    ``multiply``: r'_i = q(r_i) · d_i, with q from :func:`map_quality` and d from :func:`diversity_factor`.
    ``add_zscore``: r'_i = z(r_i) + weight · z(d_i), each standardised inside the group (sample deviation; a deviation
    of 0 gives z = 0).

    Parameters
    ----------
    values : (N,)
        Rewards; NaN = unscored, stays NaN and is nobody's neighbour.
    group : (N,) int64
    kind, distance, scored, correct, measure, neighbours, floor
        See :func:`diversity_factor`.
    combine : str
        ``multiply`` or ``add_zscore``.
    weight : float
        Of the diversity in ``add_zscore``.
    quality_map, quality_mean, quality_deviation
        See :func:`map_quality`; ``add_zscore`` does not need them, a sum is safe for any sign.

    Raises
    ------
    ValueError
        Unknown option or a missing stream.

    Source: Li et al. 2025, arXiv 2509.02534, eq. 5 (``multiply``); the additive form is its Table 2's ablation.
    Departures: (1) ``quality_map="auto"`` where a reward is negative; ``"identity"`` is the paper's product.
    (2) the additive form is the one described in the text; the released code overwrites it with an un-normalised sum.

    Examples
    --------
    >>> one = torch.zeros(8, dtype=torch.int64)
    >>> shape_by_diversity(torch.ones(8), one, kind=torch.tensor([0, 0, 0, 0, 0, 0, 0, 1]))[[0, 7]]
    tensor([0.1429, 1.0000])
    """
    check_options(combine=combine)
    values = wide(values.detach())
    scored = ~torch.isnan(values) if scored is None else scored & ~torch.isnan(values)
    values = values.masked_fill(~scored, torch.nan)
    factor = diversity_factor(
        group, kind=kind, distance=distance, scored=scored, correct=correct,
        measure=measure, neighbours=neighbours, floor=floor,
    ).to(values.dtype)  # fmt: skip
    if combine == "multiply":
        quality = map_quality(
            values, quality_map=quality_map, quality_mean=quality_mean, quality_deviation=quality_deviation
        )
        return quality * factor
    return _zscore(values, group) + weight * _zscore(factor, group)


def _zscore(values: Tensor, group: Tensor) -> Tensor:
    deviation = group_deviation(values, group, ddof=1)
    return group_centre(values, group) / torch.where(deviation > 0, deviation, 1.0)


def check_options(
    *,
    measure: str = "class_share",
    neighbours: str = "all",
    floor: float = 0.1,
    combine: str = "multiply",
    quality_map: str = "auto",
    quality_mean: float | None = None,
    quality_deviation: float | None = None,
) -> None:
    """Raise ValueError for an option that nobody knows or a number out of range."""
    for name, value, options in (
        ("measure", measure, MEASURES),
        ("neighbours", neighbours, NEIGHBOURS),
        ("combine", combine, COMBINATIONS),
        ("quality_map", quality_map, QUALITY_MAPS),
    ):
        if value not in options:
            raise ValueError(f"{name}: expected one of {', '.join(options)}, got {value!r}")
    if not 0 <= floor <= 1:
        raise ValueError(f"floor: expected a number in [0, 1], got {floor}")
    if (quality_mean is None) != (quality_deviation is None):
        raise ValueError("quality_mean and quality_deviation: give both or neither")
    if quality_deviation is not None and not quality_deviation > 0:
        raise ValueError(f"quality_deviation: expected a number > 0, got {quality_deviation}")
