"""Least squares by variable projection: for each θ the best (β, α) in closed form, θ by a grid and a local descent.

Because (β, α) are projected out, only θ (one number for the laws) is searched, over its whole admissible range: the
global optimum is found whatever the data, and no starting values are needed. All bootstrap draws are searched at once;
a draw is a row of weights (how often each checkpoint was drawn).

Source: Golub and Pereyra (1973), "The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate". Departures: θ by exhaustive grid and then parabolas (two dimensions: compass search) instead of Gauss-Newton from a start;
only the point estimate is polished by a trust-region step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from breadth.laws.curves import Curve

_CELLS = 1 << 16  # draws × points held at once: half a megabyte, so that the inner loop stays in the cache
_SPANS, _SHORTER = 3, 10.0  # of the grid's spacing (0.09 in log c): log θ to 1e-6, far below any bootstrap spread
_HALVINGS = 12  # the same for two dimensions: to 2e-5
_AT_BOUND = 0.01  # within this relative distance of a bound counts as having run to it


@dataclass(frozen=True)
class Projection:
    """The least-squares optimum of each draw. B draws, k nonlinear parameters."""

    beta: np.ndarray  # (B,)
    alpha: np.ndarray  # (B,), the curve's level where it has no intercept
    theta: np.ndarray  # (B, k)
    sse: np.ndarray  # (B,) weighted sum of squared residuals
    at_low: np.ndarray  # (B,) bool, the last θ stands at its lower bound
    at_high: np.ndarray  # (B,) bool, the last θ stands at its upper bound
    anchor: float


def solve_linear(phi: np.ndarray, y: np.ndarray, weight: np.ndarray, intercept: bool, sign: int) -> tuple[Any, ...]:
    """Return (β, α, SSE) of weighted least squares y ≈ β·φ + α for a given φ.

    Parameters
    ----------
    phi : (..., n) array
    y : (n,) array
    weight : (..., n) array, not negative, at least one positive in each row
    intercept : bool
        False forces α = 0.
    sign : int
        The sign that β must have; where the optimum has the other one, β = 0 (the constrained optimum). 0 = any.

    Returns
    -------
    beta, alpha, sse : (...) arrays
        β = 0 where φ is constant over the rows with weight.

    Source: textbook weighted least squares. Departures: none.

    Examples
    --------
    >>> beta, alpha, sse = solve_linear(np.array([0.0, 1.0]), np.array([1.0, 3.0]), np.ones(2), True, 0)
    >>> float(beta), float(alpha), float(sse)
    (2.0, 1.0, 0.0)
    """
    if intercept:
        total = weight.sum(-1)
        phi_mean = (weight * phi).sum(-1) / total
        y_mean = (weight * y).sum(-1) / total
        phi = phi - phi_mean[..., None]
        centred = y - y_mean[..., None]
    else:
        phi_mean = y_mean = np.zeros(phi.shape[:-1])
        centred = y
    weighted = weight * phi
    spread = (weighted * phi).sum(-1)
    shared = (weighted * centred).sum(-1)
    beta = _signed(np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 0), sign)
    residual = centred - beta[..., None] * phi
    return beta, y_mean - beta * phi_mean, (weight * residual * residual).sum(-1)


def search(curve: Curve, x: np.ndarray, y: np.ndarray, weight: np.ndarray, sign: int | None = None) -> Projection:
    """Return the global least-squares optimum of every draw.

    Parameters
    ----------
    curve : Curve
    x, y : (n,) float arrays, finite; x not constant
    weight : (B, n) array
        One row per draw: how often each point counts.
    sign : int, optional
        Replaces the curve's own sign of β (0 frees it).

    Returns
    -------
    Projection

    Source: module docstring. Departures: module docstring.

    Examples
    --------
    >>> from breadth.laws.curves import EXPONENTIAL, exponential
    >>> x = np.linspace(0.1, 0.9, 20)
    >>> found = search(EXPONENTIAL, x, exponential(x, 0.01, 1.0, 5.0), np.ones((1, 20)))
    >>> round(float(found.theta[0, 0]), 3)
    5.0
    """
    sign = curve.sign if sign is None else sign
    y = y - curve.level
    rows = max(1, _CELLS // x.size)
    parts = [_search_rows(curve, x, y, weight[i : i + rows], sign) for i in range(0, weight.shape[0], rows)]
    u = np.concatenate([part[0] for part in parts])  # (B, k) in search units: log θ on log axes
    axes = curve.axes(x)
    theta = _theta(u, axes)
    beta, alpha, sse = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
    at_low = at_high = np.zeros(u.shape[0], dtype=bool)
    if axes:
        at_low = theta[:, -1] <= axes[-1].low * (1 + _AT_BOUND)
        at_high = theta[:, -1] >= axes[-1].high * (1 - _AT_BOUND)
    return Projection(beta, alpha + curve.level, theta, sse, at_low, at_high, curve.anchor(x))


def polish(curve: Curve, x: np.ndarray, y: np.ndarray, found: Projection, sign: int | None = None) -> Projection:
    """Return the point estimate with θ refined to machine precision; unchanged where θ stands at a bound.

    Parameters
    ----------
    curve, x, y, sign : as in :func:`search`
    found : Projection
        With one draw (B = 1) of unit weights.

    Source: trust-region reflective least squares of scipy on the projected residual. Departures: none.
    """
    sign = curve.sign if sign is None else sign
    axes = curve.axes(x)
    if not axes or found.at_low[0] or found.at_high[0] or found.beta[0] == 0:
        return found
    low, high = _bounds(axes)
    y = y - curve.level
    ones = np.ones_like(y)

    def residual(u: np.ndarray) -> np.ndarray:
        phi = curve.shape(x, _theta(u, axes), found.anchor)
        beta, alpha, _ = solve_linear(phi, y, ones, curve.intercept, sign)
        return (y - beta * phi - alpha) / scale

    scale = float(np.ptp(y)) or 1.0
    start = np.clip(_units(found.theta[0], axes), low, high)
    tolerance = 1e-15  # the smallest that scipy takes: stop when nothing moves
    result = least_squares(
        residual, start, bounds=(low, high), jac="3-point", xtol=tolerance, ftol=tolerance, gtol=tolerance, max_nfev=200
    )
    theta = _theta(result.x, axes)
    beta, alpha, sse = solve_linear(curve.shape(x, theta, found.anchor), y, ones, curve.intercept, sign)
    if not sse <= found.sse[0]:
        return found
    alpha = alpha + curve.level
    return Projection(
        np.array([beta]), np.array([alpha]), theta[None], np.array([sse]), found.at_low, found.at_high, found.anchor
    )


def _search_rows(curve: Curve, x: np.ndarray, y: np.ndarray, weight: np.ndarray, sign: int) -> tuple[Any, ...]:
    axes = curve.axes(x)
    anchor = curve.anchor(x)

    def project(u: np.ndarray) -> tuple[Any, ...]:
        return solve_linear(curve.shape(x, _theta(u, axes), anchor), y, weight, curve.intercept, sign)

    if not axes:
        u = np.zeros((weight.shape[0], 0))
        return u, *project(u)
    low, high = _bounds(axes)
    lines = [np.linspace(lo, hi, axis.size) for lo, hi, axis in zip(low, high, axes, strict=True)]
    grid = np.stack([mesh.ravel() for mesh in np.meshgrid(*lines, indexing="ij")], axis=-1)  # (G, k)
    phi = curve.shape(x, _theta(grid, axes), anchor)  # (G, n)
    u = grid[_grid_sse(phi, y, weight, curve.intercept, sign).argmin(1)]  # (B, k)
    if len(axes) == 1:
        u = _parabolas(curve, x, y, weight, sign, u, lines[0][1] - lines[0][0])
        return u, *project(u)
    beta, alpha, sse = project(u)
    step = np.tile([line[1] - line[0] for line in lines], (u.shape[0], 1)) / 2
    smallest = step[:1] / 2**_HALVINGS
    # compass search: try a step each way on each axis, take what is better, halve the step where nothing was
    while (step > smallest).any():
        better = np.zeros(u.shape[0], dtype=bool)
        for axis in range(len(axes)):
            for way in (-1, 1):
                trial = u.copy()
                trial[:, axis] = np.clip(u[:, axis] + way * step[:, axis], low[axis], high[axis])
                t_beta, t_alpha, t_sse = project(trial)
                won = t_sse < sse
                u[won], beta[won], alpha[won], sse[won] = trial[won], t_beta[won], t_alpha[won], t_sse[won]
                better |= won
        step[~better] /= 2
    return u, beta, alpha, sse


def _parabolas(
    curve: Curve, x: np.ndarray, y: np.ndarray, weight: np.ndarray, sign: int, u: np.ndarray, spacing: float
) -> np.ndarray:
    """Return θ (B, 1), in search units, at the optimum next to a grid's best: vertices of parabolas on ever shorter spans."""
    axes = curve.axes(x)
    (low,), (high,) = _bounds(axes)
    anchor = curve.anchor(x)

    def sse(at: np.ndarray) -> np.ndarray:
        return solve_linear(curve.shape(x, _theta(at, axes), anchor), y, weight, curve.intercept, sign)[2]

    best, span = sse(u), spacing
    for _ in range(_SPANS):
        left, right = np.maximum(u - span, low), np.minimum(u + span, high)
        at_left, at_right = sse(left), sse(right)
        bend = at_left - 2 * best + at_right
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(bend > 0, span * (at_left - at_right) / (2 * bend), 0.0)
        vertex = np.clip(u[:, 0] + np.clip(shift, -span, span), low, high)[:, None]
        for trial, value in ((left, at_left), (right, at_right), (vertex, sse(vertex))):
            won = value < best
            u = np.where(won[:, None], trial, u)
            best = np.where(won, value, best)
        span /= _SHORTER
    return u


