"""How many seeds would tell: the power of a paired t-test."""

from __future__ import annotations

import numpy as np
from scipy.stats import nct
from scipy.stats import t as t_distribution

_POWER = 0.8
_MOST_SEEDS = 10_000  # beyond it the honest answer is "none that anyone will run"


def paired_power(n: int, spread: float, effect: float) -> float:
    """Return the probability that a paired two-sided t-test at 5 % over n seeds finds a true difference.

    1 − F(t*; n − 1, λ) + F(−t*; n − 1, λ) with the noncentral t distribution F, λ = effect·√n / spread.

    Parameters
    ----------
    n : int
        Seeds, at least 2.
    spread : float
        Standard deviation of the differences over seeds, positive.
    effect : float
        The true difference.

    Source: textbook (noncentral t). Departures: none.

    Examples
    --------
    >>> round(paired_power(10, 1.0, 1.0), 3)
    0.803
    """
    critical = t_distribution.ppf(0.975, n - 1)
    shift = abs(effect) * np.sqrt(n) / spread
    # the lower tail is below 1e-9 wherever it cannot be computed
    lower = nct.cdf(-critical, n - 1, shift) if shift < 5 else 0.0
    return float(nct.sf(critical, n - 1, shift) + lower)


def seeds_that_would_tell(spread: float, effect: float, n_now: int) -> int | None:
    """Return the least number of seeds, more than now, with 80 % power for a true difference of ``effect``.

    Parameters
    ----------
    spread : float
        Observed standard deviation of the paired differences; 0 gives one more seed than now.
    effect : float
        Difference to be found, positive.
    n_now : int

    Returns
    -------
    int or None
        None where more than 10,000 seeds would be needed.

    Source: :func:`paired_power`. Departures: none.

    Examples
    --------
    >>> seeds_that_would_tell(spread=1.0, effect=1.0, n_now=3)
    10
    """
    low, high = max(2, n_now + 1), _MOST_SEEDS
    if spread == 0 or effect >= 10 * spread:
        return low
    if effect * np.sqrt(high) / spread < 2 or paired_power(high, spread, effect) < _POWER:
        return None
    while low < high:  # power grows with n
        middle = (low + high) // 2
        if paired_power(middle, spread, effect) >= _POWER:
            high = middle
        else:
            low = middle + 1
    return low
