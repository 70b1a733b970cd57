"""Each rule of the verdict, reached from data, with the words that it gives."""

import numpy as np
import pytest

from breadth.laws.curves import exponential, linear, power
from breadth.laws.fit import fit_law

D = np.linspace(0.9, 0.25, 26)
LAW = exponential(D, 0.0109, 1.023, 5.024)


def noise(size, sd, seed=0):
    return sd * np.random.default_rng(seed).standard_normal(size)


def test_holds_names_its_numbers():
    fit = fit_law(LAW + noise(26, 0.005), D)
    assert fit.verdict == "holds"
    for part in (
        "R² 1.000",
        "c = 4.9",
        "no lack of fit against a monotone spline (p = ",
        "no rival form better by ΔAICc > 6",
    ):
        assert part in fit.reason
    assert set(fit.rivals) == {"linear", "power", "unit_exponential", "falling_logistic"}
    assert fit.n_effective > 12


def test_too_few_effective_points():
    fit = fit_law(LAW[::4], D[::4])
    assert fit.verdict == "cannot tell"
    assert fit.reason.startswith("only 7 effective points; 8 needed")
    assert fit.params["c"].value == pytest.approx(5.024, rel=1e-6)


def test_autocorrelation_lowers_the_effective_points():
    # one slow wave over the run is worth far less than its 26 checkpoints, at any x
    x = np.random.default_rng(0).permutation(D)
    y = exponential(x, 0.0109, 1.023, 5.024) + 0.05 * np.sin(np.arange(26) / 26 * 2 * np.pi)
    fit = fit_law(y, x)
    assert fit.n_effective < 8
    assert "of 26 checkpoints after autocorrelation; 8 needed" in fit.reason
    assert fit.verdict == "cannot tell"


def test_quality_hardly_moves():
    fit = fit_law(0.95 + 0.004 * D / np.ptp(D), D)
    assert fit.verdict == "cannot tell"
    assert fit.reason.startswith("R hardly moves: range 0.004, at least 0.01 needed")


def test_rising_data_contradict_the_law():
    fit = fit_law(0.2 + 0.7 * D + noise(26, 0.01), D)
    assert fit.verdict == "does not hold"
    assert fit.reason.startswith("R rises with D: rank correlation +1.00 over 26 checkpoints")
    assert "R = -a·exp(c·D) + b needs it to fall" in fit.reason


def test_not_monotone():
    fit = fit_law(0.5 + 2 * (D - 0.6) ** 2 + noise(26, 0.005), D)
    assert fit.verdict == "cannot tell"
    assert fit.reason.startswith("R is not monotone in D: it turns back by ")
    assert "between D = 0.5" in fit.reason or "between D = 0.6" in fit.reason


def test_no_relation():
    fit = fit_law(0.5 + noise(26, 0.1), D)
    assert fit.verdict == "cannot tell"
    assert fit.reason.startswith("R is not seen to fall with D: rank correlation ")


def test_exponent_at_its_upper_bound():
    x = np.concatenate([0.9 - 0.0005 * np.arange(13), np.linspace(0.85, 0.1, 13)])
    fit = fit_law(1 - 0.7 * np.exp(2000 * (x - 0.9)) + noise(26, 0.002), x)
    assert fit.verdict == "cannot tell"
    assert "c ran to its upper bound 400/range(D) = 500: to the data the curve is a step" in fit.reason


def test_quality_that_moves_while_diversity_stays():
    # the corner of a policy that first learns and then collapses: no curve is determined by it
    x = np.concatenate([0.98 + noise(14, 0.001), np.linspace(0.95, 0.01, 12)])
    fit = fit_law(np.concatenate([np.linspace(0.28, 0.97, 14), 0.99 + noise(12, 0.003, seed=1)]), x)
    assert fit.verdict == "cannot tell"
    assert fit.reason.startswith("only 1 effective points of 26 checkpoints after autocorrelation; 8 needed; c = ")
    assert "is not bounded below and above" in fit.reason


def test_exponent_at_its_lower_bound():
    fit = fit_law(linear(D, -0.5, 1.0) + 0.02 * (0.9 - D) ** 2, D)  # bends the other way
    assert fit.verdict == "cannot tell"
    assert fit.reason.startswith(
        "c ran to its lower bound 0.01/range(D) = 0.01538: to the data the curve is a straight line"
    )


def test_exponent_without_a_limit_or_too_wide():
    wide = fit_law(exponential(D, 0.0109, 1.023, 5.024) + noise(26, 0.2, seed=4), D)
    assert wide.verdict == "cannot tell"
    assert "c = " in wide.reason and ("is wider than c itself" in wide.reason or "is not bounded" in wide.reason)
    without = fit_law(LAW, D, n_boot=0, interval="bootstrap")
    assert without.verdict == "cannot tell"
    assert without.reason.startswith("c = 5.02 is not bounded below and above")


def test_poor_r2_and_lack_of_fit():
    x = np.linspace(0.9, 0.1, 60)
    drop = 1 - 0.8 / (1 + np.exp(-15 * (x - 0.3)))  # falls early, then is flat: bends the other way
    fit = fit_law(drop + noise(60, 0.01), x, form="unit_exponential")
    assert fit.verdict == "does not hold"
    assert "is below 0.9" in fit.reason
    assert "lack of fit against a monotone spline (p = " in fit.reason
    assert fit.lack_of_fit_p < 1e-6


def test_a_rival_is_better():
    x = np.linspace(0.02, 1.0, 80)
    fit = fit_law(power(x, 0.5, 1.0, 3.0) + noise(80, 0.002), x)
    assert fit.verdict == "does not hold"
    assert "the power form is better (ΔAICc " in fit.reason
    assert fit.rivals["power"] < -6


def test_a_line_is_judged_as_a_line():
    x = np.linspace(0.2, 0.9, 30)
    up, down = (fit_law(sign * 0.5 * x + noise(30, 0.01), x, form="linear", y_name="H") for sign in (1, -1))
    assert up.verdict == down.verdict == "holds"
    assert set(up.rivals) == {"exponential", "power", "unit_exponential", "falling_logistic"}
    curved = fit_law(np.exp(4 * x) + noise(30, 0.01), x, form="linear", y_name="H")
    assert curved.verdict == "does not hold"
    assert "the exponential form is better" in curved.reason
