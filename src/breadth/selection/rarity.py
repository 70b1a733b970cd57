"""E: how rare an answer is among the answers to its prompt: what DivPO calls diverse."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np


def rarity_of_key(prompts: Sequence[Hashable], keys: Sequence[Hashable | None]) -> np.ndarray:
    """Return 1 − share of its key among all answers to the same prompt, (N,); answers without a key are one class.

    Source: arXiv 2501.18101, section 3 (word frequency); of whole answers here. Departures: none.

    Examples
    --------
    >>> rarity_of_key(["p"] * 4, ["a", "a", "b", None]).tolist()
    [0.5, 0.5, 0.75, 0.75]
    """
    names = list(zip(prompts, keys, strict=True))
    n_class: dict[tuple[Hashable, Hashable | None], int] = {}
    n_prompt: dict[Hashable, int] = {}
    for prompt, key in names:
        n_class[prompt, key] = n_class.get((prompt, key), 0) + 1
        n_prompt[prompt] = n_prompt.get(prompt, 0) + 1
    return np.array([1 - n_class[name] / n_prompt[name[0]] for name in names])


def rarity_of_distance(
    group: np.ndarray, parsable: np.ndarray, distance: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the mean distance to the other answers of its group, (N,); 1 for what cannot be parsed.

    Parameters
    ----------
    group : (N,) int
    parsable : (N,) bool
    distance : function
        Rows (m,) of one group, all parsable -> (m, m).

    Examples
    --------
    >>> group, parsable = np.zeros(3, dtype=int), np.array([True, True, False])
    >>> rarity_of_distance(group, parsable, lambda rows: np.zeros((2, 2))).tolist()
    [0.5, 0.5, 1.0]
    """
    out = np.ones(len(group))
    for label in np.unique(group):
        members = np.flatnonzero(group == label)
        rows = members[parsable[members]]
        if len(rows) > 1:
            between = np.asarray(distance(rows), dtype=float)
            far = len(members) - len(rows)  # each answer without a key is at distance 1
            out[rows] = (between.sum(1) + far) / (len(members) - 1)
    return out
