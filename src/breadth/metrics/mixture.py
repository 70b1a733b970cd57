"""The diversity of a mixture of policies from the distances within and between its members."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def member_distances(distance: np.ndarray, member: np.ndarray, n_members: int) -> np.ndarray:
    """Return the mean pairwise distances within and between members, (K, K), symmetric.

    Parameters
    ----------
    distance : (n, n) float
        Pairwise distances of samples; the diagonal is ignored.
    member : (n,) int
        Which member each sample comes from, 0 … K−1.
    n_members : int
        K.

    Returns
    -------
    (K, K) float
        On the diagonal the mean over pairs of different samples of a member, NaN below two of them; elsewhere the mean over all pairs of
        a sample of each, NaN where a member has none.

    Raises
    ------
    ValueError
        A distance matrix that is not (n, n).

    Source: none. Departures: none.
    """
    distance, member = np.array(distance, dtype=float), np.asarray(member)
    if distance.shape != (len(member), len(member)):
        raise ValueError(f"distance: expected shape {(len(member),) * 2}, got {distance.shape}")
    np.fill_diagonal(distance, 0.0)
    one = (member[:, None] == np.arange(n_members)).astype(float)  # (n, K)
    count = one.sum(0)
    pairs = np.outer(count, count) - np.diag(count)
    total = one.T @ distance @ one
    return np.divide(total, pairs, out=np.full((n_members, n_members), np.nan), where=pairs > 0)


def mixture_distance(between: np.ndarray, weights: Sequence[float]) -> float:
    """Return the mean pairwise distance of a mixture, D = Σᵢⱼ wᵢ·wⱼ·Dᵢⱼ: of two independent draws from it.

    With equal weights D = (mean within)/K + (1 − 1/K)·(mean between), so a mixture is broader than its members only by what lies
    *between* them.

    Parameters
    ----------
    between : (K, K) float
        :func:`member_distances`; members of weight 0 may hold NaN.
    weights : K numbers ≥ 0
        Their sum is made 1.

    Raises
    ------
    ValueError
        Weights that are negative, not finite, all 0, or of another length; a NaN between members that have weight.

    Source: the law of total expectation over which members the two draws come from. Departures: none.

    Examples
    --------
    >>> mixture_distance(np.array([[0.0, 1.0], [1.0, 0.0]]), [1, 1])
    0.5
    """
    w = checked_weights(weights, len(between))
    used = w > 0
    value = float(w[used] @ np.asarray(between, dtype=float)[np.ix_(used, used)] @ w[used])
    if not np.isfinite(value):
        raise ValueError(
            "between: expected finite distances between all members that have weight, got NaN: a member has too few answers"
        )
    return value


def sampled_mixture_distance(between: np.ndarray, counts: Sequence[int]) -> float:
    """Return the mean pairwise distance of a sample with ``counts[i]`` answers of member i: what measuring that sample gives, exactly.

    Σᵢ nᵢ(nᵢ − 1)·Dᵢᵢ + Σᵢ≠ⱼ nᵢ·nⱼ·Dᵢⱼ over n(n − 1). It exceeds :func:`mixture_distance` by at most 1/(n − 1): a stratified
    sample holds exactly its share of each member.

    Examples
    --------
    >>> round(sampled_mixture_distance(np.array([[0.0, 1.0], [1.0, 0.0]]), [2, 2]), 4)
    0.6667
    """
    n = np.asarray(counts, dtype=float)
    pairs = np.outer(n, n) - np.diag(n)
    used = pairs > 0
    return float((pairs[used] * np.asarray(between, dtype=float)[used]).sum() / pairs.sum())


def checked_weights(weights: Sequence[float], n_members: int) -> np.ndarray:
    """Return weights that sum to 1, (K,); ValueError where they cannot be weights."""
    w = np.asarray(weights, dtype=float)
    if w.shape != (n_members,):
        raise ValueError(f"weights: expected {n_members} numbers, one for each member, got {w.size}")
    if not np.isfinite(w).all() or (w < 0).any() or w.sum() == 0:
        raise ValueError(f"weights: expected finite numbers of 0 or more, not all 0, got {list(weights)}")
    return w / w.sum()


def shares(weights: Sequence[float], n: int) -> list[int]:
    """Return how many of n answers each member gives: largest remainders, the first of equals.

    Examples
    --------
    >>> shares([1, 1, 1], 100), shares([0.5, 0.5], 3)
    ([34, 33, 33], [2, 1])
    """
    w = checked_weights(weights, len(weights))
    whole = np.floor(w * n + 1e-12).astype(int)
    rest = np.argsort(-(w * n - whole), kind="stable")[: n - int(whole.sum())]
    whole[rest] += 1
    return whole.tolist()
