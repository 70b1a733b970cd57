"""Profile intervals: how far a number can move before the best fit that has it is worse than chance allows.

All (β, α, θ) with SSE ≤ SSE_min·(1 + F/(n_eff − p)) form the confidence region. For a fixed θ it is an ellipse in (β, α), and
each number of a law is linear in them there, so its least and largest value over the region are closed forms on a line of θ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import f as f_distribution

from breadth.laws.curves import Curve
from breadth.laws.projection import Projection
from breadth.laws.yardstick import rounding_floor

_POINTS = 400  # of θ; the last of three passes spreads them over the region alone


@dataclass(frozen=True)
class Region:
    """The confidence region on a line of m values of θ; ``m`` = 0 where a constant fits as well."""

    theta: np.ndarray  # (m, k)
    beta: np.ndarray  # (m,) best for that θ
    alpha: np.ndarray  # (m,)
    slack: np.ndarray  # (m,) SSE that is left to spend
    covariance: np.ndarray  # (m, 3): ββ, βα, αα of the inverse normal matrix
    open_low: bool  # the region runs to the lower bound of the search
    open_high: bool
    anchor: float

    def extremes(self, of_beta: np.ndarray, of_alpha: np.ndarray, offset: np.ndarray) -> tuple[float, float]:
        """Return the least and the largest of ``of_beta·β + of_alpha·α + offset``, each (m,), over the region."""
        centre = of_beta * self.beta + of_alpha * self.alpha + offset
        bb, ba, aa = self.covariance.T
        variance = of_beta**2 * bb + 2 * of_beta * of_alpha * ba + of_alpha**2 * aa
        half = np.sqrt(self.slack * np.maximum(variance, 0))
        return float((centre - half).min()), float((centre + half).max())


def confidence_region(
    curve: Curve, point: Projection, x: np.ndarray, y: np.ndarray, n_effective: float, level: float = 0.95
) -> Region:
    """Return the region over which profile intervals are taken.

    (SSE − SSE_min) / (SSE_min/(n_eff − p)) ≤ F(level; 1, n_eff − p), with at least one degree of freedom. With correlated
    noise a smooth fit of p terms takes up p·n/n_eff points' worth of it, so SSE_min/(n − p·n/n_eff) estimates its variance,
    and the n points carry what n_eff do.

    Parameters
    ----------
    curve : Curve
        With at most one nonlinear parameter.
    point : Projection
        The point estimate (B = 1).
    x, y : (n,) arrays
    n_effective : float
        Points after autocorrelation: correlated noise lets a smooth curve move further.
    level : float

    Raises
    ------
    ValueError
        For a curve with two nonlinear parameters.

    Source: profile likelihood, Bates and Watts (1988), ch. 6. Departures: n_eff in place of n.

    Examples
    --------
    >>> from breadth.laws.curves import LINEAR
    >>> from breadth.laws.rivals import best_fit
    >>> x, y = np.arange(5.0), np.array([0.1, 0.9, 2.1, 2.9, 4.0])
    >>> region = confidence_region(LINEAR, best_fit(LINEAR, x, y), x, y, 5.0)
    >>> one, nothing = np.ones(1), np.zeros(1)
    >>> [round(end, 3) for end in region.extremes(one, nothing, nothing)]  # the slope: 0.98 ± 3.182 · 0.0346
    [0.87, 1.09]
    """
    axes = curve.axes(x)
    if len(axes) > 1:
        raise ValueError(
            f"interval: the {curve.name} curve has {len(axes)} nonlinear parameters, profile intervals need at most one"
        )
    left = max(1.0, n_effective - curve.n_params)
    floor = rounding_floor(y)
    least = float(point.sse[0]) + floor
    limit = least * (1 + f_distribution.ppf(level, 1, left) / left)
    target = y - curve.level
    flat = float(((target - target.mean()) ** 2).sum() if curve.intercept else (target**2).sum())
    if not axes:
        values = [np.zeros((1, 0))]
        found = _ellipses(curve, values[0], x, target, point.anchor)
        return _region(values[0], found, limit + floor, False, False, point.anchor, curve.level)
    if flat <= limit:
        empty = np.zeros(0)
        return Region(np.zeros((0, 1)), empty, empty, empty, np.zeros((0, 3)), True, True, point.anchor)
    axis = axes[0]
    low, high = np.log(axis.low), np.log(axis.high)
    best = float(np.log(point.theta[0, 0]))
    begin, end = low, high
    for _ in range(3):
        grid = np.unique(np.append(np.linspace(begin, end, _POINTS), best))
        found = _ellipses(curve, np.exp(grid)[:, None], x, target, point.anchor)
        inside = (found[2] <= limit) & (found[0] * curve.sign >= 0 if curve.sign else True)
        where = np.flatnonzero(inside)
        if where.size == 0:  # rounding at an exact fit
            where = np.array([int(np.searchsorted(grid, best))])
        first, last = max(where[0] - 1, 0), min(where[-1] + 1, grid.size - 1)
        open_low, open_high = bool(inside[0] and grid[0] == low), bool(inside[-1] and grid[-1] == high)
        begin, end = grid[first], grid[last]
    edges = [
        grid[i] if open_side else _crossing(grid[i], grid[j], found[2][i], found[2][j], limit)
        for i, j, open_side in ((where[0], first, open_low), (where[-1], last, open_high))
    ]
    u = np.unique(np.concatenate([grid[where], edges]))[:, None]
    theta = np.exp(u)
    return _region(
        theta, _ellipses(curve, theta, x, target, point.anchor), limit, open_low, open_high, point.anchor, curve.level
    )


def profile_params(curve: Curve, region: Region) -> dict[str, tuple[float | None, float | None]]:
    """Return the profile interval of each named parameter; a side is None where the data do not limit it.

    Source, Departures: as :func:`confidence_region`.
    """
    if region.beta.size == 0:
        return dict.fromkeys(curve.params, (None, None))
    one, nothing = np.ones(region.beta.size), np.zeros(region.beta.size)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        offset = curve.to_params(nothing, nothing, region.theta, region.anchor)
        of_beta = curve.to_params(one, nothing, region.theta, region.anchor)
        of_alpha = curve.to_params(nothing, one, region.theta, region.anchor)
    found: dict[str, tuple[float | None, float | None]] = {}
    for name, base, by_beta, by_alpha in zip(curve.params, offset, of_beta, of_alpha, strict=True):
        ends = region.extremes(by_beta - base, by_alpha - base, base)
        low, high = _known(ends[0]), _known(ends[1])
        if curve.steepness is not None:
            # as c falls to nothing a and b grow without limit, as c grows a vanishes
            if region.open_low:
                low, high = (None, high) if name == curve.steepness else (low, None)
            if region.open_high and name == curve.steepness:
                high = None
            if region.open_high and curve.intercept and name == curve.params[0]:
                low = None
        found[name] = (low, high)
    return found


def _ellipses(curve: Curve, theta: np.ndarray, x: np.ndarray, y: np.ndarray, anchor: float) -> tuple[Any, ...]:
    """(β, α, SSE, inverse normal matrix) of ordinary least squares at each θ; β of either sign."""
    phi = np.broadcast_to(curve.shape(x, theta, anchor), (theta.shape[0], x.size))
    mean = phi.mean(1) if curve.intercept else np.zeros(theta.shape[0])
    y_mean = y.mean() if curve.intercept else 0.0
    centred = phi - mean[:, None]
    spread = (centred**2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        beta = np.where(spread > 0, centred @ (y - y_mean) / spread, 0.0)
        inverse = np.where(spread > 0, 1 / spread, 0.0)
    residual = (y - y_mean) - beta[:, None] * centred
    of_mean = 1 / y.size if curve.intercept else 0.0
    covariance = np.stack([inverse, -mean * inverse, of_mean + mean**2 * inverse], axis=1)
    return (
        beta,
        y_mean - beta * mean,
        (residual**2).sum(1),
        covariance if curve.intercept else covariance * [1.0, 0.0, 0.0],
    )


def _region(
    theta: np.ndarray, found: tuple[Any, ...], limit: float, open_low: bool, open_high: bool, anchor: float, level: float
) -> Region:
    beta, alpha, sse, covariance = found
    return Region(theta, beta, alpha + level, np.maximum(limit - sse, 0), covariance, open_low, open_high, anchor)


def _crossing(inside: float, outside: float, sse_in: float, sse_out: float, limit: float) -> float:
    if sse_out <= sse_in:
        return inside
    return inside + (outside - inside) * float(np.clip((limit - sse_in) / (sse_out - sse_in), 0, 1))


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
