"""The multiplier of a quality constraint: one step of dual ascent on plain numbers."""

from __future__ import annotations

import math


def dual_step(
    multiplier: float,
    mean_quality: float,
    target: float,
    *,
    learning_rate: float,
    low: float = 0.0,
    high: float = math.inf,
) -> float:
    """Return clamp(λ + η·(target − mean quality), low, high): λ grows while quality falls short of its target.

    Parameters
    ----------
    multiplier : float
        λ, the weight of quality against entropy; in QEMPO's terms 1/λ is the weight of entropy.
    mean_quality : float
        Mean of R over enough samples that its standard error is small against what matters: one batch of 128 rewards
        in {0, 1} has an error of up to 0.04.
    target : float
        R*, in units of R.
    learning_rate : float
        η > 0, in units of λ per unit of R.
    low, high : float
        Bounds, low ≤ high.

    Raises
    ------
    ValueError
        A number that is not finite (an unscored batch has no mean: skip its step), or bounds that cross.

    Source: none, dual ascent on max H subject to E R ≥ R*. Departures: the clamp.

    Examples
    --------
    >>> round(dual_step(10.0, 0.75, 0.95, learning_rate=5.0), 6)
    11.0
    >>> dual_step(0.5, 1.0, 0.5, learning_rate=5.0)
    0.0
    """
    for name, number in (("multiplier", multiplier), ("mean_quality", mean_quality), ("target", target)):
        if not math.isfinite(number):
            raise ValueError(f"{name}: expected a finite number, got {number}")
    if not learning_rate > 0 or not low <= high:
        raise ValueError(f"expected learning_rate > 0 and low <= high, got {learning_rate}, {low} and {high}")
    return min(max(multiplier + learning_rate * (target - mean_quality), low), high)
