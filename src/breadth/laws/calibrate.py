"""Learn a forecast's numbers from finished runs: how slopes of entropy last, and how wide intervals must be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as t_distribution

from breadth.laws.drift import LEARNT, MANY, Drift, DriftSettings, fit_drift
from breadth.laws.future import Widening
from breadth.laws.prefix import Prefix, read_prefix
from breadth.laws.trend import fit_trend

WINDOWS, DECAYS, LEASTS = (0.12, 0.2), (2.0, 4.0), (0.2, 0.4, 0.8)  # what is tried
SHARES = (0.1, 0.2, 0.3, 0.5)
_LEVEL = 0.8
_ENOUGH = 20  # cases of a kind: below it a kind has no width of its own
_MOST = 12.0  # a truth that no widening reaches counts as this one
_LEAST_RANGE = 0.002  # of R: half an interval is never taken as narrower

_AS_IS = ((0.0, 1.0), (1.0, 1.0))

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


@dataclass(frozen=True)
class Lessons:
    """What each of N cases teaches, whatever other cases it is learnt with; S settings of the small grid."""

    share: np.ndarray  # (N,) of training seen
    seen: np.ndarray  # (N,) checkpoints seen
    still: np.ndarray  # (N,) error of D where it stays as it was seen last
    settings: tuple[DriftSettings, ...]  # S
    error: np.ndarray  # (S, N) of D at the end
    factor: np.ndarray  # (S, N) widening that the 80 % interval of D needs
    quality: np.ndarray  # (N,) widening that the 80 % interval of R needs

    def __getitem__(self, which: np.ndarray) -> Lessons:
        """Return the lessons of some cases; ``which`` (N,) bool."""
        parts = (self.share[which], self.seen[which], self.still[which], self.settings, self.error[:, which])
        return Lessons(*parts, self.factor[:, which], self.quality[which])


def read_lessons(cases: Sequence[Seen], *, n_draws: int = 500) -> Lessons:
    """Return what each case teaches, so that many choices of cases can be learnt from at the price of one.

    Source, Departures: as :func:`learn_drift`.
    """
    tried = tuple(
        replace(LEARNT, window=window, decay=decay, least=small)
        for window, decay, small in itertools.product(WINDOWS, DECAYS, LEASTS)
    )
    truth = np.array([whole.diversity[-1] for _, _, whole in cases])
    drifts = [[_drift(seen, settings) for _, seen, _ in cases] for settings in tried]
    wholes = [whole for _, _, whole in cases]
    return Lessons(
        share=np.array([s for s, _, _ in cases]),
        seen=np.array([seen.step.size for _, seen, _ in cases]),
        still=np.abs(np.array([seen.diversity[-1] for _, seen, _ in cases]) - truth),
        settings=tried,
        error=np.abs([[_median(d, w) for d, w in zip(line, wholes, strict=True)] for line in drifts] - truth),
        factor=np.array([[_factor(d, w) for d, w in zip(line, wholes, strict=True)] for line in drifts]),
        quality=_quality_factors(cases, n_draws),
    )


def learn_drift(cases: Sequence[Seen] | Lessons) -> DriftSettings:
    """Return the settings with the least errors of D at the end, and intervals widened to hold 80 % of the ends.

    Window, decay and least: over a small grid, the least mean over shares of training of (mean error / mean error of
    persistence + the same for medians). Widening, for each share: the 80 % quantile of the factor that each run needs. Runs that had
    shown eight checkpoints or more by then have one of their own where there are at least 20 of them and 20 others: their ends are
    missed more often at a common width. It is never narrower than the common one.

    Source: split conformal prediction, Vovk et al. (2005), with the scale of ``drift`` as score. Departures: factors and the
    grid's choice come from the same runs; scores belong on others.
    """
    known = cases if isinstance(cases, Lessons) else read_lessons(cases)
    best, least = 0, np.inf
    for i, error in enumerate(known.error):
        ratios = [
            middle(error[known.share == s]) / max(middle(known.still[known.share == s]), 1e-9)
            for s in np.unique(known.share)
            for middle in (np.mean, np.median)
        ]
        if np.mean(ratios) < least:
            best, least = i, float(np.mean(ratios))
    factor = known.factor[best]
    widen = _by_share(known.share, factor)
    return replace(known.settings[best], widen=widen, widen_many=_for_many(widen, known.share, known.seen, factor))


def learn_quality(cases: Sequence[Seen] | Lessons, *, n_draws: int = 500) -> Widening:
    """Return how much wider than the monotone model's the intervals of R must be to hold 80 % of the ends, by share seen.

    Source, Departures: as :func:`learn_drift`.
    """
    if isinstance(cases, Lessons):
        share, needed = cases.share, cases.quality
    else:
        share, needed = np.array([s for s, _, _ in cases]), _quality_factors(cases, n_draws)
    # never narrower: a few runs are no reason to doubt the model's own width
    return tuple((s, max(1.0, f)) for s, f in _by_share(share, needed))


def _quality_factors(cases: Sequence[Seen], n_draws: int) -> np.ndarray:
    needed = []
    for _, seen, whole in cases:
        trend = fit_trend(seen.step, seen.quality, 1, seen.errors[0])
        draws = trend.draw(whole.step[-1:], n_draws, np.random.default_rng(0))[:, 0]
        low, middle, high = np.quantile(draws, (0.1, 0.5, 0.9))
        away = whole.quality[-1] - middle
        needed.append(abs(away) / max(high - middle if away > 0 else middle - low, _LEAST_RANGE))
    return np.array(needed)


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
    plain = replace(drift, settings=replace(drift.settings, widen=_AS_IS, widen_many=_AS_IS))
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


def _for_many(widen: Widening, share: np.ndarray, seen: np.ndarray, needed: np.ndarray) -> Widening:
    """The widening of prefixes of many checkpoints: their own where both kinds are known well enough, else the common one."""
    found = []
    for s, common in widen:
        many = (share == s) & (seen >= MANY)
        few = (share == s) & (seen < MANY)
        apart = min(many.sum(), few.sum()) >= _ENOUGH
        found.append((s, max(common, _by_share(share[many], needed[many])[0][1]) if apart else common))
    return tuple(found)
