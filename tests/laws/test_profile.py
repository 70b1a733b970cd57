"""Profile and BCa intervals: against refits with the number held, against Student's t on a line, where nothing limits them."""

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import f as f_distribution
from scipy.stats import linregress, t

from breadth.laws.curves import CURVES, EXPONENTIAL, exponential
from breadth.laws.fit import fit_law
from breadth.laws.intervals import bca_levels, interval_kind
from breadth.laws.profile import confidence_region, profile_params
from breadth.laws.profile_reading import profile_band, profile_inverse
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


def held(x0, r0):
    """Least sum of squares of an exponential through (x0, r0): by scipy, not by the region."""

    def sse(free):
        slope, c = np.exp(free)  # a·exp(c·x0), positive
        return 1e4 * np.sum((R - (r0 - slope * np.expm1(c * (D - x0)))) ** 2)

    start = np.log([0.0109 * np.exp(5.024 * x0), 5.024])
    return minimize(sse, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10, "maxiter": 4000}).fun / 1e4


@pytest.mark.parametrize("x0", [0.0, 0.5, 0.95])
def test_the_band_ends_where_a_refit_through_its_end_is_too_bad(x0):
    point = best_fit(EXPONENTIAL, D, R)
    region = confidence_region(EXPONENTIAL, point, D, R, 20.0)
    limit = point.sse[0] * (1 + f_distribution.ppf(0.95, 1, 17) / 17)
    for end in profile_band(EXPONENTIAL, region, np.array([x0]), (0.3, 0.9)):
        assert held(x0, float(end[0])) == pytest.approx(limit, rel=2e-3)
        assert held(x0, float(end[0]) + 0.01) != pytest.approx(limit, rel=2e-3)


@pytest.mark.parametrize("quality", [0.5, 0.9, 0.99])
def test_d_at_a_quality_ends_where_a_refit_through_its_end_is_too_bad(quality):
    point = best_fit(EXPONENTIAL, D, R)
    region = confidence_region(EXPONENTIAL, point, D, R, 20.0)
    limit = point.sse[0] * (1 + f_distribution.ppf(0.95, 1, 17) / 17)
    low, high = profile_inverse(EXPONENTIAL, region, quality, (0.3, 0.9), True, 0.0)
    assert low < np.log((1.023 - quality) / 0.0109) / 5.024 < high
    for end in (low, high):
        assert held(end, quality) == pytest.approx(limit, rel=2e-3)
        assert held(1.05 * end, quality) != pytest.approx(limit, rel=2e-3)


def test_a_level_curve_in_the_region_leaves_no_end():
    y = 0.5 + 0.02 * np.random.default_rng(4).standard_normal(26)
    fit = fit_law(y, D, form="linear")
    assert fit.params["a"].low < 0 < fit.params["a"].high
    found = fit.predict_diversity(0.5)
    assert found.value is not None and found.low is None and found.high is None


def test_an_open_region_says_nothing_beyond_the_measured_x():
    step = np.where(D > 0.89, 0.5, 0.95) + 0.002 * np.random.default_rng(0).standard_normal(26)
    steep = fit_law(step, D)
    assert steep.params["c"].high is None and steep.params["c"].low > 20
    beyond = steep.predict(1.0)
    assert beyond.value is not None and beyond.low is None  # however steep the curve is, it fits: R there has no least value
    assert steep.predict(0.6).low is not None
    flat = fit_law(1 - 0.5 * D + 0.002 * np.random.default_rng(0).standard_normal(26), D)
    assert flat.params["c"].low is None and flat.params["b"].high is None and flat.params["c"].high is not None
    assert flat.predict(0.6).low < 0.7 < flat.predict(0.6).high


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


def test_profile_is_the_default_wherever_there_is_one():
    assert fit_law(R, D) == fit_law(R, D, interval="profile") != fit_law(R, D, interval="bootstrap")
    kinds = {name: interval_kind(curve) for name, curve in CURVES.items()}
    assert {name for name, kind in kinds.items() if kind != "profile"} == {"falling_logistic", "logistic"}
    for form in ("exponential", "linear", "power", "unit_exponential", "falling_logistic"):
        fit = fit_law(R, D, form=form, n_boot=50)
        assert (fit.interval, fit.interval_level) == (kinds[form], 0.95)
        assert (fit.draws is None) == (fit.interval == "profile")
    assert fit_law([0.5, 0.9], [0.8, 0.1]).interval == "profile"  # nothing fitted: what would have been done


def test_unknown_kinds_and_two_dimensions_are_refused():
    with pytest.raises(ValueError, match="interval: expected one of profile, bootstrap, bca; got 'normal'"):
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
