"""How often the 95 % intervals contain the truth, and how often the verdict is right, on simulated runs."""

import numpy as np
import pytest
from scipy.signal import lfilter

from breadth.laws.curves import exponential
from breadth.laws.fit import fit_law

TRUTH = {"a": 0.0109, "b": 1.023, "c": 5.024}


def simulate(n, rho, repeats, noise=0.01, n_boot=400, interval=None):
    """Share of intervals that contain the truth (per parameter), and share of "holds"."""
    x = np.linspace(0.9, 0.3, n)
    inside, holds = dict.fromkeys(TRUTH, 0), 0
    for seed in range(repeats):
        shock = np.random.default_rng(seed).standard_normal(n + 50)
        error = lfilter([np.sqrt(1 - rho**2)], [1, -rho], shock)[50:]
        fit = fit_law(exponential(x, **TRUTH) + noise * error, x, n_boot=n_boot, seed=seed, interval=interval)
        for name, truth in TRUTH.items():
            low, high = fit.params[name].low, fit.params[name].high
            inside[name] += (low is None or low <= truth) and (high is None or truth <= high)
        holds += fit.verdict == "holds"
    return {name: count / repeats for name, count in inside.items()}, holds / repeats


@pytest.mark.parametrize("interval", ["bootstrap", "profile"])
def test_independent_noise(interval):
    coverage, holds = simulate(26, 0.0, 40, n_boot=200, interval=interval)
    # 40 runs: the standard error of a share of 0.95 is 0.035
    assert min(coverage.values()) >= 0.85
    assert holds >= 0.85


@pytest.mark.parametrize("interval", ["bootstrap", "profile"])
def test_autocorrelated_noise(interval):
    coverage, holds = simulate(60, 0.5, 40, n_boot=200, interval=interval)
    assert min(coverage.values()) >= 0.8
    assert holds >= 0.8


def test_what_is_read_from_the_law():
    """D at R = 0.9 and R at D = 0, by the default kind."""
    x, inside = np.linspace(0.9, 0.3, 40), np.zeros(2)
    for seed in range(60):
        fit = fit_law(exponential(x, **TRUTH) + 0.01 * np.random.default_rng(seed).standard_normal(40), x)
        for i, (found, truth) in enumerate(((fit.predict_diversity(0.9), 0.48237), (fit.predict(0.0), 1.0121))):
            inside[i] += found.low <= truth <= found.high
    # 60 runs: the standard error of a share of 0.95 is 0.028
    assert (inside / 60 >= 0.85).all()


@pytest.mark.nightly
@pytest.mark.parametrize("noise", [0.003, 0.01, 0.03])
@pytest.mark.parametrize(
    ("n", "rho", "least", "most"),
    [(26, 0, 0.92, 0.985), (26, 0.5, 0.9, 0.99), (60, 0, 0.92, 0.98), (60, 0.5, 0.9, 0.98)],
)
@pytest.mark.parametrize("interval", ["bootstrap", "bca", "profile"])
def test_coverage_at_length(n, rho, least, most, noise, interval):
    coverage, holds = simulate(n, rho, 1000, noise=noise, n_boot=400, interval=interval)
    print(f"\nCOVERAGE {interval} n={n} rho={rho} noise={noise} {coverage} holds={holds}")
    if interval == "bca":
        most = 0.995
    if interval == "profile" and (n, rho) == (26, 0):
        most = 0.975
    if interval == "bca" and rho:
        least = 0.85  # BCa corrects for bias and skewness, which is not what correlated noise needs
    assert least <= min(coverage.values()) and max(coverage.values()) <= most
    if noise <= 0.01:
        assert holds >= 0.5
