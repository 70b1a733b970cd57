"""Reading a fit: values, intervals, bands, and what is not reached."""

import numpy as np
import pytest

from breadth.laws.curves import exponential
from breadth.laws.fit import fit_law, predict_band, predict_quality, predict_x
from breadth.laws.prediction import interval_levels, percentiles
from breadth.records import Estimate

D = np.linspace(0.9, 0.25, 40)
FIT = fit_law(
    exponential(D, 0.0109, 1.023, 5.024) + 0.005 * np.random.default_rng(0).standard_normal(40), D, n_boot=400
)


def test_the_published_law_leaves_the_diversity_that_its_formula_says():
    exact = fit_law(exponential(D, 0.0109, 1.023, 5.024), D, n_boot=50)
    assert exact.predict_diversity(0.95).value == pytest.approx(np.log((1.023 - 0.95) / 0.0109) / 5.024, rel=1e-6)
    assert exact.predict_diversity(0.82).value == pytest.approx(0.58, abs=0.005)
    assert predict_x(exact, 0.95) == exact.predict_diversity(0.95)
    assert predict_quality(exact, 0.5) == exact.predict(0.5)


def test_intervals_contain_the_value_and_the_truth():
    for q in (0.7, 0.9):
        x = FIT.predict_diversity(q)
        assert x.low < x.value < x.high
        assert x.low < np.log((1.023 - q) / 0.0109) / 5.024 < x.high
    r = FIT.predict(0.6)
    assert r.low < exponential(0.6, 0.0109, 1.023, 5.024) < r.high


def test_band_is_the_interval_at_each_x():
    value, low, high = predict_band(FIT, [0.3, 0.6, 0.9])
    assert (low < value).all() and (value < high).all()
    assert Estimate(value[1], low[1], high[1]) == FIT.predict(0.6)


def test_above_the_ceiling_nothing_is_left():
    a, b = FIT.params["a"].value, FIT.params["b"].value
    assert FIT.predict_diversity(b - a + 1e-3) == Estimate(None)  # the ceiling stands at D = 0
    assert FIT.predict_diversity(b + 1) == Estimate(None)
    near = FIT.predict_diversity(b - a - 1e-3)
    assert near.value is not None and near.low is None  # some draws never reach it
    assert near.high > near.value


def test_a_negative_x_is_kept_where_the_data_have_one():
    line = fit_law(np.linspace(0, 1, 10), np.linspace(-1, 1, 10), form="linear", n_boot=20)
    assert line.predict_diversity(0.25).value == pytest.approx(-0.5)


def test_levels_widen_as_points_get_scarce():
    assert interval_levels(1e6, 3) == pytest.approx((0.025, 0.975), abs=1e-4)
    lows = [interval_levels(n, 3)[0] for n in (100, 26, 10, 4, 2)]
    assert lows == sorted(lows, reverse=True)
    assert percentiles(np.array([-np.inf, -np.inf, 1.0, 2.0, 3.0]), (0.025, 0.975)) == (None, 3.0)


def test_a_fit_without_its_data_still_predicts():
    from dataclasses import replace

    bare = replace(FIT, x=(), y=(), draws=None)
    assert bare.predict(0.6).value == pytest.approx(FIT.predict(0.6).value, rel=1e-9)
    assert bare.predict(0.6).low is None
