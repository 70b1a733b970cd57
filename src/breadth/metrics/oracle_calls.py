"""What a search finds per call of its oracle: top-k over calls and the area under it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class TopK:
    """Mean score of the k best distinct answers after each stretch of oracle calls, and the area under that curve."""

    calls: tuple[int, ...]
    top: tuple[float | None, ...]  # None: no answer has a score yet
    auc: float | None  # in units of the score; None: calls were made, and none of them has a score
    k: int
    budget: int
    n_calls: int  # distinct answers, which is what calls count; at most the budget
    n_unscored: int  # of these calls: paid for, and in no mean


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
        In the order of the calls. NaN (the scorer failed) is a call that was spent and brings nothing: it counts on the axis of calls and
        is no member of the k best, not even as a 0 while fewer than k scores are known.
    keys : (n,) hashable, optional
        What an answer is (canonical SMILES, say): repeats and None (unparsable) cost no call. None: each score is a call.
    k : int
        Before k scores are known the mean is over those that are; before the first one the curve stays at top_k(0) = 0.
    budget : int
        Calls that count; what comes later does not.
    every : int
        Calls between two points of the curve.

    Returns
    -------
    TopK
        ``auc`` 0 for no call at all (nothing was asked, nothing was found); None where calls were made and no score came back.

    Raises
    ------
    ValueError
        k, budget or every below 1; keys of another length.

    Source: Gao et al. 2022, arXiv 2206.12411 (PMO), AUC top-K: the mean of the best K of the answers in the buffer, or of all of them while
    there are fewer, integrated over calls and padded with its last value. Departures: none where every call has a score; the paper's
    oracles always give one.

    Examples
    --------
    >>> auc_top_k([1.0, 1.0], k=1, budget=4, every=1).auc  # 0, 1, 1, 1, 1: half of the first stretch is lost
    0.875
    >>> auc_top_k([1.0, float("nan")], k=2, budget=2, every=1).top  # one score is known after either call
    (1.0, 1.0)
    """
    for name, value in (("k", k), ("budget", budget), ("every", every)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    values = np.asarray(scores, dtype=float)
    if keys is not None:
        if len(keys) != len(values):
            raise ValueError(f"keys: expected one for each of {len(values)} scores, got {len(keys)}")
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key is not None}
        values = values[sorted(first.values())]
    values = values[:budget]
    n, known = len(values), ~np.isnan(values)
    if n == 0:
        return TopK((), (), 0.0, k, budget, 0, 0)
    at = [*range(every, n, every), n]
    top = [float(np.sort(values[:i][known[:i]])[-k:].mean()) if known[:i].any() else None for i in at]
    # the curve begins at 0, and stays there until there is a score
    height = np.array([0.0, *(value or 0.0 for value in top)])
    area = float((np.diff([0, *at]) * (height[1:] + height[:-1]) / 2).sum()) + (budget - n) * float(height[-1])
    return TopK(tuple(at), tuple(top), area / budget if known.any() else None, k, budget, n, int((~known).sum()))
