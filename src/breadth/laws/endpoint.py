"""The endpoint claim: what quality a law gives at no diversity, and whether that is the R_max that somebody claims."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import f as f_distribution

from breadth.laws.curves import theory_curve
from breadth.laws.fit import fit_law
from breadth.laws.prediction import curve_of, predict_quality
from breadth.laws.rivals import best_fit
from breadth.laws.verdict import LEAST_P
from breadth.laws.yardstick import rounding_floor
from breadth.records import Estimate, LawFit

FARTHEST = 0.5  # of the measured range: from further away than this, a curve's end is a guess
WIDEST = 0.1  # of R: an interval wider than this supports many claims


@dataclass(frozen=True, slots=True)
class Endpoint:
    """R_max = R at x = 0 by a law, and the claim about it."""

    r_max: Estimate  # 95 % interval of the curve at x = 0, of the fit's kind
    claimed: float
    p: float | None  # of the claim, by the F-test of the theory form with that R_max inside the exponential
    nearest_x: float | None  # the least x that was measured
    verdict: str  # "holds" | "does not hold" | "cannot tell"
    reason: str
    theory: LawFit | None  # the theory form with R_max = claimed: λ, c, η = 1 − c
    interval: str  # how that of r_max was made, as LawFit.interval


def endpoint(fit: LawFit, claimed: float = 1.0) -> Endpoint:
    """Return whether the exponential law ends at ``claimed`` where diversity (or entropy) is gone.

    R_max = b − a. The claim is the theory form inside the exponential, one parameter less: F = [SSE_theory − SSE]/[SSE/(n_eff −
    3)] on (1, n_eff − 3) degrees of freedom. *does not hold*: p ≤ 0.01. *cannot tell*: the law itself does not hold, the
    interval of R_max is wider than 0.1, or the nearest measured x is further from 0 than half the measured range. Else *holds*.

    Parameters
    ----------
    fit : LawFit
        Of the exponential form.
    claimed : float
        R_max, in the unit of R: 1 for a quality that ends at 1.

    Returns
    -------
    Endpoint
        All None, "cannot tell" and the reason where nothing was fitted.

    Raises
    ------
    ValueError
        For another form, or a claim that is not finite.

    Source: the quality-diversity law paper's reading of b − a; the F-test of nested regressions. Departures: (1) the paper
    tests nothing. (2) n_eff in place of n.

    Examples
    --------
    >>> from breadth.laws.curves import exponential
    >>> D = np.linspace(0.9, 0.1, 40)
    >>> noise = 0.004 * np.random.default_rng(2).standard_normal(40)
    >>> fit = fit_law(exponential(D, 0.0109, 1.023, 5.024) + noise, D)
    >>> endpoint(fit, 1.0121).verdict, endpoint(fit, 1.1).verdict
    ('holds', 'does not hold')
    """
    if fit.form != "exponential":
        raise ValueError(f"fit: expected the exponential form, got {fit.form!r}")
    curve = theory_curve(claimed)
    x, y = np.array(fit.x), np.array(fit.y)
    value = predict_quality(fit, 0.0)
    if value.value is None or x.min() < 0:
        reason = fit.reason if value.value is None else f"{fit.x_name} is negative at a checkpoint: {x.min():g}"
        return Endpoint(Estimate(None), claimed, None, None, "cannot tell", reason, None, fit.interval)
    own = best_fit(curve_of(fit), x, y)
    theory = fit_law(y.tolist(), x.tolist(), form="theory", r_max=claimed, interval="profile", x_name=fit.x_name)
    narrow = float(best_fit(curve, x, y).sse[0])
    left = fit.n_effective - 3
    p = None
    if left >= 1:
        floor = rounding_floor(y)
        wide = float(own.sse[0]) + floor
        p = float(f_distribution.sf(max(narrow + floor - wide, 0.0) / (wide / left), 1, left))
    name, nearest = fit.x_name, float(x.min())
    width = None if value.low is None or value.high is None else value.high - value.low
    found = f"R at {name} = 0 is {value.value:.3f}" + (
        "" if width is None else f" ({value.low:.3f} to {value.high:.3f})"
    )
    if fit.verdict != "holds":
        verdict, reason = "cannot tell", f"the law: {fit.verdict} ({fit.reason})"
    elif p is not None and p <= LEAST_P:
        verdict, reason = "does not hold", f"{found}; {claimed:g} fits worse (p = {p:.1g})"
    elif nearest > FARTHEST * float(np.ptp(x)):
        verdict = "cannot tell"
        reason = f"{found}, but the nearest checkpoint lies at {name} = {nearest:.3g}: more than {FARTHEST:g} of the measured range away"
    elif width is None or width > WIDEST:
        known = "has no limit on one side" if width is None else f"is {width:.2g} wide"
        verdict, reason = "cannot tell", f"{found}: the interval {known}, at most {WIDEST:g} of R tells"
    else:
        verdict = "holds"
        reason = f"{found}; {claimed:g} fits as well" + ("" if p is None else f" (p = {p:.2g})")
    return Endpoint(value, claimed, p, nearest, verdict, reason, theory, fit.interval)
