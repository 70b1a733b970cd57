"""What a fit says of its own misses, by hand from its parameters: R² and the root mean square in R and in D."""

import numpy as np
import pytest

import breadth

X = np.linspace(0.2, 0.9, 26)
NOISE = 0.02 * np.random.default_rng(3).standard_normal(26)


def test_misses_in_quality_and_in_diversity():
    y = 1.023 - 0.0109 * np.exp(5.024 * X) + NOISE
    fit = breadth.fit_law(y, X, n_boot=0)
    a, b, c = (fit.params[name].value for name in "abc")
    miss = y - (b - a * np.exp(c * X))
    slope = -a * c * np.exp(c * X)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(miss**2)), rel=1e-9)
    assert fit.r2 == pytest.approx(1 - np.sum(miss**2) / np.sum((y - y.mean()) ** 2), rel=1e-9)
    assert fit.rmse_x == pytest.approx(np.sqrt(np.mean((miss / slope) ** 2)), rel=1e-9)


def test_misses_of_a_line():
    y = 1 - 2 * X + NOISE
    fit = breadth.fit_law(y, X, form="linear", n_boot=0)
    slope, level = np.polyfit(X, y, 1)
    assert fit.rmse == pytest.approx(np.sqrt(np.mean((y - level - slope * X) ** 2)), rel=1e-9)
    assert fit.rmse_x == pytest.approx(fit.rmse / abs(slope), rel=1e-9)
