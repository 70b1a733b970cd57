"""A band that holds a whole curve at once: the sup-t of a Student process, for a handful of seeds."""

from __future__ import annotations

import numpy as np

LEAST_SEEDS = 3
_REACH = 0.25  # of the range: how far apart two points must be before shrinkage calls them independent
_DRAWS = 4000


def simultaneous_band(
    paths: np.ndarray, *, level: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, float | None]:
    """Return a band that contains the mean curve as a whole with probability ``level``.

    mean(q) ± k·s(q)/√S, s² = (pointwise variance + its mean over q)/2: with three seeds a pointwise variance is now and then
    close to 0 by luck. k is the ``level`` quantile of sup over q of the same statistic under S Gaussian paths, simulated with
    the observed correlations shrunk towards exp(−(distance/0.25 of the range)²) by 2/(S + 1).

    Parameters
    ----------
    paths : (S, m) float array
        One curve (a difference) a seed, on a common grid.
    level : float
    seed : int
        Of the 4,000 simulated samples.

    Returns
    -------
    low, high : (m,) arrays
    critical : float or None
        k; None, and a band without limits, below three seeds. Curves that are equal in all seeds have a band of no width.

    Raises
    ------
    ValueError
        For paths that are not a finite matrix.

    Source: the maximal deviation of a studentised process, as in Montiel Olea and Plagborg-Møller (2019), sup-t bands.
    Departures: (1) moderated s(q). (2) Shrunk correlations, since S seeds span S − 1 directions only; with the rank that the
    data have, k would be too small. Paths that are far from Gaussian are not covered; with S < 6 no resampling of signs could
    reach 5 % at all.

    Examples
    --------
    >>> paths = np.random.default_rng(0).standard_normal((5, 1)) + np.linspace(0, 1, 20)
    >>> low, high, k = simultaneous_band(paths)
    >>> bool((low < np.linspace(0, 1, 20)).all()), 2.7 < k < 4.5  # k = 2.78 for a single point
    (True, True)
    """
    if paths.ndim != 2 or not np.isfinite(paths).all():
        raise ValueError(f"paths: expected a finite matrix (seeds, points), got shape {paths.shape}")
    n, m = paths.shape
    mean = paths.mean(0)
    if n < LEAST_SEEDS:
        return np.full(m, -np.inf), np.full(m, np.inf), None
    residual = paths - mean
    variance = (residual**2).sum(0) / (n - 1)
    if not variance.max() > 0:
        return mean.copy(), mean.copy(), 0.0
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    observed = (residual / scale).T @ (residual / scale) / (n - 1)
    np.fill_diagonal(observed, 1.0)
    at = np.linspace(0, 1, m)
    prior = np.exp(-(((at[:, None] - at) / _REACH) ** 2))
    share = 2 / (n + 1)
    values, vectors = np.linalg.eigh(share * prior + (1 - share) * observed)
    keep = values > 1e-9 * values.max()
    root = vectors[:, keep] * np.sqrt(values[keep]) * np.sqrt(variance)[:, None]  # (m, r)
    normal = np.random.default_rng(seed).standard_normal((_DRAWS, n, int(keep.sum())))
    # means and variances of the r directions, not of the m points: sums of squares there follow by products
    centre = normal.mean(1) @ root.T  # (draws, m)
    spread = np.einsum("bnr,mr->bnm", normal, root, optimize=True)
    spread = ((spread - centre[:, None]) ** 2).sum(1) / (n - 1)
    statistic = np.abs(centre) * np.sqrt(n) / _moderated(spread)
    critical = float(np.quantile(statistic.max(1), level))
    half = critical * _moderated(variance[None])[0] / np.sqrt(n)
    return mean - half, mean + half, critical


def _moderated(variance: np.ndarray) -> np.ndarray:
    return np.sqrt((variance + variance.mean(-1, keepdims=True)) / 2)
