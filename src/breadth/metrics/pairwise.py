"""Spread of a set of answers as the mean of pairwise distances."""

from __future__ import annotations

import numpy as np


def mean_pairwise(distance: np.ndarray) -> tuple[float | None, float | None]:
    """Return the mean over unordered pairs i < j of a distance matrix, and its jackknife standard error.

    Parameters
    ----------
    distance : (n, n) array
        Symmetric; the diagonal is ignored, whatever it holds.

    Returns
    -------
    value : float or None
        None for n < 2.
    error : float or None
        Delete-one jackknife over members; None for n < 3.

    Raises
    ------
    ValueError
        Where ``distance`` is not square, or holds a number that is not finite off the diagonal.

    Source: the mean of eq. 5 of the quality-diversity law paper (no de-duplication). Departures: none.

    Examples
    --------
    >>> import numpy as np
    >>> mean_pairwise(np.array([[0.0, 1.0], [1.0, 0.0]]))
    (1.0, None)
    """
    distance = np.array(distance, dtype=float)
    n = distance.shape[0] if distance.ndim else 0
    if distance.shape != (n, n):
        raise ValueError(f"distance: expected a square matrix, got shape {distance.shape}")
    if n < 2:
        return None, None
    np.fill_diagonal(distance, 0.0)
    row = distance.sum(axis=1)  # (n,)
    total = row.sum() / 2
    if not np.isfinite(total):
        n_wrong = int((~np.isfinite(distance)).sum())
        raise ValueError(f"distance: expected finite numbers, got {n_wrong} that are not in an {n} × {n} matrix")
    value = total / (n * (n - 1) / 2)
    if n < 3:
        return float(value), None
    left_out = (total - row) / ((n - 1) * (n - 2) / 2)  # (n,) mean without member i
    error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    return float(value), float(error)
