"""95 % intervals of a law's parameters, three ways: profile of the sum of squares, block bootstrap percentiles, BCa."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm
from scipy.stats import t as t_distribution

from breadth.laws.curves import Curve
from breadth.laws.prediction import interval_levels, percentiles
from breadth.laws.profile import confidence_region, profile_params
from breadth.laws.projection import Projection, search
from breadth.laws.resampling import Checkpoints, block_length
from breadth.records import Estimate

METHODS = ("profile", "bootstrap", "bca")
LEVEL = 0.95
_UNIT = np.array([0.0, 1.0])  # any x: how many nonlinear parameters a curve has does not depend on it


def interval_kind(curve: Curve, asked: str | None = None) -> str:
    """Return how the intervals of a curve are made: as asked, else "profile", else "bootstrap" where there is no profile.

    Profiles meet the goals of coverage in every cell of ``benchmarks/law_coverage.py``, bootstrap percentiles and BCa do not. They
    need a curve with at most one nonlinear parameter: the falling logistic has two.

    Raises
    ------
    ValueError
        For an unknown kind.

    Source, Departures: as :func:`parameter_intervals`.

    Examples
    --------
    >>> from breadth.laws.curves import CURVES
    >>> interval_kind(CURVES["exponential"]), interval_kind(CURVES["falling_logistic"]), interval_kind(CURVES["linear"], "bca")
    ('profile', 'bootstrap', 'bca')
    """
    if asked is None:
        return "profile" if len(curve.axes(_UNIT)) <= 1 else "bootstrap"
    if asked not in METHODS:
        raise ValueError(f"interval: expected one of {', '.join(METHODS)}; got {asked!r}")
    return asked


def parameter_intervals(
    curve: Curve,
    point: Projection,
    draws: Projection | None,
    rows: Checkpoints,
    *,
    n_effective: float,
    rho: float,
    method: str = "profile",
) -> dict[str, Estimate]:
    """Return each parameter with its 95 % interval.

    Parameters
    ----------
    curve, point : Curve, Projection
        The form and its point estimate (B = 1).
    draws : Projection, optional
        Of the block bootstrap; None = no interval, except for profiles, which need none.
    rows : Checkpoints
    n_effective, rho : float
        Points after autocorrelation, and the autocorrelation.
    method : str
        "profile": see ``profile``; deterministic. "bootstrap": percentiles expanded to Student's t. "bca": percentiles moved for
        bias (the share of draws below the estimate) and for a spread that changes with the parameter (a jackknife over blocks),
        expanded alike.

    Returns
    -------
    mapping from name to Estimate
        A side is None where the data do not limit the parameter; all None where the sign of the law is violated, since
        then every θ fits as well as a constant does.

    Raises
    ------
    ValueError
        For an unknown method, or profiles of a curve with two nonlinear parameters.

    Source: Efron (1987), BCa; Hesterberg (2015), arXiv 1411.5279, the expansion; Bates and Watts (1988), ch. 6, profiles.
    Departures: (1) the jackknife leaves out blocks, not points. (2) BCa levels are expanded like the plain ones.
    """
    interval_kind(curve, method)  # refuses what it does not know
    if point.beta[0] == 0:
        return dict.fromkeys(curve.params, Estimate(None))
    values = [float(v[0]) for v in curve.to_params(point.beta, point.alpha, point.theta, point.anchor)]
    known = {name: Estimate(_known_param(curve, name, v)) for name, v in zip(curve.params, values, strict=True)}
    if method == "profile":
        sides = profile_params(curve, confidence_region(curve, point, rows.x, rows.y, n_effective))
        return {name: Estimate(known[name].value, *sides[name]) for name in curve.params}
    if draws is None:
        return known
    samples = _samples(curve, draws)
    levels = interval_levels(n_effective, curve.n_params)
    leave_out = None
    if method == "bca":
        leave_out = _samples(curve, search(curve, rows.x, rows.y, _without_blocks(rows.run, rho)))
    for i, name in enumerate(curve.params):
        estimate = known[name]
        at = levels
        if leave_out is not None and estimate.value is not None:
            at = bca_levels(estimate.value, samples[i], leave_out[i], n_effective - curve.n_params)
        known[name] = Estimate(estimate.value, *percentiles(samples[i], at))
    return known


def bca_levels(value: float, sample: np.ndarray, leave_out: np.ndarray, freedom: float) -> tuple[float, float]:
    """Return the two percentiles of a BCa 95 % interval.

    Φ(z₀ + (z₀ ± t)/(1 − a·(z₀ ± t))), z₀ = Φ⁻¹(share of draws below the estimate), a = Σd³ / (6·(Σd²)^1.5) with d the
    jackknife mean minus each jackknife value, t Student's 97.5 % quantile on ``freedom`` degrees (at least one).

    Parameters
    ----------
    value : float
        The estimate.
    sample : (B,) draws
    leave_out : (J,) estimates without each block; those that are not finite are left out of a
    freedom : float

    Source: Efron (1987), eq. 4.9 with the expansion of Hesterberg (2015). Departures: none.

    Examples
    --------
    >>> normal = np.random.default_rng(0).standard_normal(100_000)
    >>> low, high = bca_levels(0.0, normal, np.array([-1.0, 0.0, 1.0]), 1e6)
    >>> round(low, 2), round(high, 2)
    (0.03, 0.98)
    """
    below = (np.sum(sample < value) + 0.5 * np.sum(sample == value)) / sample.size
    z0 = float(norm.ppf(np.clip(below, 1 / sample.size, 1 - 1 / sample.size)))
    kept = leave_out[np.isfinite(leave_out)]
    bend = 0.0
    if kept.size > 2:
        away = kept.mean() - kept
        spread = float((away**2).sum())
        bend = float((away**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    reach = float(t_distribution.ppf(0.975, max(1.0, freedom)))
    ends = []
    for z in (z0 - reach, z0 + reach):
        left = 1 - bend * z
        ends.append(float(norm.cdf(z0 + z / left)) if left > 0 else float(z > 0))
    return ends[0], ends[1]


def _samples(curve: Curve, draws: Projection) -> list[np.ndarray]:
    """Each parameter's draws, infinite where a draw ran to a bound: there the search ended, not the data's support."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        sampled = curve.to_params(draws.beta, draws.alpha, draws.theta, draws.anchor)
    found = []
    for name, values in zip(curve.params, sampled, strict=True):
        sample = np.array(np.broadcast_to(values, draws.beta.shape), dtype=float)
        if curve.steepness is not None:
            # as c falls to nothing a and b grow without limit, as c grows a vanishes
            sample[draws.at_low | np.isnan(sample)] = -np.inf if name == curve.steepness else np.inf
            if name == curve.steepness:
                sample[draws.at_high] = np.inf
            elif curve.intercept and name == curve.params[0]:
                sample[draws.at_high] = -np.inf
        found.append(sample)
    return found


def _without_blocks(run: np.ndarray, rho: float) -> np.ndarray:
    """(J, n) weights: every checkpoint but one block of neighbours, block after block."""
    rows = []
    for label in np.unique(run):
        where = np.flatnonzero(run == label)
        length = block_length(where.size, rho)
        for begin in range(0, where.size, length):
            weight = np.ones(run.size)
            weight[where[begin : begin + length]] = 0.0
            rows.append(weight)
    return np.array(rows)


def _known_param(curve: Curve, name: str, value: float) -> float | None:
    # exp(-c·x) may leave the range of floats for a steep c; then the formula's a has no number, though the curve does
    vanished = value == 0 and curve.intercept and curve.sign != 0 and name == curve.params[0]
    return None if vanished or not np.isfinite(value) else value
