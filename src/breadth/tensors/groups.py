"""Reductions over the members of a group, for any int64 labels in any order and groups of any size.

Every function takes one value per rollout and gives one number per rollout back: that of the group which the rollout
belongs to. ``keep`` (N,) bool says which members count; without it, those whose value is not NaN. A number that no
counted member determines is NaN. There is no Python loop over groups. On CUDA the sums are taken in any
order, so that the last bits may differ between runs; ``torch.use_deterministic_algorithms(True)`` fixes the order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from breadth.tensors.masked import square_scale, wide


def group_index(group: Tensor) -> tuple[Tensor, int]:
    """Return labels 0..P−1 in the order of the sorted labels, (N,) int64, and P.

    Raises
    ------
    TypeError
        Labels that are not integers.
    ValueError
        Not one-dimensional.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_index(torch.tensor([70, -3, 70]))
    (tensor([1, 0, 1]), 2)
    """
    if group.is_floating_point() or group.is_complex() or group.dtype == torch.bool:
        raise TypeError(f"group: expected integer labels, got {group.dtype}")
    if group.ndim != 1:
        raise ValueError(f"group: expected shape (N,), got {tuple(group.shape)}")
    label, index = torch.unique(group, return_inverse=True)
    return index, int(label.numel())


def _prepare(values: Tensor, group: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor, Tensor, int]:
    if values.shape != group.shape:
        raise ValueError(f"values: expected shape {tuple(group.shape)}, as group, got {tuple(values.shape)}")
    keep = ~torch.isnan(values) if keep is None else keep
    index, n = group_index(group)
    return wide(values).masked_fill(~keep, 0.0), keep, index, n


def _scatter(values: Tensor, index: Tensor, n: int) -> Tensor:
    return values.new_zeros(n).index_add(0, index, values)  # (P,)


def group_count(group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return how many counted members each rollout's group has, (N,) int64.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_count(torch.tensor([5, 5, 9]))
    tensor([2, 2, 1])
    """
    index, n = group_index(group)
    one = torch.ones_like(index) if keep is None else keep.to(torch.int64)
    return _scatter(one, index, n)[index]


def n_groups(group: Tensor, *, keep: Tensor | None = None, at_least: int = 1) -> int:
    """Return the number of groups with at least so many counted members.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> n_groups(torch.tensor([5, 5, 9]), at_least=2)
    1
    """
    index, n = group_index(group)
    one = torch.ones_like(index) if keep is None else keep.to(torch.int64)
    return int((_scatter(one, index, n) >= at_least).sum())


def group_sum(values: Tensor, group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return the sum over the counted members of each rollout's group, (N,); 0 where there are none.

    Differentiable in ``values``.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_sum(torch.tensor([1.0, float("nan"), 4.0]), torch.tensor([0, 0, 1]))
    tensor([1., 1., 4.])
    """
    values, _, index, n = _prepare(values, group, keep)
    return _scatter(values, index, n)[index]


def group_mean(values: Tensor, group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return the mean over the counted members of each rollout's group, (N,); NaN where there are none.

    Differentiable in ``values``.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_mean(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1]))
    tensor([2., 2., 4.])
    """
    values, keep, index, n = _prepare(values, group, keep)
    return (_scatter(values, index, n) / _scatter(keep.to(values.dtype), index, n))[index]


def group_centre(values: Tensor, group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return value − mean of its group's counted members, (N,); NaN for members that do not count.

    The group's least value is subtracted first, so that equal values give exactly 0 and a large common offset costs no
    digits: seven rewards of 0.1 have a float32 mean that is not 0.1, and a later division by their deviation would
    make unit-sized noise of the difference.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_centre(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1]))
    tensor([-1.,  1.,  0.])
    """
    values, keep, index, n = _prepare(values, group, keep)
    high = torch.full((n,), torch.inf, dtype=values.dtype, device=values.device)
    least = high.scatter_reduce(0, index, values.detach().masked_fill(~keep, torch.inf), "amin")  # (P,)
    offset = (values - least[index]).masked_fill(~keep, 0.0)
    mean = _scatter(offset, index, n) / _scatter(keep.to(values.dtype), index, n)  # (P,)
    return (offset - mean[index]).masked_fill(~keep, torch.nan)


def group_deviation(values: Tensor, group: Tensor, *, keep: Tensor | None = None, ddof: int = 1) -> Tensor:
    """Return √(Σ(v − mean)² / (n − ddof)) of each rollout's group, (N,); NaN where n ≤ ddof.

    Parameters
    ----------
    values : (N,)
    group : (N,) int64
    keep : (N,) bool, optional
    ddof : int
        1 = sample deviation, 0 = population deviation.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_deviation(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([0, 0, 1]), ddof=0)
    tensor([1., 1., 0.])
    """
    centred = group_centre(values, group, keep=keep)
    keep = ~torch.isnan(centred)
    index, n = group_index(group)
    size = centred.new_zeros(n).scatter_reduce(0, index, centred.detach().abs().masked_fill(~keep, 0.0), "amax")[index]
    scale = square_scale(size)
    square = group_sum((centred / scale) * (centred / scale), group, keep=keep)
    freedom = group_count(group, keep=keep) - ddof
    return (scale * (square / freedom.clamp(min=1)).sqrt()).masked_fill(freedom < 1, torch.nan)


def leave_one_out_mean(values: Tensor, group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return the mean over the *other* counted members of the group, (N,); NaN where there is no other.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> leave_one_out_mean(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([0, 0, 0]))
    tensor([5.5000, 4.5000, 2.0000])
    """
    values, keep, index, n = _prepare(values, group, keep)
    own = keep.to(values.dtype)
    others = _scatter(own, index, n)[index] - own
    return (_scatter(values, index, n)[index] - values) / others.masked_fill(others == 0, torch.nan)


