"""What a search finds per call of its oracle: top-k over calls and the area under it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class TopK:
    """Mean score of the k best distinct answers after each stretch of oracle calls, and the area under that curve."""

    calls: tuple[int, ...]
    top: tuple[float, ...]
    auc: float  # in units of the score
    k: int
    budget: int
    n_calls: int  # distinct answers, which is what calls count; at most the budget


def auc_top_k(
    scores: Sequence[float],
    *,
    keys: Sequence[Hashable | None] | None = None,
    k: int = 10,
    budget: int = 10_000,
    every: int = 100,
) -> TopK:
    """Return the mean of the k best scores over oracle calls, and its area divided by the budget.

    AUC = (1/B)·∫ top_k(n) dn over n = 0 … B, by the trapezoid rule every ``every`` calls from top_k(0) = 0; a search
    that ends early keeps its last value to the end of the budget.

    Parameters
    ----------
    scores : (n,) float
        In the order of the calls. NaN (the scorer failed) is a call that found nothing.
    keys : (n,) hashable, optional
        What an answer is (canonical SMILES, say): repeats and None (unparsable) cost no call. None: each score is a call.
    k : int
        Before k answers are known the mean is over those that are.
    budget : int
        Calls that count; what comes later does not.
    every : int
        Calls between two points of the curve.

    Returns
    -------
    TopK
        ``auc`` 0 for no call at all.

    Raises
    ------
    ValueError
        k, budget or every below 1; keys of another length.

    Source: Gao et al. 2022, arXiv 2206.12411 (PMO), AUC top-K. Departures: none.

    Examples
    --------
    >>> auc_top_k([1.0, 1.0], k=1, budget=4, every=1).auc  # 0, 1, 1, 1, 1: half of the first stretch is lost
    0.875
    """
    for name, value in (("k", k), ("budget", budget), ("every", every)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    values = np.nan_to_num(np.asarray(scores, dtype=float), nan=0.0)
    if keys is not None:
        if len(keys) != len(values):
            raise ValueError(f"keys: expected one for each of {len(values)} scores, got {len(keys)}")
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key is not None}
        values = values[sorted(first.values())]
    values = values[:budget]
    n = len(values)
    if n == 0:
        return TopK((), (), 0.0, k, budget, 0)
    at = [*range(every, n, every), n]
    top = [float(np.sort(values[:i])[-k:].mean()) for i in at]
    steps = np.diff([0, *at])
    area = float((steps * (np.array(top) + np.array([0.0, *top[:-1]])) / 2).sum()) + (budget - n) * top[-1]
    return TopK(tuple(at), tuple(top), area / budget, k, budget, n)
