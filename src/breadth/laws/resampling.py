"""Checkpoints are not independent: their order, the autocorrelation of their residuals, and bootstraps in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_HIGHEST_RHO = 0.95  # an estimate above it from a few dozen points is not distinguishable from a trend
_ROWS = 128  # draws made at once: arrays that stay in the cache
_LEAST_SHARE = 1 / 3  # the correction for bias at most triples an estimate: beyond it the expansion says nothing


@dataclass(frozen=True)
class Checkpoints:
    """Usable rows, sorted by (run, step)."""

    x: np.ndarray  # (n,)
    y: np.ndarray  # (n,)
    run: np.ndarray  # (n,) int, 0..runs-1, non-decreasing
    n_dropped: int  # rows with a missing value


def gather(quality: Sequence[Any], diversity: Sequence[Any], run: object = None, step: object = None) -> Checkpoints:
    """Return the rows that have both values, sorted by run and, inside a run, by step.

    Parameters
    ----------
    quality, diversity : (n,) sequences of float or None
        A row where either is None or NaN is dropped and counted.
    run : str, int or (n,) sequence, optional
        Which run a row belongs to; None or one label = a single run.
    step : (n,) sequence of numbers, optional
        None = the rows stand in step order already.

    Raises
    ------
    ValueError
        For different lengths, infinite values, no rows at all, or rows that are not one-dimensional.

    Source: none. Departures: none.

    Examples
    --------
    >>> rows = gather([0.9, None, 0.5], [0.1, 0.2, 0.7], step=[20, 10, 0])
    >>> rows.x.tolist(), rows.n_dropped
    ([0.7, 0.1], 1)
    """
    y, x = _numbers(quality, "quality"), _numbers(diversity, "diversity")
    if y.size != x.size:
        raise ValueError(f"quality and diversity: expected equal lengths, got {y.size} and {x.size}")
    if y.size == 0:
        raise ValueError("quality: expected at least one checkpoint, got none")
    if run is None or isinstance(run, str | int):
        label = np.zeros(y.size, dtype=int)
    else:
        names = [str(name) for name in run]  # type: ignore[attr-defined]
        if len(names) != y.size:
            raise ValueError(f"run: expected one label or {y.size} labels, got {len(names)}")
        label = np.unique(names, return_inverse=True)[1]
    order_in_run = np.arange(y.size, dtype=float) if step is None else _numbers(step, "step")
    if order_in_run.size != y.size:
        raise ValueError(f"step: expected {y.size} numbers, got {order_in_run.size}")
    if np.isnan(order_in_run).any():
        raise ValueError(f"step: row {int(np.isnan(order_in_run).argmax())} has none; give a step for every row")
    keep = ~(np.isnan(x) | np.isnan(y))
    # ties in step are broken by value, so that the order of the rows handed in never matters
    order = np.lexsort((y, x, order_in_run, label)) if step is not None else np.lexsort((order_in_run, label))
    order = order[keep[order]]
    return Checkpoints(x[order], y[order], label[order], int((~keep).sum()))


def lag_correlation(residual: np.ndarray, run: np.ndarray, n_params: int) -> float:
    """Return the lag-1 autocorrelation of residuals inside runs, clipped to [0, 0.95].

    ρ = (r₁ + p/n) / (1 − (p + 2)/n) with r₁ = Σ eₜ·eₜ₊₁ / Σ eₜ² over neighbours of one run (per neighbour and per point): to
    first order E[r₁] = ρ − p/n − (p + 2)·ρ/n where p smooth terms were fitted. Below half its standard error, 1/(2√n), it
    counts as 0.

    Parameters
    ----------
    residual : (n,) array, in (run, step) order
    run : (n,) int array
    n_params : int
        Parameters of the curve that the residuals are left by.

    Returns
    -------
    float
        0 for residuals that vanish or have no neighbours; negative estimates count as 0, so that the effective sample
        size never exceeds n.

    Source: Kendall (1954), the bias with p = 1. Departures: (1) p smooth terms in place of a mean. (2) The least value told
    apart from 0; without it intervals for independent noise are too wide, since negative estimates count as 0 already.

    Examples
    --------
    >>> lag_correlation(np.array([1.0, -1.0, 1.0, -1.0]), np.zeros(4, int), 0)
    0.0
    """
    total = float((residual**2).sum())
    together = run[1:] == run[:-1]
    if total <= 0 or not together.any():
        return 0.0
    rho = float((residual[1:] * residual[:-1])[together].sum()) / total
    # the sum has fewer terms than the denominator: one less per run
    n = residual.size
    rho = (rho * n / together.sum() + n_params / n) / max(_LEAST_SHARE, 1 - (n_params + 2) / n)
    return 0.0 if rho < 0.5 / np.sqrt(n) else float(min(rho, _HIGHEST_RHO))


def effective_size(n: int, rho: float) -> float:
    """Return n·(1 − ρ)/(1 + ρ), the number of independent points that n points with AR(1) errors are worth; at least 1.

    Source: textbook. Departures: none.

    Examples
    --------
    >>> effective_size(30, 0.5)
    10.0
    """
    return max(1.0, n * (1 - rho) / (1 + rho))


def block_length(n_run: int, rho: float) -> int:
    """Return the block length for a run of n_run checkpoints.

    L = n^(1/3) · max(1, (√6·ρ/(1 − ρ²))^(2/3)), rounded up, at most a third of the run (so that at least three blocks
    are drawn), at least 1.

    Source: the AR(1) rule for the moving-block bootstrap of a mean (Carlstein 1986; Kuensch 1989).
    Departures: never below n^(1/3), because ρ itself is estimated from a few dozen points.

    Examples
    --------
    >>> block_length(27, 0.0), block_length(100, 0.5)
    (3, 7)
    """
    rule = (np.sqrt(6.0) * rho / (1 - rho**2)) ** (2 / 3)
    length = np.ceil(round(n_run ** (1 / 3) * max(1.0, rule), 9))
    return int(max(1, min(length, n_run // 3)))


def block_weights(run: np.ndarray, rho: float, n_draws: int, seed: int) -> np.ndarray:
    """Return how often each checkpoint stands in each bootstrap draw.

    Blocks of consecutive checkpoints are drawn with replacement inside each run, so a run keeps its number of
    checkpoints. Blocks wrap around from the last checkpoint to the first: otherwise the ends of a run, where the law
    bends most, would be drawn less often than its middle.

    Parameters
    ----------
    run : (n,) int array, non-decreasing
    rho : float
        Lag-1 autocorrelation, which sets the block length.
    n_draws, seed : int

    Returns
    -------
    (n_draws, n) float array
        Rows sum to n.

    Source: Politis and Romano (1992), circular block bootstrap. Departures: runs are kept as they are, not resampled:
    with three seeds there is nothing to resample, so a pooled interval does not contain the spread between further
    seeds.

    Examples
    --------
    >>> block_weights(np.zeros(9, int), 0.0, 4, seed=0).sum(axis=1)
    array([9., 9., 9., 9.])
    """
    generator = np.random.default_rng(seed)
    weight = np.zeros((n_draws, run.size))
    for label in np.unique(run):
        first = int(np.searchsorted(run, label))
        m = int((run == label).sum())
        length = block_length(m, rho)
        n_blocks = -(-m // length)
        start = generator.integers(m, size=(n_draws, n_blocks, 1))
        # each draw has a lap of its own and one more: what runs over the end of the first counts at its front
        lap = np.arange(length) + 2 * m * np.arange(_ROWS)[:, None, None]
        for begin in range(0, n_draws, _ROWS):
            part = start[begin : begin + _ROWS]
            index = (part + lap[: len(part)]).reshape(len(part), -1)[:, :m]  # (rows, m)
            count = np.bincount(index.ravel(), minlength=2 * len(part) * m).reshape(-1, 2, m)
            weight[begin : begin + _ROWS, first : first + m] = count[:, 0] + count[:, 1]
    return weight


def _numbers(values: Any, name: str) -> np.ndarray:
    try:
        array = np.array(list(values), dtype=float)  # None becomes NaN
    except (TypeError, ValueError) as problem:
        raise ValueError(f"{name}: expected a one-dimensional sequence of numbers or None; {problem}") from problem
    if array.ndim != 1:
        raise ValueError(f"{name}: expected a one-dimensional sequence, got shape {array.shape}")
    if np.isinf(array).any():
        where = int(np.isinf(array).argmax())
        raise ValueError(
            f"{name}: row {where} is infinite; a missing measurement is None or NaN, every other value is finite"
        )
    return array
