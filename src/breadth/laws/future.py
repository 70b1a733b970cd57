"""What may come after a prefix, as draws of whole paths of R and D; and which model they rest on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from breadth.laws.drift import LEARNT, Drift, DriftSettings, fit_drift
from breadth.laws.fit import fit_law
from breadth.laws.prediction import curve_of
from breadth.laws.prefix import Prefix
from breadth.laws.trend import fit_trend
from breadth.laws.verdict import LEAST_EFFECTIVE_POINTS
from breadth.records import LawFit

_MOST_STEPS = 200  # future checkpoints that are drawn
_HORIZON = 10.0  # times the steps seen so far, where the end of training is not known

Widening = tuple[tuple[float, float], ...]  # (share of training seen, factor)
# how much wider than the monotone model's the intervals of R are: learnt as the drift's are
WIDEN_QUALITY: Widening = ((0.1, 1.0), (0.2, 1.12), (0.3, 1.24), (0.5, 1.09))


@dataclass(frozen=True)
class Future:
    """Draws of one prefix."""

    model: str  # "law" | "entropy" | "monotone"
    reason: str
    fit: LawFit | None  # of R over D at the prefix; None with too few checkpoints for a verdict
    quality: np.ndarray  # (n_draws, m)
    diversity: np.ndarray  # (n_draws, m)
    bounds: tuple[float, float]  # of D


def draw_future(
    prefix: Prefix,
    last: float,
    end: float | None,
    *,
    n_draws: int,
    seed: int,
    settings: DriftSettings = LEARNT,
    widen_quality: Widening = WIDEN_QUALITY,
) -> Future:
    """Return paths of R and D at the checkpoints to come, up to ``end`` (None: ten times the steps seen).

    Parameters
    ----------
    prefix : Prefix
        With at least three checkpoints.
    last, end : float
        The last step seen, and the end of training.
    n_draws, seed : int
    settings, widen_quality
        As :func:`breadth.forecast`.

    Source, Departures: as :func:`breadth.forecast`.
    """
    generator = np.random.default_rng(seed)
    steps = _ahead(prefix.step, end)
    share = None if not end else float(np.clip((last - prefix.step[0]) / (end - prefix.step[0]), 0, 1))
    d, bounds, drifts = _diversity(prefix, steps, n_draws, generator, share, settings)
    n, fit = prefix.step.size, None
    if n >= LEAST_EFFECTIVE_POINTS:
        lists = (prefix.quality.tolist(), prefix.diversity.tolist())
        # paths are drawn from the bootstrap's draws, and the widths were learnt with the bootstrap's verdict: not the default's
        fit = fit_law(*lists, step=prefix.step.tolist(), n_boot=min(n_draws, 1000), seed=seed, interval="bootstrap")
        if fit.verdict == "holds":
            r = _quality_by_law(fit, d, generator)
            return Future("law", f"the law holds at this prefix ({fit.reason})", fit, r, d, bounds)
        reason = f"the law at this prefix: {fit.verdict} ({fit.reason})"
    else:
        reason = f"the law at this prefix: cannot tell ({n} checkpoints; {LEAST_EFFECTIVE_POINTS} needed)"
    trend = fit_trend(prefix.step, prefix.quality, 1, prefix.errors[0])
    r = _widened(trend.draw(steps, n_draws, generator), share, widen_quality, trend.bounds)
    return Future("entropy" if drifts else "monotone", reason, fit, r, d, bounds)


def law_at(
    fit: LawFit, quality: float, bounds: tuple[float, float], n: int, generator: np.random.Generator
) -> np.ndarray:
    """Return draws (n,) of the D that the law leaves at a quality, as a measurement: bootstrap and the scatter about the law."""
    curve, anchor = curve_of(fit), max(fit.x)
    beta, alpha, theta = _law_draws(fit, n, generator)
    target = quality - float(fit.rmse or 0.0) * generator.standard_normal((n, 1))
    phi = np.divide(target - alpha, beta, out=np.full_like(beta, np.nan), where=beta != 0)
    x = curve.shape_inverse(phi, theta, anchor)[:, 0]
    # a draw whose ceiling lies below the target leaves the least D that there can be
    least = bounds[0] if np.isfinite(bounds[0]) else min(fit.x)
    return np.clip(np.where(np.isfinite(x), x, least), *bounds)


def _diversity(
    prefix: Prefix,
    steps: np.ndarray,
    n_draws: int,
    generator: np.random.Generator,
    share: float | None,
    settings: DriftSettings,
) -> tuple[np.ndarray, tuple[float, float], bool]:
    """D (n, m) at later steps, its bounds, and whether it is drawn through the entropy."""
    error = prefix.errors[1]
    drift: Drift | None = None
    if prefix.entropy is not None:
        drift = fit_drift(prefix.step, prefix.diversity, prefix.entropy, error, settings)
    if drift is not None:
        return drift.draw(steps, n_draws, generator, share), drift.bounds, True
    trend = fit_trend(prefix.step, prefix.diversity, -1, error)
    return trend.draw(steps, n_draws, generator), trend.bounds, False


def _widened(draws: np.ndarray, share: float | None, widen: Widening, bounds: tuple[float, float]) -> np.ndarray:
    """Draws moved away from their median by the factor learnt for that share of training; as they are where it is not known."""
    if share is None:
        return draws
    shares, factors = zip(*widen, strict=True)
    factor = float(np.interp(share, shares, factors))
    middle = np.median(draws, axis=0)
    return np.clip(middle + factor * (draws - middle), *bounds)


def _ahead(step: np.ndarray, end: float | None) -> np.ndarray:
    gap = float(np.median(np.diff(step)))
    stop = step[0] + _HORIZON * (step[-1] - step[0]) if end is None else end
    n = int(np.clip(round((stop - step[-1]) / gap), 1, _MOST_STEPS))
    return np.linspace(step[-1], stop, n + 1)[1:]


def _law_draws(fit: LawFit, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = fit.draws[generator.integers(len(fit.draws), size=n)]
    return rows[:, :1], rows[:, 1:2], rows[:, 2:]


def _quality_by_law(fit: LawFit, d: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """R (n, m) that the law gives at drawn D (n, m), one bootstrap draw a row, with the scatter about the law."""
    beta, alpha, theta = _law_draws(fit, len(d), generator)
    curve = beta * curve_of(fit).shape(d, theta, max(fit.x)) + alpha
    return curve + float(fit.rmse or 0.0) * generator.standard_normal(d.shape)