def group_rank(values: Tensor, group: Tensor, *, keep: Tensor | None = None, descending: bool = False) -> Tensor:
    """Return each counted member's rank in its group, (N,): 0 for the least (the largest if ``descending``).

    Tied members share the mean of their ranks, so the order of the batch decides nothing. NaN where a member does not
    count.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> group_rank(torch.tensor([0.5, 0.1, 0.5, 7.0]), torch.tensor([3, 3, 3, 8]))
    tensor([1.5000, 0.0000, 1.5000, 0.0000])
    """
    values, keep, index, n = _prepare(values, group, keep)
    values = -values if descending else values
    order = torch.argsort(values, stable=True)
    for key in ((~keep).to(torch.int64), index):  # last key is the first to be compared
        order = order[torch.argsort(key[order], stable=True)]
    sorted_values, sorted_index, sorted_keep = values[order], index[order], keep[order]
    first = torch.ones_like(sorted_keep)
    first[1:] = (
        (sorted_values[1:] != sorted_values[:-1])
        | (sorted_index[1:] != sorted_index[:-1])
        | (sorted_keep[1:] != sorted_keep[:-1])
    )
    run = first.cumsum(0) - 1  # (N,) which run of ties
    size = _scatter(torch.ones_like(index), index, n)  # (P,)
    place = torch.arange(len(index), device=index.device) - (size.cumsum(0) - size)[sorted_index]
    n_runs = int(run[-1]) + 1 if len(run) else 0
    place = place.to(values.dtype)
    tied = _scatter(place, run, n_runs) / _scatter(torch.ones_like(place), run, n_runs)  # (runs,)
    rank = torch.empty_like(values)
    rank[order] = tied[run]
    return rank.masked_fill(~keep, torch.nan)


def class_count(kind: Tensor, group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return how many counted members of the same group have the rollout's own class, (N,) int64.

    Parameters
    ----------
    kind : (N,) int64
        A class label inside its group; equal labels in different groups mean nothing.
    group : (N,) int64
    keep : (N,) bool, optional

    Raises
    ------
    ValueError
        Shapes that differ.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> class_count(torch.tensor([7, 7, 2, 7]), torch.tensor([0, 0, 0, 1]))
    tensor([2, 2, 1, 1])
    """
    if kind.shape != group.shape:
        raise ValueError(f"kind: expected shape {tuple(group.shape)}, as group, got {tuple(kind.shape)}")
    return group_count(pair_index(kind, group), keep=keep)


def pair_index(kind: Tensor, group: Tensor) -> Tensor:
    """Return one label per (group, class) pair, (N,) int64.

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> pair_index(torch.tensor([7, 7, 2]), torch.tensor([0, 1, 0]))
    tensor([1, 3, 0])
    """
    index, _ = group_index(group)
    label, n_kinds = group_index(kind)
    return index * n_kinds + label


def mean_distance(distance: Tensor, group: Tensor, *, keep: Tensor | None = None) -> Tensor:
    """Return each rollout's mean distance to the *other* counted members of its group, (N,); NaN where there is none.

    Parameters
    ----------
    distance : (N, N)
        Entries outside a group, and on the diagonal, are ignored.
    group : (N,) int64
    keep : (N,) bool, optional

    Raises
    ------
    ValueError
        ``distance`` is not (N, N).

    Source: none, arithmetic. Departures: none.

    Examples
    --------
    >>> mean_distance(torch.tensor([[0.0, 1.0, 9.0], [1.0, 0.0, 9.0], [9.0, 9.0, 0.0]]), torch.tensor([0, 0, 1]))
    tensor([1., 1., nan])
    """
    n = group.shape[0]
    if distance.shape != (n, n):
        raise ValueError(f"distance: expected shape {(n, n)}, got {tuple(distance.shape)}")
    near = group[:, None] == group[None, :]  # (N, N)
    near.fill_diagonal_(False)
    if keep is not None:
        near &= keep[None, :]
    return wide(distance).masked_fill(~near, 0.0).sum(1) / near.sum(1)  # (N,) 0/0 is NaN
