"""The monotone spline and the tests that are built on it."""

import numpy as np
import pytest

from breadth.laws.yardstick import lack_of_fit, monotone_spline, rank_trend, reversal_p

X = np.linspace(0, 1, 30)


def test_the_monotone_spline_is_monotone_and_no_better_than_the_free_one():
    y = np.sin(6 * X)
    spline = monotone_spline(X, y, direction=-1)
    assert (np.diff(spline.fitted) <= 1e-12).all()
    assert spline.sse >= spline.sse_free
    assert spline.largest_reversal == pytest.approx(1.0, abs=0.05)  # it rises from 0 to 1 before it falls
    assert (spline.reversal_from, spline.reversal_to) == pytest.approx((0.0, 0.26), abs=0.05)


def test_direction_zero_takes_the_better_way():
    assert monotone_spline(X, X**2).direction == 1
    assert monotone_spline(X, -(X**2)).direction == -1


def test_too_few_points_for_a_spline():
    assert monotone_spline(X[:6], X[:6], 1) is None


def test_lack_of_fit_finds_a_misfit_and_forgives_correlated_noise():
    y = np.sqrt(X) + 0.01 * np.random.default_rng(0).standard_normal(30)
    spline = monotone_spline(X, y, 1)
    line = np.polyval(np.polyfit(X, y, 1), X)
    sse = float(((y - line) ** 2).sum())
    assert lack_of_fit(sse, 2, spline, 30, 30.0) < 1e-6
    assert lack_of_fit(sse, 2, spline, 30, 30.0) < lack_of_fit(sse, 2, spline, 30, 12.0)
    assert lack_of_fit(spline.sse, 2, spline, 30, 30.0) == 1.0
    assert lack_of_fit(sse, 2, spline, 30, spline.n_params) == 1.0  # nothing left to judge by


def test_size_of_both_tests_on_monotone_truth():
    generator = np.random.default_rng(5)
    line, bend = [], []
    for _ in range(300):
        y = -X + 0.05 * generator.standard_normal(30)
        spline = monotone_spline(X, y, -1)
        fitted = np.polyval(np.polyfit(X, y, 1), X)
        line.append(lack_of_fit(float(((y - fitted) ** 2).sum()), 2, spline, 30, 30.0))
        bend.append(reversal_p(spline, 30, 30.0))
    assert np.mean(np.array(line) < 0.05) <= 0.06
    assert np.mean(np.array(bend) < 0.05) <= 0.06


def test_rank_trend():
    assert rank_trend(X, -X, 30.0) == (-1.0, 0.0)
    assert rank_trend(X, np.zeros(30), 30.0) == (0.0, 1.0)
    r, p = rank_trend(np.array([1.0, 2, 2, 3]), np.array([1.0, 3, 2, 4]), 4.0)
    assert r == pytest.approx(0.9486833)  # ties share ranks: as scipy.stats.spearmanr
    assert rank_trend(X[:4], np.array([1.0, 3, 2, 4]), 2.0)[1] == 1.0
    assert 0 < p < 1
