"""The forms that compete with a law, compared by AICc at the effective number of points."""

from __future__ import annotations

import numpy as np

from breadth.laws.curves import CURVES, Curve
from breadth.laws.projection import Projection, polish, search
from breadth.laws.yardstick import rounding_floor

RIVALS = ("exponential", "linear", "power", "unit_exponential")  # minus the form that is fitted


def best_fit(curve: Curve, x: np.ndarray, y: np.ndarray, sign: int | None = None) -> Projection:
    """Return the point estimate of a curve, polished to machine precision (B = 1)."""
    return polish(curve, x, y, search(curve, x, y, np.ones((1, x.size)), sign), sign)


def rival_gains(curve: Curve, point: Projection, x: np.ndarray, y: np.ndarray, n_effective: float) -> dict[str, float]:
    """Return AICc of each rival minus this form's, at n_eff points (negative = better).

    Rivals of a line, whose slope has either sign, are free in sign too. Empty where n_eff is too small for AICc; a
    rival that the data do not admit (the power curve at x < 0) is left out.

    Source: Hurvich and Tsai (1989). Departures: n_eff in place of n, so that autocorrelated checkpoints do not shout.
    """
    own = _aicc(float(point.sse[0]) + rounding_floor(y), curve.n_params, x.size, n_effective)
    if own is None:
        return {}
    gains = {}
    for name in RIVALS:
        rival = CURVES[name]
        if name == curve.name or curve.direction > 0 or (rival.needs_positive_x and (x.min() < 0 or x.max() <= 0)):
            continue
        best = best_fit(rival, x, y, 0 if curve.sign == 0 else rival.sign)
        score = _aicc(float(best.sse[0]) + rounding_floor(y), rival.n_params, x.size, n_effective)
        if score is not None:
            gains[name] = score - own
    return gains


def _aicc(sse: float, n_params: int, n: int, n_effective: float) -> float | None:
    k = n_params + 1  # and the variance
    if n_effective <= k + 1:
        return None
    return n_effective * float(np.log(sse / n)) + 2 * k + 2 * k * (k + 1) / (n_effective - k - 1)
