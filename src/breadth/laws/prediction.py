"""Read a fitted law: quality at an x, x at a quality, and the band of the curve, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as t_distribution

from breadth.laws.curves import Curve, curve_named
from breadth.laws.profile import Region, confidence_region
from breadth.laws.profile_reading import profile_band, profile_inverse
from breadth.laws.projection import Projection, solve_linear
from breadth.laws.rivals import best_fit
from breadth.records import Estimate, LawFit

_BEYOND_FLOATS: dict[str, Any] = {"over": "ignore", "invalid": "ignore"}  # far outside the data a steep curve has no number: NaN or None


def predict_quality(fit: LawFit, x: float) -> Estimate:
    """Return the fitted quality at x with the 95 % interval of the curve (not of a new measurement).

    The interval is of the fit's kind: a profile, or percentiles of its draws ("bca" too: only parameters are moved). All None
    where nothing was fitted. Outside the measured x this is an extrapolation of the formula, and an end is None where the
    data do not limit it.

    Source: as :func:`predict_band`. Departures: none.

    Examples
    --------
    >>> from breadth.laws.fit import fit_law
    >>> line = fit_law([3.0, 5.0, 7.0, 9.0], [1.0, 2.0, 3.0, 4.0], form="linear", n_boot=0)
    >>> round(predict_quality(line, 2.5).value, 6)
    6.0
    """
    value, low, high = predict_band(fit, [x])
    return Estimate(known(value[0]), known(low[0]), known(high[0]))


def predict_band(fit: LawFit, x: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the fitted curve over x (m,) and its pointwise 95 % band: value, low, high, each (m,), NaN where unknown.

    Source: Bates and Watts (1988), ch. 6, for profiles; percentile bootstrap otherwise. Departures: n_eff in place of n.

    Examples
    --------
    >>> from breadth.laws.fit import fit_law
    >>> line = fit_law([3.0, 5.0, 7.0, 9.0], [1.0, 2.0, 3.0, 4.0], form="linear", n_boot=0)
    >>> predict_band(line, [1.0, 4.0])[0].round(6).tolist()
    [3.0, 9.0]
    """
    grid = np.array(list(x), dtype=float)
    nothing = np.full(grid.shape, np.nan)
    point = _coordinates(fit)
    if point is None:
        return nothing, nothing, nothing
    curve, anchor = curve_of(fit), point.anchor
    with np.errstate(**_BEYOND_FLOATS):
        value = point.beta[0] * curve.shape(grid, point.theta[0], anchor) + point.alpha[0]
    value = np.where(np.isfinite(value), value, np.nan)
    region = _region(fit)
    if region is not None:
        return value, *profile_band(curve, region, grid, _span(fit))
    if fit.draws is None:
        return value, nothing, nothing
    beta, alpha, theta = fit.draws[:, :1], fit.draws[:, 1:2], fit.draws[:, 2:]
    with np.errstate(**_BEYOND_FLOATS):
        low, high = np.quantile(beta * curve.shape(grid, theta, anchor) + alpha, _levels(fit), axis=0)
    return value, low, high


def predict_x(fit: LawFit, quality: float) -> Estimate:
    """Return the x (diversity or entropy) that the law leaves at a given quality, with its 95 % interval of the fit's kind.

    x = ln((b − R)/a)/c for the exponential. None where the curve never reaches that quality at an x ≥ 0 (R above the
    law's ceiling b − a); an end of the interval is None where curves inside the 95 % region (with draws: more than 2.5 %
    of them) never reach it. x below 0 is kept when the data themselves have such x.

    Source: eq. 1 and 2 of the quality-diversity law paper, solved for x; profiles as Fieller (1954). Departures: none.

    Examples
    --------
    >>> from breadth.laws.fit import fit_law
    >>> D = np.linspace(0.1, 0.9, 20)
    >>> fit = fit_law(1.023 - 0.0109 * np.exp(5.024 * D), D, n_boot=0)
    >>> round(predict_x(fit, 0.95).value, 3), predict_x(fit, 1.02).value
    (0.379, None)
    """
    point = _coordinates(fit)
    if point is None:
        return Estimate(None)
    curve = curve_of(fit)
    least = min(0.0, min(fit.x, default=0.0))

    def invert(beta: np.ndarray, alpha: np.ndarray, theta: np.ndarray) -> np.ndarray:
        with np.errstate(**_BEYOND_FLOATS):
            phi = np.divide(quality - alpha, beta, out=np.full_like(beta, np.nan), where=beta != 0)
            x = curve.shape_inverse(phi[:, None], theta, point.anchor)[:, 0]
            return np.where(x >= least, x, np.nan)

    value = known(invert(point.beta, point.alpha, point.theta)[0])
    if value is None:
        return Estimate(None)
    with np.errstate(**_BEYOND_FLOATS):  # only its sign counts
        falls = bool(point.beta[0] * curve.shape_slope(np.array([value]), point.theta[0], point.anchor)[0] < 0)
    region = _region(fit)
    if region is not None:
        return Estimate(value, *profile_inverse(curve, region, quality, _span(fit), falls, least))
    if fit.draws is None:
        return Estimate(value)
    x = invert(fit.draws[:, 0], fit.draws[:, 1], fit.draws[:, 2:])
    # a draw that never reaches this quality counts as below every x for a falling law, above every x for a rising one
    low, high = percentiles(np.where(np.isnan(x), -np.inf if falls else np.inf, x), _levels(fit))
    return Estimate(value, low, high)


