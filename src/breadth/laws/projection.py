"""Least squares by variable projection: for each θ the best (β, α) in closed form, θ by a grid and a local descent.

Because (β, α) are projected out, only θ (one number for the laws) is searched, over its whole admissible range: the
global optimum is found whatever the data, and no starting values are needed. All bootstrap draws are searched at once;
a draw is a row of weights (how often each checkpoint was drawn).

Source: Golub and Pereyra (1973), "The differentiation of pseudo-inverses and nonlinear least squares problems whose
variables separate". Departures: θ by a grid over all of its range and then parabolas (two dimensions: compass search) instead of Gauss-Newton
from a start; only the point estimate is polished by Gauss-Newton steps or, where they fail, in a trust region.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from breadth.laws.curves import Curve

_CELLS = 1 << 15  # draws × points held at once: a quarter of a megabyte, so that the inner loop stays in the cache
_SPANS, _SHORTER = 3, 10.0  # of the grid's spacing (0.09 in log c): log θ to 1e-6, far below any bootstrap spread
_HALVINGS = 12  # the same for two dimensions: to 2e-5
_STEPS, _CONVERGED, _DIFFERENCE = 20, 1e-10, 6e-6  # of the last steps: how many, how short, cube root of the rounding
_NOT_WORSE = 1 + 1e-12  # rounding of a sum of squares
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
    beta = _signed(_quotient(shared, spread), sign)
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
    return search_groups(curve, x, y, [weight], sign)[0]


def search_groups(
    curve: Curve, x: np.ndarray, y: np.ndarray, weights: Sequence[np.ndarray], sign: int | None = None
) -> list[Projection]:
    """Return :func:`search` of each group of draws (B, n), the values of the curve on the grid shared by all groups.

    Source, Departures: as there.
    """
    sign = curve.sign if sign is None else sign
    y = y - curve.level
    axes = curve.axes(x)
    if len(axes) > 1:
        units = _search_plane(curve, x, y, weights, sign)
    else:
        units = [_search_line(curve, x, y, w, sign) if axes else np.zeros((w.shape[0], 0)) for w in weights]
    return [_project(curve, x, y, w, sign, u) for w, u in zip(weights, units, strict=True)]


def _project(curve: Curve, x: np.ndarray, y: np.ndarray, weight: np.ndarray, sign: int, u: np.ndarray) -> Projection:
    axes, size = curve.axes(x), max(1, _CELLS // x.size)
    theta, anchor = _theta(u, axes), curve.anchor(x)
    chunks = [slice(i, i + size) for i in range(0, weight.shape[0], size)]
    found = [solve_linear(curve.shape(x, theta[c], anchor), y, weight[c], curve.intercept, sign) for c in chunks]
    beta, alpha, sse = (np.concatenate(part) for part in zip(*found, strict=True))
    at_low = at_high = np.zeros(u.shape[0], dtype=bool)
    if axes:
        at_low = theta[:, -1] <= axes[-1].low * (1 + _AT_BOUND)
        at_high = theta[:, -1] >= axes[-1].high * (1 - _AT_BOUND)
    return Projection(beta, alpha + curve.level, theta, sse, at_low, at_high, anchor)


def polish(curve: Curve, x: np.ndarray, y: np.ndarray, found: Projection, sign: int | None = None) -> Projection:
    """Return the point estimate with θ refined to machine precision; unchanged where θ stands at a bound.

    Parameters
    ----------
    curve, x, y, sign : as in :func:`search`
    found : Projection
        With one draw (B = 1) of unit weights.

    Source: Golub and Pereyra (1973), Gauss-Newton on the projected residual. Departures: its derivatives are central differences;
    where the steps do not end, or end above the start, scipy's trust-region reflective least squares goes on from the start.
    """
    sign = curve.sign if sign is None else sign
    axes = curve.axes(x)
    if not axes or found.at_low[0] or found.at_high[0] or found.beta[0] == 0:
        return found
    low, high = _bounds(axes)
    y = y - curve.level
    ones = np.ones_like(y)

    def at(u: np.ndarray) -> tuple[Any, ...]:
        return solve_linear(curve.shape(x, _theta(u, axes), found.anchor), y, ones, curve.intercept, sign)

    def residual(u: np.ndarray) -> np.ndarray:
        beta, alpha, _ = at(u)
        return (y - beta * curve.shape(x, _theta(u, axes), found.anchor) - alpha) / scale

    start = np.clip(_units(found.theta[0], axes), low, high)
    u = _gauss_newton(curve, x, y, start, axes, found.anchor, sign, (low, high))
    if u is None or not at(u)[2] <= found.sse[0] * _NOT_WORSE:
        scale = float(np.ptp(y)) or 1.0
        tolerance = 1e-15  # the smallest that scipy takes: stop when nothing moves
        options: dict[str, Any] = {"xtol": tolerance, "ftol": tolerance, "gtol": tolerance, "max_nfev": 200}
        u = least_squares(residual, start, bounds=(low, high), jac="3-point", **options).x
    beta, alpha, sse = at(u)
    if not sse <= found.sse[0] * _NOT_WORSE:
        return found
    return Projection(
        np.array([beta]),
        np.array([alpha + curve.level]),
        _theta(u, axes)[None],
        np.array([sse]),
        found.at_low,
        found.at_high,
        found.anchor,
    )


def _gauss_newton(
    curve: Curve,
    x: np.ndarray,
    y: np.ndarray,
    u: np.ndarray,
    axes: tuple[Any, ...],
    anchor: float,
    sign: int,
    bounds: tuple[np.ndarray, np.ndarray],
) -> np.ndarray | None:
    """Return u (k,) where Gauss-Newton steps of the projected residual, by central differences, end; None where they do not."""
    k = u.size
    apart = _DIFFERENCE * np.vstack([np.zeros(k), np.eye(k), -np.eye(k)])  # (2k + 1, k)
    ones = np.ones((2 * k + 1, y.size))
    for _ in range(_STEPS):
        phi = curve.shape(x, _theta(u + apart, axes), anchor)
        beta, alpha, _ = solve_linear(phi, y, ones, curve.intercept, sign)
        residual = y - beta[:, None] * phi - np.reshape(alpha, (-1, 1))
        jacobian = (residual[1 : k + 1] - residual[k + 1 :]) / (2 * _DIFFERENCE)  # (k, n)
        reached = np.clip(u - np.linalg.lstsq(jacobian.T, residual[0], rcond=None)[0], *bounds)
        if np.abs(reached - u).max() <= _CONVERGED:
            return reached
        u = reached
    return None


def _search_plane(
    curve: Curve, x: np.ndarray, y: np.ndarray, weights: Sequence[np.ndarray], sign: int
) -> list[np.ndarray]:
    """Return θ (B, 2), in search units, of a curve with two nonlinear parameters, for each group of draws."""
    axes = curve.axes(x)
    anchor = curve.anchor(x)

    low, high = _bounds(axes)
    lines = [np.linspace(lo, hi, axis.size) for lo, hi, axis in zip(low, high, axes, strict=True)]
    grid = np.stack([mesh.ravel() for mesh in np.meshgrid(*lines, indexing="ij")], axis=-1)  # (G, k)
    size = max(1, _CELLS // x.size)
    groups = [w[i : i + size] for w in weights for i in range(0, w.shape[0], size)]
    sums = [_Sums(y, group, curve.intercept, sign) for group in groups]
    on_grid = [np.empty((group.shape[0], len(grid))) for group in groups]
    for i in range(0, len(grid), size):
        phi = curve.shape(x, _theta(grid[i : i + size], axes), anchor)
        for one, found in zip(sums, on_grid, strict=True):
            found[:, i : i + size] = one.all(phi)
    span = np.array([line[1] - line[0] for line in lines]) / 2

    def descend(one: _Sums, found: np.ndarray) -> np.ndarray:
        """Compass search: try a step each way on each axis, take what is better, halve the step where nothing was."""

        def sums_of_squares(u: np.ndarray) -> np.ndarray:
            return one.each(curve.shape(x, _theta(u, axes), anchor))

        u = grid[found.argmin(1)]  # (B, k)
        sse = sums_of_squares(u)
        step = np.tile(span, (u.shape[0], 1))
        smallest = step[:1] / 2**_HALVINGS
        while (step > smallest).any():
            better = np.zeros(u.shape[0], dtype=bool)
            for axis in range(len(axes)):
                for way in (-1, 1):
                    trial = u.copy()
                    trial[:, axis] = np.clip(u[:, axis] + way * step[:, axis], low[axis], high[axis])
                    at_trial = sums_of_squares(trial)
                    won = at_trial < sse
                    u[won], sse[won] = trial[won], at_trial[won]
                    better |= won
            step[~better] /= 2
        return u

    reached = np.concatenate([descend(one, found) for one, found in zip(sums, on_grid, strict=True)])
    return np.split(reached, np.cumsum([w.shape[0] for w in weights])[:-1])


def _search_line(curve: Curve, x: np.ndarray, y: np.ndarray, weight: np.ndarray, sign: int) -> np.ndarray:
    """Return θ (B, 1), in search units, of a curve with one nonlinear parameter.

    φ is scaled to 1 at the largest x that a draw has: scaled there for the largest x of the data, all that a draw without it sees
    of a steep curve would drown in rounding.
    """
    axes = curve.axes(x)
    (low,), (high,) = _bounds(axes)
    line = np.linspace(low, high, axes[0].size)
    coarse = np.unique(np.append(np.arange(0, line.size, 2), line.size - 1))  # every second point, and both ends
    order = np.argsort(-x)
    end = x[order][(weight > 0)[:, order].argmax(1)]  # (B,)
    if curve.needs_positive_x:
        end = np.where(end > 0, end, x.max())
    on_grid = np.empty((weight.shape[0], coarse.size))
    for last in np.unique(end):
        seen, rows = x <= last, np.flatnonzero(end == last)
        sums = _Sums(y[seen], weight[np.ix_(rows, seen)], curve.intercept, sign)
        on_grid[rows] = sums.all(curve.shape(x[seen], _theta(line[coarse, None], axes), last))
    u, best, size = line[coarse[on_grid.argmin(1)]], on_grid.min(1), max(1, _CELLS // x.size)
    step = float(line[1] - line[0])
    chunks = [slice(i, i + size) for i in range(0, end.size, size)]
    return np.concatenate([_parabolas(curve, x, y, weight[c], sign, u[c], best[c], step, end[c, None]) for c in chunks])[:, None]


def _parabolas(
    curve: Curve,
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    sign: int,
    u: np.ndarray,
    best: np.ndarray,
    span: float,
    end: np.ndarray,
) -> np.ndarray:
    """Return u (B,) moved to the vertices of parabolas on ever shorter spans, where they are better.

    ``best`` (B,) are the sums of squares at u, ``end`` (B, 1) is the largest x of each draw.
    """
    axes, sums = curve.axes(x), _Sums(y, weight, curve.intercept, sign)
    (low,), (high,) = _bounds(axes)
    within = np.minimum(x, end)  # beyond its end a draw has no weight, and a steep φ no number

    def sse(u: np.ndarray) -> np.ndarray:
        return sums.each(curve.shape(within, _theta(u[:, None], axes), end))  # type: ignore[arg-type]  # an anchor a draw

    for _ in range(_SPANS):
        left, right = np.maximum(u - span, low), np.minimum(u + span, high)
        at_left, at_right = sse(left), sse(right)
        bend = at_left - 2 * best + at_right
        with np.errstate(divide="ignore", invalid="ignore"):
            shift = np.where(bend > 0, span * (at_left - at_right) / (2 * bend), 0.0)
        vertex = np.clip(u + np.clip(shift, -span, span), low, high)
        for trial, value in ((left, at_left), (right, at_right), (vertex, sse(vertex))):
            won = value < best
            u, best = np.where(won, trial, u), np.where(won, value, best)
        span /= _SHORTER
    return u


class _Sums:
    """Sums of squares of every draw, from sums over the points: a tenth of the time that residuals take.

    Good to the rounding of the total sum of squares, which tells neighbours of the search apart; the numbers that are handed out
    come from :func:`solve_linear`.
    """

    def __init__(self, y: np.ndarray, weight: np.ndarray, intercept: bool, sign: int) -> None:
        self.weight, self.intercept, self.sign = weight, intercept, sign
        self.y = y - y.mean() if intercept else y  # centred, against cancellation
        self.columns = np.stack([np.ones_like(self.y), self.y], axis=1)  # (n, 2)
        self.total, self.y_sum = weight.sum(1), weight @ self.y  # (B,)
        self.y_spread = weight @ (self.y * self.y)
        if intercept:
            self.y_spread = self.y_spread - self.y_sum**2 / self.total

    def all(self, phi: np.ndarray) -> np.ndarray:
        """Return (B, G): every draw at every φ of (G, n)."""
        if self.intercept:
            phi = phi - phi.mean(1, keepdims=True)
        phi_sum, spread, shared = (self.weight @ columns.T for columns in (phi, phi * phi, phi * self.y))
        return self._sse(phi_sum, spread, shared, lambda per_draw: per_draw[:, None])

    def each(self, phi: np.ndarray) -> np.ndarray:
        """Return (B,): every draw at its own φ, of (B, n)."""
        if self.intercept:
            phi = phi - phi[:, phi.shape[1] // 2, None]
        weighted = self.weight * phi
        phi_sum, shared = (weighted @ self.columns).T
        return self._sse(phi_sum, np.einsum("ij,ij->i", weighted, phi), shared, lambda per_draw: per_draw)

    def _sse(
        self, phi_sum: np.ndarray, spread: np.ndarray, shared: np.ndarray, fit: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        if self.intercept:
            mean = phi_sum / fit(self.total)
            spread -= mean * phi_sum
            shared = shared - mean * fit(self.y_sum)
        beta = _signed(_quotient(shared, spread), self.sign)
        return fit(self.y_spread) - beta * shared


def _quotient(shared: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """β = shared / spread, 0 where φ does not vary. Dividing under a mask is several times slower, and it is seldom needed."""
    varies = spread > 0
    if np.all(varies):
        return shared / spread
    return np.divide(shared, spread, out=np.zeros_like(shared), where=varies)


def _signed(beta: np.ndarray, sign: int) -> np.ndarray:
    return beta if sign == 0 else np.maximum(beta, 0.0) if sign > 0 else np.minimum(beta, 0.0)


def _bounds(axes: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    return _units(np.array([axis.low for axis in axes]), axes), _units(np.array([axis.high for axis in axes]), axes)


def _units(theta: np.ndarray, axes: tuple[Any, ...]) -> np.ndarray:
    return np.stack([np.log(theta[..., i]) if axis.log else theta[..., i] for i, axis in enumerate(axes)], axis=-1)


def _theta(u: np.ndarray, axes: tuple[Any, ...]) -> np.ndarray:
    theta = np.array(u)
    for i, axis in enumerate(axes):
        if axis.log:
            theta[..., i] = np.exp(u[..., i])
    return theta
