"""From scores of pairs to classes: five ways, and what each assumes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform


def components(score: np.ndarray, threshold: float) -> np.ndarray:
    """Return classes as the connected components of "score > threshold" (single linkage).

    One false merge joins two whole classes, so the number of classes falls fast with the size of the group.

    Parameters
    ----------
    score : (n, n) float
        Symmetric; the diagonal is ignored.
    threshold : float

    Returns
    -------
    (n,) int64
        0, 1, … in the order of first appearance. Empty for n = 0.

    Raises
    ------
    ValueError
        ``score`` is not a square matrix of finite numbers.

    Source: DARLING (Li et al. 2025, arXiv 2509.02534), transitive closure. Departures: none.

    Examples
    --------
    >>> components(np.array([[1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1]]), 0.5).tolist()
    [0, 0, 0]
    """
    score = _check(score)
    if not len(score):
        return np.empty(0, dtype=np.int64)
    return in_order(connected_components(score > threshold, directed=False)[1])


def greedy(score: np.ndarray, threshold: float) -> np.ndarray:
    """Return classes where each item joins the first class whose *first member* it is the same as.

    Only representatives are compared with, n·k pairs at most for k classes; depends on the order of the items.

    Parameters, returns and raises as :func:`components`.

    Source: NoveltyBench (Zhang et al. 2025, arXiv 2504.05228), section 3. Departures: none.

    Examples
    --------
    >>> greedy(np.array([[1, 0.9, 0], [0.9, 1, 0.9], [0, 0.9, 1]]), 0.5).tolist()
    [0, 0, 1]
    """
    score = _check(score)
    first: list[int] = []
    kinds = np.empty(len(score), dtype=np.int64)
    for i in range(len(score)):
        kinds[i] = next((k for k, j in enumerate(first) if score[i, j] > threshold), len(first))
        if kinds[i] == len(first):
            first.append(i)
    return kinds


def average_linkage(score: np.ndarray, threshold: float) -> np.ndarray:
    """Return classes by merging, as long as the mean score between two classes is above the threshold.

    Parameters, returns and raises as :func:`components`.

    Source: Sokal and Michener 1958 (UPGMA), as in scipy. Departures: none.

    Examples
    --------
    >>> average_linkage(np.array([[1, 0.9, 0], [0.9, 1, 0.8], [0, 0.8, 1]]), 0.5).tolist()
    [0, 0, 1]
    """
    score = _check(score)
    if len(score) < 2:
        return np.zeros(len(score), dtype=np.int64)
    distance = score.max() - score
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform((distance + distance.T) / 2, checks=False), method="average")
    # fcluster merges at ≤; scores equal to the threshold stay apart, as everywhere here
    return in_order(fcluster(tree, np.nextafter(score.max() - threshold, -np.inf), criterion="distance"))


def correlation(score: np.ndarray, threshold: float, *, n_rounds: int = 100) -> np.ndarray:
    """Return the classes that agree best with all verdicts: the sum of (score − threshold) over pairs put together.

    Local search: single items move to the class (or to a class of their own) that gains most, then whole classes merge,
    until nothing gains. A false merge is outvoted by the other members.

    Parameters, returns and raises as :func:`components`; ``n_rounds`` bounds the rounds of the search.

    Source: Bansal, Blum and Chawla 2004; moves as in Gionis, Mannila and Tsaparas 2007, LOCALSEARCH.
    Departures: starts with everything apart and takes the largest gain first, so that the result is deterministic.

    Examples
    --------
    >>> correlation(np.array([[1, 0.9, 0], [0.9, 1, 0.8], [0, 0.8, 1]]), 0.5).tolist()
    [0, 0, 1]
    """
    gain = _check(score) - threshold
    np.fill_diagonal(gain, 0.0)
    n = len(gain)
    kinds = np.arange(n)
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    for _ in range(n_rounds):
        moved = _merge_classes(gain, kinds)
        for i in range(n):
            pull = np.bincount(kinds, weights=gain[i], minlength=n)  # (n,) an empty class pulls with 0
            # an item that leaves its class for one of its own needs an unused name
            pull[np.bincount(kinds, minlength=n) == 0] = 0.0
            if (best := int(pull.argmax())) != kinds[i] and pull[best] > pull[kinds[i]] + 1e-12:
                kinds[i] = best
                moved = True
        if not moved:
            break
    return in_order(kinds)


CLUSTERINGS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "components": components,
    "greedy": greedy,
    "average": average_linkage,
    "correlation": correlation,
}


def in_order(kinds: np.ndarray) -> np.ndarray:
    """Return labels renamed 0, 1, … in the order of first appearance, (n,) int64.

    Examples
    --------
    >>> in_order(np.array([7, 3, 7, 0])).tolist()
    [0, 1, 0, 2]
    """
    _, first, inverse = np.unique(kinds, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def class_share(kinds: np.ndarray) -> float:
    """Return the share of pairs in different classes, the mean of DARLING's diversity; NaN for fewer than two items.

    Examples
    --------
    >>> round(class_share(np.array([0, 0, 1])), 3)
    0.667
    """
    n = len(kinds)
    if n < 2:
        return float("nan")
    count = np.unique(kinds, return_counts=True)[1]
    return float(1 - (count * (count - 1)).sum() / (n * (n - 1)))


def _merge_classes(gain: np.ndarray, kinds: np.ndarray) -> bool:
    """Merge the two classes that gain most, in place, until none gains; return whether any were."""
    member = (kinds[:, None] == np.arange(len(kinds))[None, :]).astype(float)  # (n, classes)
    between = member.T @ gain @ member
    np.fill_diagonal(between, -np.inf)
    merged = False
    while between.max() > 1e-12:
        keep, drop = np.unravel_index(between.argmax(), between.shape)
        kinds[kinds == drop] = keep
        between[keep, :] += between[drop, :]
        between[:, keep] += between[:, drop]
        between[drop, :] = between[:, drop] = -np.inf
        between[keep, keep] = -np.inf
        merged = True
    return merged


def _check(score: np.ndarray) -> np.ndarray:
    score = np.array(score, dtype=float)
    if score.ndim != 2 or score.shape[0] != score.shape[1]:
        raise ValueError(f"score: expected a square matrix, got shape {score.shape}")
    if len(score):
        np.fill_diagonal(score, 1.0)
    if not np.isfinite(score).all():
        raise ValueError(f"score: expected finite numbers, got {int((~np.isfinite(score)).sum())} that are not")
    return score
