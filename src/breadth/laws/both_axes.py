"""Fit a law where both axes are measured with error: orthogonal distance regression, beside least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as t_distribution

from breadth.laws.curves import Curve
from breadth.laws.fit import fit_law
from breadth.laws.prediction import curve_of
from breadth.laws.resampling import gather
from breadth.laws.rivals import best_fit
from breadth.records import Estimate, LawFit

Errors = float | Sequence[float | None]


@dataclass(frozen=True)
class BothAxes:
    """A law fitted with errors in both axes; ``plain`` is the same law by least squares in y alone."""

    params: Mapping[str, Estimate]
    plain: LawFit
    scatter: float | None  # reduced χ²: 1 where the points scatter as their errors say, above it they scatter more
    n: int
    n_dropped: int  # rows without a value or an error
    converged: bool
    note: str


def fit_both_axes(
    quality: Sequence[float | None],
    diversity: Sequence[float | None],
    quality_error: Errors,
    diversity_error: Errors,
    *,
    form: str = "exponential",
    n_boot: int = 1000,
    **about: Any,
) -> BothAxes:
    """Return the law that is nearest to the points in units of their errors: minimise Σ (δyᵢ/sᵧᵢ)² + (δxᵢ/sₓᵢ)².

    Least squares in y alone flattens a curve where x is noisy: its steepness comes out too small.

    Parameters
    ----------
    quality, diversity : (n,) sequences of float or None
    quality_error, diversity_error : float or (n,) sequence
        Standard errors, in the units of the axes; one number serves all rows. Rows without a value or an error are dropped
        and counted: a missing error is not zero.
    form : str
        As :func:`breadth.fit_law`.
    n_boot, **about
        Of the least-squares fit beside it (``run``, ``step``, ``seed``, ``x_name``, ``y_name``, ``interval``).

    Returns
    -------
    BothAxes
        ``params`` hold 95 % intervals: t on n_eff − p degrees of freedom (n_eff of the least-squares fit), on a log scale for
        a, c, λ and the b's of curves without offset, which are positive. All None where the least-squares fit has no numbers.

    Raises
    ------
    ImportError
        Where odrpack is missing: with the pip line.
    ValueError
        For errors that are not positive, or lengths that differ.

    Source: Boggs, Byrd and Schnabel (1987), ODRPACK, through odrpack. Departures: standard errors are scaled by the scatter
    and widened to n_eff.
    """
    try:
        from odrpack import odr_fit
    except ImportError:
        raise ImportError("errors in both axes need odrpack: pip install 'breadth[laws]'") from None
    n = len(quality)
    sy, sx = (
        _errors(e, n, name) for e, name in ((quality_error, "quality_error"), (diversity_error, "diversity_error"))
    )
    unknown = np.isnan(sy) | np.isnan(sx)
    given_y = [None if gone else v for gone, v in zip(unknown, quality, strict=True)]
    plain = fit_law(given_y, diversity, form=form, n_boot=n_boot, **about)
    if not plain.x or any(plain.params[name].value is None for name in curve_of(plain).params):
        return BothAxes(
            dict.fromkeys(plain.params, Estimate(None)), plain, None, plain.n, plain.n_dropped, False, plain.reason
        )
    run, step = about.get("run"), about.get("step")
    order = gather(given_y, list(range(n)), run, step).x.astype(int)  # the rows' numbers, dropped and sorted by step
    x, y = (np.array([float(v) for v in values], dtype=float) for values in _pairs(given_y, diversity, order))
    keep = np.isfinite(x)
    x, y, order = x[keep], y[keep], order[keep]
    curve = curve_of(plain)
    point = best_fit(curve, x, y)
    axes = curve.axes(x)
    logs = np.array([axis.log for axis in axes], dtype=bool)

    def unpack(p: np.ndarray) -> tuple[float, float, np.ndarray]:
        theta = np.where(logs, np.exp(np.clip(p[2:], -50, 50)), p[2:]) if axes else p[2:]
        return p[0], (p[1] if curve.intercept else curve.level), theta

    def model(at: np.ndarray, p: np.ndarray) -> np.ndarray:
        beta, alpha, theta = unpack(p)
        return beta * curve.shape(at, theta, point.anchor) + alpha

    theta = point.theta[0]
    start = np.concatenate([point.beta, point.alpha, np.where(logs, np.log(theta), theta) if axes else theta])
    fixed = np.array([False, not curve.intercept, *([False] * len(axes))])
    found = odr_fit(
        model,
        x,
        y,
        start,
        weight_x=sx[order] ** -2,
        weight_y=sy[order] ** -2,
        fix_beta=fixed,
        diff_scheme="central",
        maxit=500,
    )
    left = max(1.0, plain.n_effective - curve.n_params)
    reach = float(t_distribution.ppf(0.975, left)) * np.sqrt(max(1, x.size - curve.n_params) / left)
    covariance = np.asarray(found.cov_beta) * found.res_var
    params = {
        name: _estimate(curve, i, np.asarray(found.beta), covariance, unpack, point.anchor, reach)
        for i, name in enumerate(curve.params)
    }
    moved = ", ".join(f"{k} {plain.params[k].value:.4g} -> {params[k].value:.4g}" for k in curve.params)
    note = (
        f"least squares in y alone -> errors in both axes: {moved}; scatter {found.res_var:.3g} of what the errors say"
    )
    return BothAxes(params, plain, float(found.res_var), int(x.size), n - int(x.size), bool(found.success), note)


def _pairs(quality: Sequence[Any], diversity: Sequence[Any], order: np.ndarray) -> tuple[list[Any], list[Any]]:
    both = [(np.nan if diversity[i] is None else diversity[i], quality[i]) for i in order]
    return [b[0] for b in both], [b[1] for b in both]


def _errors(errors: Errors, n: int, name: str) -> np.ndarray:
    values = np.full(n, float(errors)) if isinstance(errors, int | float) else np.array(list(errors), dtype=float)
    if values.size != n:
        raise ValueError(f"{name}: expected one number or {n}, got {values.size}")
    if (values <= 0).any():
        i = int((values <= 0).argmax())
        raise ValueError(f"{name}: row {i} is {values[i]:g}; a standard error is positive, an unknown one is None")
    return values


def _estimate(
    curve: Curve, i: int, p: np.ndarray, covariance: np.ndarray, unpack: Any, anchor: float, reach: float
) -> Estimate:
    """The delta method by central differences; on the log scale for positive numbers."""

    def named(q: np.ndarray) -> float:
        beta, alpha, theta = unpack(q)
        return float(curve.to_params(np.array([beta]), np.array([alpha]), theta[None], anchor)[i][0])

    value = named(p)
    by_log = value > 0 and curve.sign != 0 and not (curve.intercept and i == 1)  # i = 1: the offset b
    steps = 1e-6 * np.maximum(np.abs(p), 1e-3)
    slope = np.zeros(p.size)
    for j, step in enumerate(steps):
        shift = np.zeros(p.size)
        shift[j] = step
        high, low = named(p + shift), named(p - shift)
        slope[j] = (np.log(high / low) if by_log else high - low) / (2 * step)
    half = reach * float(np.sqrt(max(slope @ covariance @ slope, 0.0)))
    ends = (value * np.exp(-half), value * np.exp(half)) if by_log else (value - half, value + half)
    return Estimate(value, *map(float, ends))
