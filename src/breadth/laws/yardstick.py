"""The monotone spline: the best that any monotone curve can do, and so the yardstick for a law's lack of fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline
from scipy.optimize import nnls
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

_DEGREE = 3
_POINTS_PER_KNOT, _MOST_KNOTS = 8, 4  # 26 checkpoints: 3 inner knots, 7 parameters


@dataclass(frozen=True)
class Yardstick:
    """Least-squares splines on one basis: monotone, and free to bend either way."""

    fitted: np.ndarray  # (n,) the monotone one at the data's x
    sse: float
    n_params: int
    free_fitted: np.ndarray  # (n,) the free one
    sse_free: float
    n_active: int  # constraints that bind: how many terms the monotone one had to leave out
    largest_reversal: float  # how far the free one moves against the direction, in y, over the data's x
    reversal_from: float  # the x where that starts
    reversal_to: float  # and ends
    direction: int  # -1 falls, +1 rises


def monotone_spline(x: np.ndarray, y: np.ndarray, direction: int = 0) -> Yardstick | None:
    """Return the least-squares monotone cubic spline, or None where there are too few points for it.

    y = β₀ + direction · Σⱼ βⱼ·Iⱼ(x) with βⱼ ≥ 0, where the Iⱼ are I-splines: cumulative sums of cubic B-splines, each
    rising from 0 to 1. One inner knot per 8 distinct x, at most 4, at quantiles of x.

    Parameters
    ----------
    x, y : (n,) float arrays, finite
    direction : int
        -1 falling, +1 rising, 0 = the better of the two.

    Returns
    -------
    Yardstick or None
        None with fewer distinct x than two more than the spline has parameters.

    Source: Ramsay (1988), "Monotone regression splines in action". Departures: none.

    Examples
    --------
    >>> x = np.linspace(0, 1, 20)
    >>> spline = monotone_spline(x, 1 - x**2, direction=-1)
    >>> bool(spline.sse < 1e-15), spline.n_params
    (True, 6)
    """
    distinct = np.unique(x)
    n_knots = int(np.clip(distinct.size // _POINTS_PER_KNOT, 1, _MOST_KNOTS))
    n_params = n_knots + _DEGREE + 1
    if distinct.size < n_params + 2:
        return None
    if direction == 0:
        both = (monotone_spline(x, y, -1), monotone_spline(x, y, 1))
        return min(both, key=lambda spline: spline.sse)  # type: ignore[union-attr]
    basis = _rising_basis(x, distinct, n_knots)  # (n, K-1)
    centred = (basis - basis.mean(0)) * direction
    target = y - y.mean()
    coefficients = nnls(centred, target)[0]
    fitted = y.mean() + centred @ coefficients
    free = np.linalg.lstsq(centred, target, rcond=None)[0]
    bent = centred @ free
    floor = rounding_floor(y)
    order = np.argsort(x, kind="stable")
    path = bent[order] * direction  # should only rise
    highest = np.maximum.accumulate(path)
    end = int(np.argmax(highest - path))
    begin = int(np.argmax(path[: end + 1]))
    return Yardstick(
        fitted=fitted,
        sse=float(((y - fitted) ** 2).sum()) + floor,
        n_params=n_params,
        free_fitted=y.mean() + bent,
        sse_free=float(((target - bent) ** 2).sum()) + floor,
        n_active=int((coefficients == 0).sum()),
        largest_reversal=float(highest[end] - path[end]),
        reversal_from=float(x[order][begin]),
        reversal_to=float(x[order][end]),
        direction=direction,
    )


def lack_of_fit(sse: float, n_params: int, spline: Yardstick, n: int, n_effective: float) -> float:
    """Return the p-value of "the curve leaves no more than the monotone spline does, but for noise".

    F = [(SSE_curve − SSE_spline) / (K − p)] / [SSE_spline / (n − K)] · n_eff/n on (K − p, n_eff − K) degrees of
    freedom. Correlated noise looks like misfit of a smooth curve, by the factor n/n_eff; dividing by it keeps the
    test's size.

    Parameters
    ----------
    sse : float
        Of the curve under test, p = ``n_params`` parameters.
    spline : Yardstick
        K = ``spline.n_params``.
    n, n_effective : int, float
        Points, and what they are worth after autocorrelation.

    Returns
    -------
    float
        In [0, 1]; 1 where the curve fits at least as well as the spline.

    Source: the F-test of nested regressions. Departures: the curve is not nested in the spline, which counts all of
    its K parameters though the monotone ones are partly at their bound; both make the test conservative.

    Examples
    --------
    >>> x = np.linspace(0, 1, 30)
    >>> spline = monotone_spline(x, np.sqrt(x), direction=1)
    >>> lack_of_fit(sse=0.5, n_params=2, spline=spline, n=30, n_effective=30.0) < 1e-6
    True
    """
    return _nested_p(sse, spline.sse, spline.n_params - n_params, spline.n_params, n, n_effective)


def reversal_p(spline: Yardstick, n: int, n_effective: float) -> float:
    """Return the p-value of "y is monotone in x": the monotone spline against the free one on the same basis.

    Source: as :func:`lack_of_fit`, with the number of binding constraints as degrees of freedom in the numerator.
    Departures: the exact null distribution is a mixture over fewer degrees of freedom, so the test is conservative.
    """
    return _nested_p(spline.sse, spline.sse_free, spline.n_active, spline.n_params, n, n_effective)


def rounding_floor(y: np.ndarray) -> float:
    """Return the sum of squares below which a fit is exact: added to every SSE that is compared with another one.

    1e-20 of the total sum of squares: residuals of 1e-10 of the spread of y, far above rounding and far below any
    noise.
    """
    return 1e-20 * float(((y - y.mean()) ** 2).sum())


def rank_trend(x: np.ndarray, y: np.ndarray, n_effective: float) -> tuple[float, float]:
    """Return Spearman's rank correlation and its two-sided p-value at the effective number of points.

    t = r·√((m − 2)/(1 − r²)) on m − 2 degrees of freedom, m = n_eff; p is 1 for m ≤ 2 or a constant axis.

    Source: textbook. Departures: n replaced by the effective number of points.

    Examples
    --------
    >>> rank_trend(np.arange(10.0), np.arange(10.0) ** 3, 10.0)
    (1.0, 0.0)
    """
    rank_x, rank_y = _ranks(x), _ranks(y)
    spread = rank_x.std() * rank_y.std()
    if spread == 0:
        return 0.0, 1.0
    r = float(np.clip(((rank_x - rank_x.mean()) * (rank_y - rank_y.mean())).mean() / spread, -1, 1))
    if n_effective <= 2:
        return r, 1.0
    if abs(r) >= 1 - 1e-12:
        return float(round(r)), 0.0
    statistic = r * np.sqrt((n_effective - 2) / (1 - r * r))
    return r, float(2 * t_distribution.sf(abs(statistic), n_effective - 2))


def _nested_p(sse: float, sse_wide: float, df_between: int, df_wide: int, n: int, n_effective: float) -> float:
    left = n_effective - df_wide
    if left < 1 or df_between < 1 or sse <= sse_wide:
        return 1.0
    statistic = (sse - sse_wide) / df_between / (sse_wide / (n - df_wide)) * n_effective / n
    return float(f_distribution.sf(statistic, df_between, left))


def _rising_basis(x: np.ndarray, distinct: np.ndarray, n_knots: int) -> np.ndarray:
    inner = np.quantile(distinct, np.arange(1, n_knots + 1) / (n_knots + 1))
    edges = np.repeat([distinct[0], distinct[-1]], _DEGREE + 1)
    knots = np.sort(np.concatenate([edges, inner]))
    splines = BSpline.design_matrix(x, knots, _DEGREE).toarray()  # (n, K)
    return np.cumsum(splines[:, ::-1], axis=1)[:, ::-1][:, 1:]  # without the first column, which is constant


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[inverse]  # ties share their mean rank
