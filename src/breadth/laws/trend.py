"""The monotone model: where a measured series that only rises (or only falls) may go next, as draws of whole paths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_SHARES = np.sin(np.linspace(0, np.pi / 2, 46)) ** 2  # quantiles of the arcsine law, Beta(1/2, 1/2), 0 and 1 included
_N_TIMES, _LATEST = 200, 100.0  # time scales, on a log grid up to 100 x the last measured step
_SHAPES = 2.0 ** np.arange(-1.5, 2.25, 0.25)  # 0.35 (a fast start and a long tail) to 4 (a plateau, then a fall)
_PRIOR_POINTS = 2.0  # what the measurement errors in the ledger are worth, in checkpoints, beside the residuals
_LEAST_NOISE = 0.01  # of the range that the series may move in: policies wander more than their measurements err


@dataclass(frozen=True)
class Trend:
    """Posterior of the monotone model on its grid of C cells; see :func:`fit_trend`."""

    level: np.ndarray  # (C,) mean of α given the cell
    amplitude: np.ndarray  # (C,) signed: direction · A
    time: np.ndarray  # (C,) τ, steps
    shape: np.ndarray  # (C,) k
    scale: np.ndarray  # (C,) of the noise
    weight: np.ndarray  # (C,) posterior probabilities, sum 1
    start: float  # step that t counts from
    freedom: float  # degrees of freedom of the noise
    n: int
    bounds: tuple[float, float]

    def draw(self, steps: np.ndarray, n_draws: int, generator: np.random.Generator) -> np.ndarray:
        """Return (n_draws, m) measurements at m steps: a curve of the posterior and independent noise, clipped.

        Systematic sampling of the cells, so that few draws represent the posterior evenly.
        """
        at = (np.arange(n_draws) + generator.random()) / n_draws
        cell = np.minimum(np.searchsorted(np.cumsum(self.weight), at), self.weight.size - 1)
        generator.shuffle(cell)
        sigma = self.scale[cell] * np.sqrt(self.freedom / generator.chisquare(self.freedom, n_draws))
        level = self.level[cell] + sigma * generator.standard_normal(n_draws) / np.sqrt(self.n)
        curve = _growth(steps[None, :] - self.start, self.time[cell, None], self.shape[cell, None])
        noise = sigma[:, None] * generator.standard_normal(curve.shape)
        return np.clip(level[:, None] + self.amplitude[cell, None] * curve + noise, *self.bounds)


def fit_trend(step: np.ndarray, y: np.ndarray, direction: int, error: float | None = None) -> Trend:
    """Return the posterior of the monotone model of one series over training steps.

    y(t) = α + s·A·[1 − exp(−(t/τ)^k)] + σ·ε with s = ``direction`` and independent normal ε. Prior: α flat; A = f·room
    with f ~ Beta(1/2, 1/2), that is, staying put and using up all the room are the likeliest; τ log-uniform from half
    the first gap to 100 times the last step; k log-uniform over 0.35 … 4; σ² scaled inverse chi-square with 2 degrees
    of freedom around the squared measurement error. α and σ are integrated out exactly, f, τ and k on a grid.

    Parameters
    ----------
    step : (n,) float array, ascending, training steps; t counts from the first one
    y : (n,) float array, finite
        R or D. Where all lie in [0, 1] the room ends at 0 or 1 and draws are clipped there; otherwise the room is four
        times the range of y and nothing is clipped.
    direction : int
        +1 rises, −1 falls.
    error : float, optional
        Standard error of one measurement, in the unit of y. None = 1 % of the range, which is also the least.

    Returns
    -------
    Trend
        A constant y keeps its value, with an interval that allows for a change yet to come.

    Raises
    ------
    ValueError
        For fewer than three points, steps that do not ascend, or a direction other than +1 and −1.

    Source: this project's; the growth curve is Weibull's. Departures: none.

    Examples
    --------
    >>> t = np.arange(0.0, 110.0, 10.0)
    >>> trend = fit_trend(t, 0.9 - 0.6 * (1 - np.exp(-t / 40)), -1)
    >>> draws = trend.draw(np.array([200.0]), 2000, np.random.default_rng(0))
    >>> bool(abs(np.median(draws) - 0.304) < 0.02)
    True
    """
    if step.size < 3 or (np.diff(step) <= 0).any():
        raise ValueError(f"step: expected at least 3 ascending steps, got {step.tolist()}")
    if direction not in (1, -1):
        raise ValueError(f"direction: expected +1 or -1, got {direction}")
    bounded = bool(y.min() >= 0 and y.max() <= 1)
    bounds = (0.0, 1.0) if bounded else (-np.inf, np.inf)
    room = (1 - y[0] if direction > 0 else y[0]) if bounded else 4 * float(np.ptp(y))
    least = _LEAST_NOISE * (1.0 if bounded else max(float(np.ptp(y)), 1e-9))
    noise = max(error or 0.0, least)
    since = step - step[0]
    times = np.geomspace(since[1] / 2, _LATEST * since[-1], _N_TIMES)
    time, shape = (g.ravel() for g in np.meshgrid(times, _SHAPES, indexing="ij"))  # (K,)
    growth = _growth(since[None, :], time[:, None], shape[:, None])  # (K, n)
    mean, centred = growth.mean(1), growth - growth.mean(1, keepdims=True)
    amplitude = direction * room * _SHARES[:, None]  # (F, 1)
    level = (y.mean() - amplitude * mean).ravel()  # (F·K,)
    # the sum of squares of y - amplitude · growth about its mean, expanded: growth is needed once for all shares
    rest = y - y.mean()
    squares = rest @ rest - 2 * amplitude * (centred @ rest) + amplitude**2 * (centred**2).sum(1)  # (F, K)
    spread = np.maximum(squares, 0).ravel() + _PRIOR_POINTS * noise**2
    freedom = step.size - 1 + _PRIOR_POINTS
    log_weight = -0.5 * freedom * np.log(spread)
    weight = np.exp(log_weight - log_weight.max())
    return Trend(
        level=level,
        amplitude=np.repeat(amplitude[:, 0], time.size),
        time=np.tile(time, _SHARES.size),
        shape=np.tile(shape, _SHARES.size),
        scale=np.sqrt(spread / freedom),
        weight=weight / weight.sum(),
        start=float(step[0]),
        freedom=freedom,
        n=step.size,
        bounds=bounds,
    )


def _growth(since: np.ndarray, time: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return -np.expm1(-((since / time) ** shape))