def _grid_sse(phi: np.ndarray, y: np.ndarray, weight: np.ndarray, intercept: bool, sign: int) -> np.ndarray:
    """(B, G) sums of squares of every draw at every grid point, by matrix products; centred against cancellation."""
    total = weight.sum(1, keepdims=True)  # (B, 1)
    if intercept:
        y = y - y.mean()
        phi = phi - phi.mean(1, keepdims=True)
    y_sum, phi_sum = weight @ y[:, None], weight @ phi.T  # (B, 1), (B, G)
    y_spread = weight @ (y * y)[:, None]
    spread = weight @ (phi * phi).T
    shared = weight @ (phi * y).T
    if intercept:
        y_spread = y_spread - y_sum**2 / total
        spread = spread - phi_sum**2 / total
        shared = shared - phi_sum * y_sum / total
    beta = _signed(np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 0), sign)
    return y_spread - beta * shared


def _signed(beta: np.ndarray, sign: int) -> np.ndarray:
    return np.where(beta * sign < 0, 0.0, beta) if sign else beta


def _bounds(axes: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    return _units(np.array([axis.low for axis in axes]), axes), _units(np.array([axis.high for axis in axes]), axes)


def _units(theta: np.ndarray, axes: tuple[Any, ...]) -> np.ndarray:
    return np.stack([np.log(theta[..., i]) if axis.log else theta[..., i] for i, axis in enumerate(axes)], axis=-1)


def _theta(u: np.ndarray, axes: tuple[Any, ...]) -> np.ndarray:
    if not axes:
        return u
    return np.stack([np.exp(u[..., i]) if axis.log else u[..., i] for i, axis in enumerate(axes)], axis=-1)
