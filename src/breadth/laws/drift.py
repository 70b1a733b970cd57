"""Diversity through the entropy: entropy moves first, and diversity follows it along a saturating curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RATES = np.geomspace(0.5, 60.0, 60)  # k, per nat
_RATE, _RATE_SPREAD = 4.0, 0.6  # prior of k: median, standard deviation of its logarithm
_NOISE = 0.01  # of D about that curve, for the weight of k
_LEAST_ENTROPY = 1e-4  # nats; below it a policy is deterministic for every measure
_LEAST_ERROR = 0.004  # of D
MANY = 8  # checkpoints seen: from here on widths are learnt apart, as a law has a verdict only from here on
_RISE = 0.3  # of log H: entropy that recovers by more than a third has not been seen to go on


@dataclass(frozen=True)
class DriftSettings:
    """Numbers of the model. The defaults were learnt on finished runs; docs/forecasts.md tells which, and scores them on others."""

    window: float = 0.12  # of the steps seen: how far back the slope of log H looks
    decay: float = 4.0  # times the steps seen: how long a slope lasts
    least: float = 0.4  # of log H: a change that small is halved, smaller ones more
    wander: float = 0.1  # of log H: spread after as many steps as were seen
    share: float = 0.5  # of the change: spread of how far it goes
    freedom: float = 3.0  # of Student's t
    widen: tuple[tuple[float, float], ...] = (
        (0.1, 3.97),
        (0.2, 2.12),
        (0.3, 1.88),
        (0.5, 1.5),
    )  # by the share of training seen
    widen_many: tuple[tuple[float, float], ...] = (
        (0.1, 3.97),
        (0.2, 2.12),
        (0.3, 1.88),
        (0.5, 1.94),
    )  # the same where MANY checkpoints or more were seen


LEARNT = DriftSettings()


@dataclass(frozen=True)
class Drift:
    """The model of one prefix; see :func:`fit_drift`."""

    settings: DriftSettings
    start: float  # step that is counted from
    last: float  # last step seen
    log_entropy: float  # at the last step
    slope: float  # of log H per step, there
    diversity: float  # at the last step
    weight: np.ndarray  # (K,) posterior of k
    ceiling: np.ndarray  # (K,) D where entropy is plenty, given k
    error: float  # standard error of one measurement of D
    bounds: tuple[float, float]
    n: int  # checkpoints seen

    def change(self, steps: np.ndarray) -> np.ndarray:
        """Return the expected change of log H from the last step seen to later ones: the slope, damped, small changes shrunk."""
        lasts = self.settings.decay * (self.last - self.start)
        raw = self.slope * lasts * -np.expm1(-(steps - self.last) / lasts)
        return np.minimum(raw * np.abs(raw) / (np.abs(raw) + self.settings.least), _RISE)

    def spread(self, steps: np.ndarray, share: float | None) -> np.ndarray:
        """Return the scale of log H at later steps; ``share`` of training seen, None = not known."""
        s = self.settings
        since = (steps - self.last) / (self.last - self.start)
        seen, factor = zip(*(s.widen_many if self.n >= MANY else s.widen), strict=True)
        wide = float(np.median(factor)) if share is None else float(np.interp(share, seen, factor))
        return wide * (s.wander * np.sqrt(since) + s.share * np.abs(self.change(steps)))

    def at(self, log_entropy: np.ndarray) -> np.ndarray:
        """Return D at log H: where D stands now, moved by the curve."""
        middle = self._curve(np.atleast_1d(self.log_entropy))[0]
        return np.clip(self.diversity + self._curve(log_entropy) - middle, *self.bounds)

    def draw(
        self, steps: np.ndarray, n_draws: int, generator: np.random.Generator, share: float | None = None
    ) -> np.ndarray:
        """Return (n_draws, m) measurements of D at m later steps: one deviation a path, independent measurement errors."""
        wide = self.spread(steps, share)
        shock = generator.standard_t(self.settings.freedom, (n_draws, 1))
        middle = self.log_entropy + self.change(steps)
        paths = self.at(np.clip(middle + shock * wide, np.log(_LEAST_ENTROPY), self.log_entropy + 1.0))
        return np.clip(paths + self.error * generator.standard_normal(paths.shape), *self.bounds)

    def _curve(self, log_entropy: np.ndarray) -> np.ndarray:
        # a table over log H: the mean over k costs as much as a path has points, whatever the number of draws
        table = np.linspace(np.log(_LEAST_ENTROPY), max(3.0, self.log_entropy + 1.0), 400)
        values = (self.weight * self.ceiling) @ -np.expm1(-_RATES[:, None] * np.exp(table))
        return np.interp(log_entropy, table, values)


def fit_drift(
    step: np.ndarray,
    diversity: np.ndarray,
    entropy: np.ndarray,
    error: float | None = None,
    settings: DriftSettings = LEARNT,
) -> Drift | None:
    """Return the model of a prefix: D = D∞·(1 − exp(−k·H)), and log H goes on with its slope, damped.

    log H(t) = log H(tₙ) + Δ·|Δ|/(|Δ| + least), Δ = slope·T·(1 − exp(−(t − tₙ)/T)), T = decay · steps seen; the slope is a
    weighted least-squares line with weights exp(−(tₙ − t)/(window · steps seen)). Around it Student's t, whose scale grows with the
    root of time and with |Δ|, and is widened so that 80 % intervals held 80 % of other finished runs. k has a log-normal prior;
    D∞ is fitted given k. D starts from its last measurement and is moved by the curve, so that a policy whose entropy stays
    keeps its D.

    Parameters
    ----------
    step : (n,) ascending training steps, at least three
    diversity : (n,) finite
    entropy : (n,) finite, nats per token
    error : float, optional
        Standard error of one measurement of D; None = 0.004, which is also the least: D wanders more than it is measured wrong.
    settings : DriftSettings

    Returns
    -------
    Drift or None
        None where entropy is negative anywhere (a density's, say): its logarithm then says nothing.

    Raises
    ------
    ValueError
        For fewer than three points or steps that do not ascend.

    Source: this project's, from its finished runs; damped trends after Gardner and McKenzie (1985); the widening is split conformal
    prediction, Vovk et al. (2005). Departures: the widening is by the share of training seen,
    and by whether few or many checkpoints were.

    Examples
    --------
    >>> t = np.arange(0.0, 80.0, 10.0)
    >>> H = 2.0 * np.exp(-t / 40)
    >>> drift = fit_drift(t, 0.98 * (1 - np.exp(-3 * H)), H)
    >>> draws = drift.draw(np.array([250.0]), 2000, np.random.default_rng(0), share=0.3)
    >>> bool(np.median(draws) < 0.25), fit_drift(t, 0.98 - 0 * H, 2 - 0 * H).at(np.log([2.0])).round(2).tolist()
    (True, [0.98])
    """
    if step.size < 3 or (np.diff(step) <= 0).any():
        raise ValueError(f"step: expected at least 3 ascending steps, got {step.tolist()}")
    if entropy.min() < 0:
        return None
    h = np.maximum(entropy, _LEAST_ENTROPY)
    seen = float(step[-1] - step[0])
    weight = np.exp(-(step[-1] - step) / (settings.window * seen))
    centre = step - (weight @ step) / weight.sum()
    slope = float((weight * centre) @ np.log(h) / ((weight * centre) @ centre))
    shape = -np.expm1(-_RATES[:, None] * h)  # (K, n)
    ceiling = (shape @ diversity) / (shape**2).sum(1)
    sse = ((diversity - ceiling[:, None] * shape) ** 2).sum(1)
    log_weight = -sse / (2 * _NOISE**2) - (np.log(_RATES / _RATE) / _RATE_SPREAD) ** 2 / 2
    posterior = np.exp(log_weight - log_weight.max())
    bounded = bool(diversity.min() >= 0 and diversity.max() <= 1)
    return Drift(
        settings=settings,
        start=float(step[0]),
        last=float(step[-1]),
        log_entropy=float(np.log(h[-1])),
        slope=slope,
        diversity=float(diversity[-1]),
        weight=posterior / posterior.sum(),
        ceiling=ceiling,
        error=max(_LEAST_ERROR, error or 0.0),
        bounds=(0.0, 1.0) if bounded else (0.0 if diversity.min() >= 0 else -np.inf, np.inf),
        n=int(step.size),
    )
