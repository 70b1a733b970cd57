"""What may be said of a fit: "holds", "does not hold" or "cannot tell", with the numbers that decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from breadth.laws.curves import Curve
from breadth.records import Estimate

# The house's thresholds. They are conventions, stated in every reason that they decide.
LEAST_EFFECTIVE_POINTS = 8
LEAST_R2 = 0.9
LEAST_P = 0.01
LARGEST_RIVAL_GAIN = 6.0
LEAST_REVERSAL_SHARE = 0.1  # of the range of y: a bend below it is not worth a verdict, however significant


@dataclass(frozen=True)
class Evidence:
    """Everything that the verdict rests on."""

    curve: Curve
    x_name: str
    y_name: str
    n: int
    n_effective: float
    y_range: float
    least_y_range: float
    trend: tuple[float, float]  # rank correlation, p
    reversal: tuple[float, float, float, float] | None  # size in y, from x, to x, p
    params: Mapping[str, Estimate]
    interval: str  # how the parameters' intervals were made
    bound: tuple[str, str] | None  # ("upper", 400/range) where the steepness ran to a bound
    r2: float | None
    lack_of_fit_p: float | None
    free_sign: bool  # no sign of the slope is part of the law
    rivals: Mapping[str, float] = field(default_factory=dict)
    out_of_sample: Mapping[str, float] = field(default_factory=dict)


def judge(evidence: Evidence) -> tuple[str, str]:
    """Return (verdict, reason).

    *cannot tell*: fewer than 8 effective points, y hardly moves, y is not monotone in x, or the nonlinear parameter is
    undetermined (at its bound, no interval, or an interval wider than the parameter itself). *does not hold*: y moves
    the other way, R² < 0.9, lack of fit against the monotone spline (p ≤ 0.01), or a rival form better by ΔAICc > 6.
    Else *holds*. The rules are tried in this order; the reason names the numbers of the rule that decided.

    Source: the project's definition of a law's verdict. Departures: none.
    """
    doubt = _doubt_about_data(evidence)
    if not doubt:
        contradiction = _wrong_way(evidence)
        if contradiction:
            return "does not hold", contradiction
        doubt = _doubt_about_shape(evidence)
    doubts = [text for text in (doubt, _doubt_about_parameter(evidence)) if text]
    if doubts:
        return "cannot tell", "; ".join(doubts)
    faults = _faults(evidence)
    if faults:
        return "does not hold", "; ".join(faults)
    return "holds", _praise(evidence)


def _doubt_about_data(e: Evidence) -> str | None:
    if e.y_range < e.least_y_range:
        return f"{e.y_name} hardly moves: range {e.y_range:.2g}, at least {e.least_y_range:g} needed"
    if e.n_effective < LEAST_EFFECTIVE_POINTS:
        left = "" if round(e.n_effective, 1) >= e.n else f" of {e.n} checkpoints after autocorrelation"
        return f"only {e.n_effective:.3g} effective points{left}; {LEAST_EFFECTIVE_POINTS} needed"
    return None


def _wrong_way(e: Evidence) -> str | None:
    r, p = e.trend
    if e.free_sign or p >= LEAST_P or r * e.curve.direction >= 0:
        return None
    way, needed = ("rises", "fall") if r > 0 else ("falls", "rise")
    return (
        f"{e.y_name} {way} with {e.x_name}: rank correlation {r:+.2f} over {e.n} checkpoints; "
        f"{e.curve.describe(e.x_name, e.y_name)} needs it to {needed}"
    )


def _doubt_about_shape(e: Evidence) -> str | None:
    if e.reversal is not None:
        size, begin, end, p = e.reversal
        if p < LEAST_P and size > LEAST_REVERSAL_SHARE * e.y_range:
            return (
                f"{e.y_name} is not monotone in {e.x_name}: it turns back by {size:.2g} between "
                f"{e.x_name} = {begin:.3g} and {end:.3g} (p = {p:.1g})"
            )
    r, p = e.trend
    if p >= LEAST_P:
        trend = f"rank correlation {r:+.2f} over {e.n} checkpoints (p = {p:.2g})"
        move = {-1: "fall", 0: "move", 1: "rise"}[e.curve.direction]
        return f"{e.y_name} is not seen to {move} with {e.x_name}: {trend}"
    return None


def _doubt_about_parameter(e: Evidence) -> str | None:
    name = e.curve.steepness
    if name is None:
        return None
    estimate = e.params[name]
    if estimate.value is None:
        return f"{name} is not determined: no {e.curve.describe(e.x_name, e.y_name)} fits better than a constant"
    if e.bound is not None:
        side, formula = e.bound
        shape = "a step at the largest" if side == "upper" else "a straight line (or a logarithm) over the measured"
        misfit = e.lack_of_fit_p is not None and e.lack_of_fit_p <= LEAST_P
        also = f", and that does not fit either (p = {e.lack_of_fit_p:.1g})" if misfit else ""
        return f"{name} ran to its {side} bound {formula}: to the data the curve is {shape} {e.x_name}{also}"
    if estimate.low is None or estimate.high is None:
        sides = " and ".join(s for s, end in (("below", estimate.low), ("above", estimate.high)) if end is None)
        return f"{name} = {estimate.value:.3g} is not bounded {sides}: its 95 % {e.interval} interval runs to the end of the search"
    width = estimate.high - estimate.low
    if width > estimate.value:
        return (
            f"{name} = {estimate.value:.3g} is undetermined: its 95 % {e.interval} interval {estimate.low:.3g} to "
            f"{estimate.high:.3g} is wider than {name} itself"
        )
    return None


def _faults(e: Evidence) -> list[str]:
    faults = []
    if e.r2 is None or e.r2 < LEAST_R2:
        faults.append("R² unknown" if e.r2 is None else f"R² {e.r2:.3f} is below {LEAST_R2}")
    if e.lack_of_fit_p is not None and e.lack_of_fit_p <= LEAST_P:
        faults.append(f"lack of fit against a monotone spline (p = {e.lack_of_fit_p:.1g})")
    for form, gain in sorted(e.rivals.items(), key=lambda item: item[1]):
        if gain < -LARGEST_RIVAL_GAIN:
            faults.append(f"the {form.replace('_', ' ')} form is better (ΔAICc {-gain:.1f})")
    return faults


def _praise(e: Evidence) -> str:
    parts = [f"R² {e.r2:.3f}"]
    name = e.curve.steepness
    if name is not None:
        c = e.params[name]
        parts.append(f"{name} = {c.value:.3g} ({c.low:.3g} to {c.high:.3g})")
    if e.lack_of_fit_p is None:
        parts.append("too few points for the test against a monotone spline")
    else:
        parts.append(f"no lack of fit against a monotone spline (p = {e.lack_of_fit_p:.2g})")
    if e.rivals:
        best = min(e.rivals, key=e.rivals.__getitem__)
        nearest = f"best: {best.replace('_', ' ')}, {e.rivals[best]:+.1f}"
        parts.append(f"no rival form better by ΔAICc > {LARGEST_RIVAL_GAIN:g} ({nearest})")
    own = e.out_of_sample.get(e.curve.name)
    others = {form: error for form, error in e.out_of_sample.items() if form != e.curve.name}
    if own is not None and others:
        best = min(others, key=others.__getitem__)
        parts.append(f"error on left-out blocks {own:.2g} ({best.replace('_', ' ')}: {others[best]:.2g})")
    return "; ".join(parts)