def interval_levels(n_effective: float, n_params: int) -> tuple[float, float]:
    """Return the two percentiles of the bootstrap draws that make a 95 % interval.

    Φ(±t) with t the 97.5 % quantile of Student's t on n_eff − p degrees of freedom, at least one. Plain 2.5 and 97.5 %
    percentiles are too narrow for few points, as a normal quantile is in place of Student's t.

    Source: Hesterberg (2015), arXiv 1411.5279, expanded percentile interval. Departures: without the factor √(n/(n −
    p)): drawing checkpoints (x with y) already varies more than a fixed design would.

    Examples
    --------
    >>> low, high = interval_levels(26, 3)
    >>> round(low, 4), round(high, 4)
    (0.0193, 0.9807)
    """
    low = float(norm.cdf(t_distribution.ppf(0.025, max(1.0, n_effective - n_params))))
    return low, 1 - low


def percentiles(sample: np.ndarray, levels: tuple[float, float]) -> tuple[float | None, float | None]:
    """Return the two quantiles of draws; None where an infinite draw stands (no support on that side)."""
    # "nearest" never averages with an infinite neighbour
    low, high = np.quantile(sample, levels, method="nearest")
    return known(low), known(high)


def known(value: float) -> float | None:
    """Return the number, or None for NaN and infinities."""
    return float(value) if np.isfinite(value) else None


def curve_of(fit: LawFit) -> Curve:
    """Return the curve of a fit, its fixed numbers put in."""
    return curve_named(fit.form, fit.fixed.get("r_max"))


def _region(fit: LawFit) -> Region | None:
    """The confidence region of a fit with profile intervals; None for other kinds, and for a fit without its rows."""
    if fit.interval != "profile" or not fit.x:
        return None
    curve, x, y = curve_of(fit), np.array(fit.x, dtype=float), np.array(fit.y, dtype=float)
    return confidence_region(curve, best_fit(curve, x, y), x, y, fit.n_effective)


def _span(fit: LawFit) -> tuple[float, float]:
    return min(fit.x), max(fit.x)


def _levels(fit: LawFit) -> tuple[float, float]:
    return interval_levels(fit.n_effective, curve_of(fit).n_params)


def _coordinates(fit: LawFit) -> Projection | None:
    """The point estimate as (β, α, θ), from the named parameters; None where nothing was fitted."""
    curve = curve_of(fit)
    x, y = np.array(fit.x, dtype=float), np.array(fit.y, dtype=float)
    anchor = curve.anchor(x) if x.size else 1.0
    values = [fit.params[name].value for name in curve.params]
    if None not in values:
        beta, alpha, at = curve.from_params(anchor, *values)
        theta = np.array([at], dtype=float)
    elif curve.intercept and curve.steepness and fit.params[curve.steepness].value is not None and x.size:
        # only a left the range of floats: given θ, least squares gives the anchored β back
        theta = np.array([[fit.params[curve.steepness].value]])
        beta, alpha, _ = solve_linear(curve.shape(x, theta[0], anchor), y, np.ones_like(y), curve.intercept, curve.sign)
    else:
        return None
    no = np.zeros(1, dtype=bool)
    return Projection(np.array([beta], float), np.array([alpha], float), theta, np.array([np.nan]), no, no, anchor)
