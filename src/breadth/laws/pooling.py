"""Does one curve serve several seeds, runs or methods? An F-test, the error on a group left out, and a partial pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from breadth.laws.curves import Curve
from breadth.laws.fit import fit_law, noise_correlation
from breadth.laws.prediction import curve_of
from breadth.laws.projection import search
from breadth.laws.resampling import effective_size
from breadth.laws.rivals import best_fit, out_of_sample
from breadth.laws.verdict import LEAST_EFFECTIVE_POINTS, LEAST_P
from breadth.laws.yardstick import rounding_floor
from breadth.records import Estimate, LawFit

WORST_RATIO = 1.25  # a curve of the other groups may err by a quarter more than the group's own and still serve


@dataclass(frozen=True)
class Shrunk:
    """One parameter over groups, partially pooled."""

    mean: Estimate  # over groups, 95 % interval for a new group's expectation
    spread: (
        float | None
    )  # standard deviation between groups, beyond the groups' own errors; on the log scale where logged
    logged: bool
    by_group: Mapping[str, Estimate]  # shrunk towards the mean by the share of the spread that is error
    raw: Mapping[str, Estimate]  # each group alone


@dataclass(frozen=True)
class Pooled:
    """What one curve for all groups costs against one for each."""

    groups: tuple[str, ...]
    together: LawFit
    apart: Mapping[str, LawFit]
    p: float | None  # F-test of one curve against one for each group
    error_apart: float | None  # root mean square on left-out blocks of a group's own curve, in y
    error_left_out: float | None  # the same of a curve fitted to the other groups, in y
    params: Mapping[str, Shrunk]
    verdict: str  # "holds" (one curve serves) | "does not hold" | "cannot tell"
    reason: str


def pool_fits(
    quality: Sequence[float | None],
    diversity: Sequence[float | None],
    group: Sequence[object],
    *,
    run: Sequence[object] | None = None,
    step: Sequence[float] | None = None,
    form: str = "exponential",
    n_boot: int = 1000,
    seed: int = 0,
    x_name: str = "D",
    y_name: str = "R",
    interval: str | None = None,
) -> Pooled:
    """Return whether one curve serves all groups.

    F = [(SSE_one − ΣSSE_g)/(p·(G − 1))] / [ΣSSE_g/(n_eff − p·G)] on (p·(G − 1), n_eff − p·G) degrees of freedom, n_eff summed over
    groups, each with the autocorrelation of all residuals together. Beside it: the error of a curve fitted to the other groups on
    the group left out, against the error of the group's own curve on left-out blocks, both inside the range of x that was
    fitted. *holds*: p > 0.01, or the curve of the others errs by no more than a quarter more. *does not hold*: else. *cannot
    tell*: fewer than two groups with a fit, n_eff − p·G < 1, or p > 0.01 with fewer than 8 degrees of freedom left: then too
    little is known to see a difference.

    Parameters
    ----------
    quality, diversity : (n,) sequences of float or None
    group : (n,) labels
        Seeds, runs or methods.
    run : (n,) labels, optional
        Which run a row belongs to, where a group holds several; None = groups are runs.
    step, form, n_boot, seed, x_name, y_name
        As :func:`breadth.fit_law`.
    interval : str, optional
        Of the curve for all groups, as :func:`breadth.fit_law`. Each group's own fit, which the partial pool weighs by its error, has the
        default kind always.

    Returns
    -------
    Pooled
        ``params`` are pooled partially, each on its own (log scale where positive): variance between groups by Paule and Mandel,
        mean with the interval of Hartung and Knapp, each group moved towards the mean by v/(v + τ²) of the way, v its variance.
        They are numbers to compare; a, b and c shrunk one by one are not a curve.

    Raises
    ------
    ValueError
        For lengths that differ.

    Source: the F-test of nested regressions; Paule and Mandel (1982); Hartung and Knapp (2001). Departures: n_eff in place of
    n.

    Examples
    --------
    >>> from breadth.laws.curves import exponential
    >>> D, noise = np.tile(np.linspace(0.9, 0.2, 26), 3), np.random.default_rng(0).standard_normal(78)
    >>> seeds = np.repeat(["0", "1", "2"], 26)
    >>> R = exponential(D, 0.0109, 1.023, 5.024) + 0.01 * noise
    >>> pool_fits(R, D, seeds, n_boot=100).verdict, pool_fits(R - 0.2 * (seeds == "2"), D, seeds, n_boot=100).verdict
    ('holds', 'does not hold')
    """
    labels = np.array([str(g) for g in group])
    if not len(quality) == len(diversity) == labels.size:
        raise ValueError(
            f"quality, diversity, group: expected equal lengths, got {len(quality)}, {len(diversity)} and {labels.size}"
        )
    names = tuple(dict.fromkeys(labels.tolist()))
    runs = labels if run is None else np.array([f"{g}\x1f{r}" for g, r in zip(labels, run, strict=True)])
    about: dict[str, Any] = {"form": form, "n_boot": n_boot, "seed": seed, "x_name": x_name, "y_name": y_name}

    def rows(which: np.ndarray) -> dict[str, Any]:
        index = np.flatnonzero(which).tolist()
        found = {"run": runs[index].tolist(), "step": None if step is None else [step[i] for i in index]}
        return {"quality": [quality[i] for i in index], "diversity": [diversity[i] for i in index], **found}

    together = fit_law(**rows(labels == labels), **about, interval=interval)
    apart = {name: fit_law(**rows(labels == name), **about) for name in names}
    fitted = [name for name in names if apart[name].r2 is not None]
    if len(fitted) < 2 or together.r2 is None:
        why = "; ".join(f"{name}: {apart[name].reason}" for name in names if name not in fitted)
        reason = f"only {len(fitted)} of {len(names)} groups can be fitted{f' ({why})' if why else ''}; two are needed"
        return Pooled(names, together, apart, None, None, None, {}, "cannot tell", reason)
    curve = curve_of(together)
    data = {name: (np.array(apart[name].x), np.array(apart[name].y)) for name in fitted}
    x, y = (np.concatenate([data[name][i] for name in fitted]) for i in (0, 1))
    which = np.repeat(np.arange(len(fitted)), [data[name][0].size for name in fitted])
    parts = [best_fit(curve, *data[name]) for name in fitted]
    residual = np.concatenate(
        [
            data[name][1] - part.beta[0] * curve.shape(data[name][0], part.theta[0], part.anchor) - part.alpha[0]
            for name, part in zip(fitted, parts, strict=True)
        ]
    )
    n_params = curve.n_params * len(fitted)
    rho = noise_correlation(residual, y, which, n_params)
    left = effective_size(x.size, rho) - n_params
    one, each = (float(v) + rounding_floor(y) for v in (best_fit(curve, x, y).sse[0], (residual**2).sum()))
    between = curve.n_params * (len(fitted) - 1)
    p = float(f_distribution.sf(max(one - each, 0.0) / between / (each / left), between, left)) if left >= 1 else None
    own, others = _errors(curve, x, y, which)
    shrunk = {
        name: _partial_pool({g: apart[g].params[name] for g in fitted}, _positive(curve, name), len(fitted))
        for name in curve.params
    }
    verdict, reason = _judge(p, own, others, len(fitted), left, y_name)
    return Pooled(names, together, apart, p, own, others, shrunk, verdict, reason)


def _errors(curve: Curve, x: np.ndarray, y: np.ndarray, which: np.ndarray) -> tuple[float | None, float | None]:
    own, others = [], []
    for g in np.unique(which):
        mine = which == g
        error = out_of_sample(curve, x[mine], y[mine], np.zeros(int(mine.sum()), dtype=int)).get(curve.name)
        if error is not None:
            own += [error**2] * int(mine.sum())
        rest = x[~mine]
        found = search(curve, rest, y[~mine], np.ones((1, rest.size)))
        here = mine & (x >= rest.min()) & (x <= rest.max())
        predicted = found.beta[0] * curve.shape(x[here], found.theta[0], found.anchor) + found.alpha[0]
        others += ((y[here] - predicted) ** 2).tolist()
    return tuple(float(np.sqrt(np.mean(v))) if v else None for v in (own, others))  # type: ignore[return-value]


def _judge(
    p: float | None, own: float | None, others: float | None, n: int, left: float, y_name: str
) -> tuple[str, str]:
    errors = (
        ""
        if own is None or others is None
        else (f"a group left out is predicted to {others:.2g} of {y_name} by the others, to {own:.2g} by its own curve")
    )
    if p is None:
        return (
            "cannot tell",
            f"only {left:.2g} degrees of freedom are left after autocorrelation for {n} curves; {errors}",
        )
    test = f"F-test of one curve against {n}: p = {p:.2g}"
    if p > LEAST_P and left < LEAST_EFFECTIVE_POINTS:
        return (
            "cannot tell",
            f"{test}, on {left:.2g} degrees of freedom after autocorrelation; {LEAST_EFFECTIVE_POINTS} needed; {errors}",
        )
    if p > LEAST_P:
        return "holds", f"{test}; {errors}"
    if own is not None and others is not None and others <= WORST_RATIO * own:
        return "holds", f"{test}, but the difference is small: {errors}"
    return "does not hold", f"{test}; {errors}"


def _positive(curve: Curve, name: str) -> bool:
    return curve.sign != 0 and not (curve.intercept and name == curve.params[1])  # all but the offset b


def _partial_pool(raw: Mapping[str, Estimate], logged: bool, n_groups: int) -> Shrunk:
    """Random effects: τ² by Paule and Mandel, mean with Hartung and Knapp's interval, groups shrunk by v/(v + τ²)."""
    usable = {
        g: e for g, e in raw.items() if None not in (e.value, e.low, e.high) and not (logged and (e.low or 0) <= 0)
    }
    if len(usable) < 2:
        return Shrunk(Estimate(None), None, logged, {}, raw)
    to: Any = np.log if logged else np.asarray
    value = np.array([to(e.value) for e in usable.values()], dtype=float)
    z95 = 1.959964  # the normal quantile: an interval's width over 2·1.96 is its standard error
    variance = np.array([(to(e.high) - to(e.low)) / (2 * z95) for e in usable.values()], dtype=float) ** 2
    variance = np.maximum(variance, 1e-24)
    k = value.size

    def excess(tau2: float) -> float:
        weight = 1 / (variance + tau2)
        mean = (weight * value).sum() / weight.sum()
        return float((weight * (value - mean) ** 2).sum()) - (k - 1)

    tau2 = 0.0
    if excess(0.0) > 0:
        tau2 = float(brentq(excess, 0.0, 10 * float(np.ptp(value)) ** 2 + 1e-12))
    weight = 1 / (variance + tau2)
    mean = float((weight * value).sum() / weight.sum())
    # never below the error of the weights themselves: with few, near-equal groups the sample spread is close to 0 by luck
    error = np.sqrt(max(1.0, float((weight * (value - mean) ** 2).sum()) / (k - 1)) / weight.sum())
    half = float(t_distribution.ppf(0.975, k - 1)) * error
    back = np.exp if logged else np.asarray

    def estimate(middle: float, reach: float) -> Estimate:
        return Estimate(*(float(back(middle + sign * reach)) for sign in (0, -1, 1)))

    by_group = {}
    for g, v, s2 in zip(usable, value, variance, strict=True):
        share = tau2 / (tau2 + s2)
        # the mean's own error enters as far as the group leans on it
        reach = z95 * np.sqrt(share * s2 + (1 - share) ** 2 * error**2)
        by_group[g] = estimate(share * v + (1 - share) * mean, float(reach))
    return Shrunk(estimate(mean, half), float(np.sqrt(tau2)), logged, by_group, raw)
