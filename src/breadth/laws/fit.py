"""Fit a law to checkpoints, with intervals, rivals and a verdict; predict from a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breadth.laws.curves import Curve, curve_named
from breadth.laws.intervals import interval_kind, parameter_intervals
from breadth.laws.prediction import predict_band, predict_quality, predict_x
from breadth.laws.projection import Projection, search
from breadth.laws.resampling import Checkpoints, block_weights, effective_size, gather, lag_correlation
from breadth.laws.rivals import best_fit, rival_gains, search_rivals
from breadth.laws.verdict import LEAST_P, Evidence, judge
from breadth.laws.yardstick import Yardstick, lack_of_fit, monotone_spline, rank_trend, reversal_p, rounding_floor
from breadth.records import Estimate, LawFit

__all__ = ["fit_law", "predict_band", "predict_quality", "predict_x"]

_UNKNOWN = Estimate(None)
# residuals of a thousandth of the spread of y are the smoother's own error, not noise: their correlation means nothing
_EXACT = 1e-6


def fit_law(
    quality: Sequence[float | None],
    diversity: Sequence[float | None],
    form: str = "exponential",
    run: object = None,
    step: Sequence[float] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    x_name: str = "D",
    y_name: str = "R",
    min_range: float = 0.01,
    interval: str | None = None,
    r_max: float | None = None,
) -> LawFit:
    """Return the least-squares law of quality over diversity (or entropy), its intervals and its verdict.

    R = −a·exp(c·D) + b for ``form="exponential"``; the other forms are in :data:`breadth.laws.curves.CURVES`. The
    optimum is the global one (variable projection: see ``projection``); c is searched from 0.01 to 400 / range(D).
    For the line H = a·D + b hand over ``fit_law(H, D, form="linear", y_name="H")``.

    Parameters
    ----------
    quality : (n,) sequence of float or None
        The ordinate: R of each checkpoint, no unit.
    diversity : (n,) sequence of float or None
        The abscissa: D (no unit) or H (nats per token). Rows with None or NaN on either axis are dropped and counted.
    form : str
        A key of ``CURVES``.
    run : label or (n,) sequence of labels, optional
        Which run each row belongs to. Blocks and autocorrelation stay inside a run.
    step : (n,) sequence, optional
        Training step of each row; None = rows stand in step order. With it, the order of the rows does not matter.
    n_boot : int
        Draws of blocks of consecutive checkpoints, for "bootstrap" and "bca"; profiles need none and draw none. 0 = none: then
        those two kinds give no intervals, and the nonlinear parameter counts as undetermined.
    seed : int
        Of the draws. Equal inputs and seed give equal results.
    x_name, y_name : str
        How the axes are called in ``formula`` and ``reason``.
    min_range : float
        The least movement of the ordinate, in its own unit, that a law is read from.
    interval : str, optional
        "profile", "bootstrap" or "bca": how intervals are made (``intervals``), of the parameters and of all that is read from the
        curve; "bca" moves those of the parameters only. None = "profile", or "bootstrap" for the falling logistic, whose two
        nonlinear parameters have no profile here.
    r_max : float, optional
        The fixed R_max of ``form="theory"``; None = 1.

    Returns
    -------
    LawFit
        ``params`` hold 95 % intervals of the kind that ``interval`` names; a side is None where the profile (or as many draws as
        count) runs to a bound of the search, that is, where the data do not limit the parameter. ``x``, ``y`` are the used rows
        sorted by (run, step). ``rmse_x`` is the root mean square of δx = δR / |dR/dx| over the checkpoints, None
        where it exceeds the range of x. ``rivals`` compare at the effective number of points; ``out_of_sample`` holds errors
        on left-out blocks, of the form itself too. The theory form has ``eta`` = 1 − c beside its parameters. ``draws`` is
        (n_boot, 2 + k): β, α, θ of the separable curve y = β·φ(x; θ) + α (see ``curves``), None for profiles. Too few points, a
        constant axis, or no usable row: all numbers None and the verdict "cannot tell" with the reason.

    Raises
    ------
    ValueError
        Unknown form or interval; r_max with another form; different lengths; no rows; infinite values; negative x for a power curve; n_boot < 0.

    Source: eq. 1 and 2 of the quality-diversity law paper (no arXiv number known); the verdict is this project's.
    Departures: (1) the paper reports no interval and no lack of fit. (2) Autocorrelation is that
    of the law's residuals, or of a spline's where the law misses the shape: a misfit is not correlated noise.

    Examples
    --------
    >>> D = np.linspace(0.2, 0.9, 26)
    >>> noise = 0.003 * np.random.default_rng(1).standard_normal(26)
    >>> fit = fit_law(1.023 - 0.0109 * np.exp(5.024 * D) + noise, D)
    >>> fit.verdict, fit.formula, fit.interval
    ('holds', 'R = -a·exp(c·D) + b', 'profile')
    >>> fit.params["c"].low < 5.024 < fit.params["c"].high
    True
    >>> fit_law([0.5, 0.9], [0.8, 0.1]).reason
    'only 2 distinct values of D over 2 checkpoints; R = -a·exp(c·D) + b needs at least 4'
    """
    curve = curve_named(form, r_max)
    if n_boot < 0:
        raise ValueError(f"n_boot: expected 0 or more draws, got {n_boot}")
    kind = interval_kind(curve, interval)
    rows = gather(quality, diversity, run, step)
    reason = _unusable(rows, curve, x_name, y_name)
    if reason:
        return _empty(rows, curve, x_name, y_name, reason, kind)
    x, y = rows.x, rows.y
    if curve.needs_positive_x and x.min() < 0:
        raise ValueError(f"{x_name}: the {form} curve needs values of 0 or more, got {x.min():g}")
    point = best_fit(curve, x, y)
    spline = monotone_spline(x, y, curve.direction)
    fitted = point.beta[0] * curve.shape(x, point.theta[0], point.anchor) + point.alpha[0]
    rho = _correlation(rows, fitted, curve, spline)
    n_effective = effective_size(x.size, rho)
    draws = None
    if kind != "profile" and n_boot:
        draws = search(curve, x, y, block_weights(rows.run, rho, n_boot, seed))
    params = parameter_intervals(curve, point, draws, rows, n_effective=n_effective, rho=rho, method=kind)
    total = float(((y - y.mean()) ** 2).sum())
    rmse = float(np.sqrt(((y - fitted) ** 2).mean()))
    r2 = 1 - float(point.sse[0]) / total
    p = None
    if spline is not None and n_effective - spline.n_params >= 1:
        p = lack_of_fit(float(point.sse[0]) + rounding_floor(y), curve.n_params, spline, x.size, n_effective)
    optima, errors = search_rivals(curve, x, y, rows.run)
    rivals = rival_gains(curve, point, optima, x, y, n_effective)
    verdict, why = judge(
        Evidence(
            curve=curve,
            x_name=x_name,
            y_name=y_name,
            n=x.size,
            n_effective=n_effective,
            y_range=float(np.ptp(y)),
            least_y_range=min_range,
            trend=rank_trend(x, y, n_effective),
            reversal=_reversal(spline, x.size, n_effective),
            params=params,
            interval=kind,
            bound=_bound(curve, point, x, x_name),
            r2=r2,
            lack_of_fit_p=p,
            free_sign=curve.sign == 0,
            rivals=rivals,
            out_of_sample=errors,
        )
    )
    if curve.name == "theory":
        c = params["c"]
        ends = (None if end is None else 1 - end for end in (c.value, c.high, c.low))
        params = {**params, "eta": Estimate(*ends)}
    return LawFit(
        form=form,
        formula=curve.describe(x_name, y_name),
        x_name=x_name,
        params=params,
        r2=r2,
        rmse=rmse,
        rmse_x=_error_in_x(curve, point, x, y - fitted),
        verdict=verdict,
        reason=why,
        n=x.size,
        n_effective=float(n_effective),
        n_dropped=rows.n_dropped,
        x=tuple(x.tolist()),
        y=tuple(y.tolist()),
        rivals=rivals,
        lack_of_fit_p=p,
        interval=kind,
        out_of_sample=errors,
        fixed={"r_max": curve.level} if curve.name == "theory" else {},
        draws=None if draws is None else np.column_stack([draws.beta, draws.alpha, draws.theta]),
    )


def _correlation(rows: Checkpoints, fitted: np.ndarray, curve: Curve, spline: Yardstick | None) -> float:
    """Lag-1 correlation of what the law leaves, or of what the free spline leaves where the law misses the shape."""
    y, n = rows.y, rows.y.size
    residual, n_params = y - fitted, curve.n_params
    if spline is not None:
        sse = float((residual**2).sum()) + rounding_floor(y)
        # the free spline, not the monotone one: rising or bent data are no reason to call the noise correlated
        misses = lack_of_fit(sse, n_params, spline, n, n) < LEAST_P or reversal_p(spline, n, n) < LEAST_P
        if misses:
            residual, n_params = y - spline.free_fitted, spline.n_params
    return noise_correlation(residual, y, rows.run, n_params)


def noise_correlation(residual: np.ndarray, y: np.ndarray, run: np.ndarray, n_params: int) -> float:
    """Return the lag-1 correlation of residuals inside runs; 0 where they are too small to be noise.

    Source, Departures: as :func:`breadth.laws.resampling.lag_correlation`.
    """
    if float((residual**2).sum()) < _EXACT * float(((y - y.mean()) ** 2).sum()):
        return 0.0
    return lag_correlation(residual, run, n_params)


def _unusable(rows: Checkpoints, curve: Curve, x_name: str, y_name: str) -> str | None:
    n, dropped = rows.x.size, rows.n_dropped
    if n == 0:
        return f"no checkpoint has both {y_name} and {x_name}: all {dropped} rows have a missing value"
    if n > 1 and np.ptp(rows.x) <= 1e-9 * np.abs(rows.x).max():
        return f"{x_name} is constant: {rows.x[0]:.4g} at all {n} checkpoints"
    if n > 1 and np.ptp(rows.y) <= 1e-9 * np.abs(rows.y).max():
        return f"{y_name} is constant: {rows.y[0]:.4g} at all {n} checkpoints"
    distinct = np.unique(rows.x).size
    if distinct < curve.n_params + 1:
        formula = curve.describe(x_name, y_name)
        return (
            f"only {distinct} distinct value{_s(distinct)} of {x_name} over {n} checkpoint{_s(n)}; {formula} needs at least "
            f"{curve.n_params + 1}"
        )
    return None


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _empty(rows: Checkpoints, curve: Curve, x_name: str, y_name: str, reason: str, kind: str) -> LawFit:
    return LawFit(
        form=curve.name,
        formula=curve.describe(x_name, y_name),
        x_name=x_name,
        params=dict.fromkeys(curve.params, _UNKNOWN),
        r2=None,
        rmse=None,
        rmse_x=None,
        verdict="cannot tell",
        reason=reason,
        n=int(rows.x.size),
        n_effective=float(rows.x.size),
        n_dropped=rows.n_dropped,
        x=tuple(rows.x.tolist()),
        y=tuple(rows.y.tolist()),
        interval=kind,
    )


def _reversal(spline: Yardstick | None, n: int, n_effective: float) -> tuple[float, float, float, float] | None:
    if spline is None:
        return None
    p = reversal_p(spline, n, n_effective)
    return spline.largest_reversal, spline.reversal_from, spline.reversal_to, p


def _bound(curve: Curve, point: Projection, x: np.ndarray, x_name: str) -> tuple[str, str] | None:
    axes = curve.axes(x)
    if not axes or point.beta[0] == 0 or not (point.at_low[0] or point.at_high[0]):
        return None
    side, end = ("lower", axes[-1].low) if point.at_low[0] else ("upper", axes[-1].high)
    factor = end * float(np.ptp(x))
    by_range = curve.name in ("exponential", "saturating", "logistic")
    return side, f"{factor:.3g}/range({x_name}) = {end:.4g}" if by_range else f"{end:.4g}"


def _error_in_x(curve: Curve, point: Projection, x: np.ndarray, residual: np.ndarray) -> float | None:
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        slope = point.beta[0] * curve.shape_slope(x, point.theta[0], point.anchor)
        error = float(np.sqrt(np.mean((residual / slope) ** 2)))
    return error if error <= np.ptp(x) else None
