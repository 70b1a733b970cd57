"""The exact partition: answers with equal canonical keys say the same thing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def kinds_from_keys(keys: Sequence[Hashable | None], group: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return which answers of a group are the same, as a class label inside the group.

    Parameters
    ----------
    keys : (N,) sequence
        Canonical form of each answer; None where it could not be parsed.
    group : (N,) ints
        Which prompt each answer belongs to: any labels, in any order, groups of any size.

    Returns
    -------
    (N,) int64 array
        0, 1, 2, ... within each group, in the order of first appearance. Two members of a group share a label exactly
        when their keys are equal; an answer without a key is a class of its own. Labels of different groups are
        unrelated. Empty input gives an empty array.

    Raises
    ------
    ValueError
        Where ``keys`` and ``group`` differ in length.

    Source: the union-find partition of DARLING (Li et al. 2025) for an equivalence that is exact.
    Departures: unparsable answers are told apart from each other, so that garbage never counts as agreement.

    Examples
    --------
    >>> kinds_from_keys(["a", "b", "a", None, None, "a"], [7, 7, 7, 7, 7, 3]).tolist()
    [0, 1, 0, 2, 3, 0]
    """
    labels = np.asarray(group).tolist()
    if len(keys) != len(labels):
        raise ValueError(f"keys and group: expected equal lengths, got {len(keys)} keys and {len(labels)} group labels")
    classes: dict[int, dict[Hashable, int]] = {}  # group -> key -> class
    n_classes: dict[int, int] = {}
    kinds = np.empty(len(labels), dtype=np.int64)
    for i, (key, label) in enumerate(zip(keys, labels, strict=True)):
        fresh = n_classes.get(label, 0)
        kind = fresh if key is None else classes.setdefault(label, {}).setdefault(key, fresh)
        kinds[i] = kind
        if kind == fresh:
            n_classes[label] = fresh + 1
    return kinds
