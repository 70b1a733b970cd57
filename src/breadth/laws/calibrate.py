"""Learn a forecast's numbers from finished runs: how slopes of entropy last, and how wide intervals must be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import t as t_distribution

from breadth.laws.drift import LEARNT, Drift, DriftSettings, fit_drift
from breadth.laws.future import Widening
from breadth.laws.prefix import Prefix, read_prefix
from breadth.laws.trend import fit_trend

WINDOWS, DECAYS, LEASTS = (0.12, 0.2), (2.0, 4.0), (0.2, 0.4, 0.8)  # what is tried
SHARES = (0.1, 0.2, 0.3, 0.5)
_LEVEL = 0.8
_MOST = 12.0  # a truth that no widening reaches counts as this one
_LEAST_RANGE = 0.002  # of R: half an interval is never taken as narrower

Seen = tuple[float, Prefix, Prefix]  # share of training seen, the prefix, the whole run


def read_finished(runs: Iterable[Any], shares: Sequence[float] = SHARES, *, metric: str = "diversity") -> list[Seen]:
    """Return the prefixes that forecasts would see, with at least three checkpoints and entropies, beside the whole runs."""
    found = []
    for run in runs:
        whole, last = read_prefix(run, None, metric, "quality", "policy_entropy")
        for share in shares:
            seen, _ = read_prefix(run, share * last, metric, "quality", "policy_entropy")
            if seen.step.size >= 3 and whole.step.size > seen.step.size and seen.entropy is not None:
                found.append((share, seen, whole))
    return found


def learn_drift(cases: Sequence[Seen]) -> DriftSettings:
    """Return the settings with the least errors of D at the end, and intervals widened to hold 80 % of the ends.

    Window, decay and least: over a small grid, the least mean over shares of training of (mean error / mean error of
    persistence + the same for medians). Widening, for each share: the 80 % quantile of the factor that each run needs.

    Source: split conformal prediction, Vovk et al. (2005), with the scale of ``drift`` as score. Departures: factors and the
    grid's choice come from the same runs; scores belong on others.
    """
    share = np.array([s for s, _, _ in cases])
    truth = np.array([whole.diversity[-1] for _, _, whole in cases])
    still = np.abs(np.array([seen.diversity[-1] for _, seen, _ in cases]) - truth)
    best, least = LEARNT, np.inf
    for window, decay, small in itertools.product(WINDOWS, DECAYS, LEASTS):
        settings = replace(LEARNT, window=window, decay=decay, least=small)
        error = np.abs(np.array([_median(_drift(seen, settings), whole) for _, seen, whole in cases]) - truth)
        ratios = [
            middle(error[share == s]) / max(middle(still[share == s]), 1e-9)
            for s in np.unique(share)
            for middle in (np.mean, np.median)
        ]
        if np.mean(ratios) < least:
            best, least = settings, float(np.mean(ratios))
    needed = np.array([_factor(_drift(seen, best), whole) for _, seen, whole in cases])
    return replace(best, widen=_by_share(share, needed))


def learn_quality(cases: Sequence[Seen], *, n_draws: int = 500) -> Widening:
    """Return how much wider than the monotone model's the intervals of R must be to hold 80 % of the ends, by share seen.

    Source, Departures: as :func:`learn_drift`.
    """
    needed = []
    for _, seen, whole in cases:
        trend = fit_trend(seen.step, seen.quality, 1, seen.errors[0])
        draws = trend.draw(whole.step[-1:], n_draws, np.random.default_rng(0))[:, 0]
        low, middle, high = np.quantile(draws, (0.1, 0.5, 0.9))
        away = whole.quality[-1] - middle
        needed.append(abs(away) / max(high - middle if away > 0 else middle - low, _LEAST_RANGE))
    # never narrower: a few runs are no reason to doubt the model's own width
    return tuple((s, max(1.0, f)) for s, f in _by_share(np.array([s for s, _, _ in cases]), np.array(needed)))


def _drift(seen: Prefix, settings: DriftSettings) -> Drift | None:
    return fit_drift(seen.step, seen.diversity, seen.entropy, seen.errors[1], settings)  # type: ignore[arg-type]


def _median(drift: Drift | None, whole: Prefix) -> float:
    if drift is None:
        return float("nan")
    return float(drift.at(drift.log_entropy + drift.change(whole.step[-1:]))[0])


def _factor(drift: Drift | None, whole: Prefix) -> float:
    """The least factor at which the 80 % interval holds the truth, measurement error allowed for."""
    if drift is None:
        return _MOST
    plain = replace(drift, settings=replace(drift.settings, widen=((0.0, 1.0), (1.0, 1.0))))
    end = whole.step[-1:]
    middle, scale = float(drift.log_entropy + drift.change(end)[0]), float(plain.spread(end, None)[0])
    reach = scale * float(t_distribution.ppf((1 + _LEVEL) / 2, drift.settings.freedom))
    factors = np.concatenate([-np.linspace(0, _MOST, 600)[::-1], np.linspace(0, _MOST, 600)])
    at = np.clip(middle + factors * reach, np.log(1e-4), drift.log_entropy + 1.0)
    hit = np.abs(drift.at(at) - whole.diversity[-1]) <= 1.28 * drift.error  # the normal's 90 % quantile
    return float(np.abs(factors[hit]).min()) if hit.any() else _MOST


def _by_share(share: np.ndarray, needed: np.ndarray) -> Widening:
    found = []
    for s in np.unique(share):
        values = np.sort(needed[share == s])
        rank = min(values.size - 1, int(np.ceil(_LEVEL * (values.size + 1))) - 1)  # the conformal rank
        found.append((float(s), float(values[rank])))
    return tuple(found)
