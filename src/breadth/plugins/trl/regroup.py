"""Whole groups in every micro-batch, after TRL has shuffled single rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def regroup(batches: list[dict[str, Any]], name: str, size: int) -> list[dict[str, Any]]:
    """Return the same rows in micro-batches of the same sizes that hold whole groups, in a random order of groups.

    Parameters
    ----------
    batches : list of dict
        Micro-batches of TRL: tensors whose first axis are rows, lists, tensors without an axis (kept), None.
    name : str
        The entry that holds the group of each row, (n,) int64.
    size : int
        Members of every group.

    Raises
    ------
    ValueError
        Groups of another size: rows were lost or belong to another process.

    Examples
    --------
    >>> parts = [{"g": torch.tensor([0, 1])}, {"g": torch.tensor([1, 0])}]
    >>> sorted(part["g"].tolist() for part in regroup(parts, "g", 2))
    [[0, 0], [1, 1]]
    """
    group = torch.cat([batch[name] for batch in batches])  # (n,)
    labels, count = torch.unique(group, return_counts=True)
    if bool((count != size).any()) or len(batches[0][name]) % size:
        raise ValueError(
            f"groups: expected {size} members of each group on this process, in micro-batches of a multiple of {size}, got groups of "
            f"{sorted(set(count.tolist()))} in micro-batches of {len(batches[0][name])}: per_device_train_batch_size must be a multiple of "
            "num_generations"
        )
    place = torch.empty(len(labels), dtype=torch.int64, device=group.device)
    place[torch.randperm(len(labels)).to(group.device)] = torch.arange(len(labels), device=group.device)
    order = torch.argsort(place[torch.searchsorted(labels, group)], stable=True)  # (n,)
    rows, out, first = order.tolist(), [], 0
    joined = {key: _join([batch[key] for batch in batches]) for key in batches[0]}
    for batch in batches:
        part = rows[first : first + len(batch[name])]
        first += len(part)
        out.append({key: _take(value, part) for key, value in joined.items()})
    return out


def _join(values: list[Any]) -> Any:
    if isinstance(values[0], Tensor):
        return values[0] if values[0].ndim == 0 else torch.cat(values)
    return None if values[0] is None else [row for value in values for row in value]


def _take(value: Any, rows: list[int]) -> Any:
    if isinstance(value, Tensor):
        return value if value.ndim == 0 else value[rows]
    return None if value is None else [value[i] for i in rows]
