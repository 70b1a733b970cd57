"""Profile and BCa intervals: against refits with the parameter held, against Student's t on a line, where nothing limits them."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import f as f_distribution
from scipy.stats import linregress, t

from breadth.laws.curves import CURVES, EXPONENTIAL, exponential
from breadth.laws.fit import fit_law
from breadth.laws.intervals import bca_levels
from breadth.laws.profile import confidence_region, profile_params, profile_value
from breadth.laws.rivals import best_fit

D = np.linspace(0.9, 0.3, 26)
R = exponential(D, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(3).standard_normal(26)


def test_a_line_has_students_interval():
    y = 0.5 * D - 0.1 + 0.02 * np.random.default_rng(0).standard_normal(26)
    region = confidence_region(CURVES["linear"], best_fit(CURVES["linear"], D, y), D, y, 26.0)
    found, line = profile_params(CURVES["linear"], region), linregress(D, y)
    half = t.ppf(0.975, 24) * np.array([line.stderr, line.intercept_stderr])
    assert found["a"] == pytest.approx((line.slope - half[0], line.slope + half[0]), rel=1e-9)
    assert found["b"] == pytest.approx((line.intercept - half[1], line.intercept + half[1]), rel=1e-9)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_ends_are_where_a_refit_with_the_parameter_held_is_too_bad(which):
    point = best_fit(EXPONENTIAL, D, R)
    region = confidence_region(EXPONENTIAL, point, D, R, 20.0)
    low, high = profile_params(EXPONENTIAL, region)["abc"[which]]
    limit = point.sse[0] * (1 + f_distribution.ppf(0.95, 1, 17) / 17)
    best = np.array([float(v[0]) for v in EXPONENTIAL.to_params(point.beta, point.alpha, point.theta, point.anchor)])

    def excess(value):
        def sse(free):
            a, b, c = np.insert(free, which, value)
            return 1e4 * np.sum((R - exponential(D, max(a, 1e-12), b, c)) ** 2)

        start = np.delete(best, which)
        return (
            minimize(sse, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10, "maxiter": 4000}).fun
            / 1e4
            - limit
        )

    for end in (low, high):
        outside = end + 0.3 * (end - best[which])
        assert brentq(excess, best[which], outside, xtol=1e-6) == pytest.approx(end, rel=2e-3)


def test_the_band_at_a_point_holds_the_curve():
    point = best_fit(EXPONENTIAL, D, R)
    region = confidence_region(EXPONENTIAL, point, D, R, 26.0)
    low, high = profile_value(region, lambda theta: np.exp(theta[..., 0] * (0.5 - point.anchor)))
    assert low < exponential(0.5, 0.0109, 1.023, 5.024) < high and high - low < 0.02


def test_noise_alone_limits_nothing():
    fit = fit_law(0.5 + 0.1 * np.random.default_rng(1).standard_normal(26), D, n_boot=0, interval="profile")
    assert fit.params["c"].low is None and fit.params["c"].high is None
    assert fit.verdict == "cannot tell"


def test_profiles_need_no_draws_and_correlated_points_widen_them():
    one = fit_law(R, D, n_boot=0, interval="profile")
    assert (one.verdict, one.interval, one.draws) == ("holds", "profile", None)
    point = best_fit(EXPONENTIAL, D, R)
    wide, narrow = (
        profile_params(EXPONENTIAL, confidence_region(EXPONENTIAL, point, D, R, n))["c"] for n in (10.0, 26.0)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_three_kinds_agree_on_good_data():
    ends = [fit_law(R, D, interval=kind).params["c"] for kind in ("bootstrap", "bca", "profile")]
    assert np.ptp([e.low for e in ends]) < 0.3 and np.ptp([e.high for e in ends]) < 0.3


def test_unknown_kinds_and_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="interval: expected one of bootstrap, bca, profile; got 'normal'"):
        fit_law(R, D, interval="normal")
    with pytest.raises(
        ValueError, match="the falling_logistic curve has 2 nonlinear parameters, profile intervals need at most one"
    ):
        fit_law(R, D, form="falling_logistic", interval="profile")


def test_bca_moves_with_bias_and_skewness():
    draws = np.random.default_rng(0).standard_normal(20_000)
    plain = bca_levels(0.0, draws, np.array([-1.0, 0.0, 1.0]), 1e6)
    biased = bca_levels(0.3, draws, np.array([-1.0, 0.0, 1.0]), 1e6)
    assert biased[0] > plain[0] and biased[1] > plain[1]
    skewed = bca_levels(0.0, draws, np.array([-3.0, 1.0, 1.0, 1.0]), 1e6)
    assert skewed[0] > plain[0] and skewed[1] > plain[1]
    # Efron and Tibshirani (1993), eq. 14.10, by hand: z0 = 0, a = 0.1, t = 1.96
    from scipy.stats import norm

    leave_out = np.array([2.0, 0.0, 0.0, 0.0])
    away = leave_out.mean() - leave_out
    a = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    low, _ = bca_levels(0.0, np.array([-1.0, 1.0]), leave_out, 1e9)
    assert low == pytest.approx(norm.cdf(-1.959964 / (1 + a * 1.959964)), abs=1e-6)
