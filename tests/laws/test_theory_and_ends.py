"""The theory form with R_max fixed, and the claim about the end of a law."""

import numpy as np
import pytest

from breadth.laws.curves import exponential, theory
from breadth.laws.endpoint import endpoint
from breadth.laws.fit import fit_law

D = np.linspace(0.9, 0.1, 40)
A, B, C = 0.0109, 1.023, 5.024
TOP = B - A


def noisy(seed=0, sd=0.004):
    return exponential(D, A, B, C) + sd * np.random.default_rng(seed).standard_normal(D.size)


def test_the_theory_form_is_the_exponential_with_its_end_fixed():
    assert theory(D, A * C, C, TOP) == pytest.approx(exponential(D, A, B, C), abs=1e-14)
    h = 1e-6
    slope = (theory(h, 0.05, 3.0, 0.9) - theory(-h, 0.05, 3.0, 0.9)) / (2 * h)
    assert slope == pytest.approx(-0.05, rel=1e-6)  # λ is the slope at no diversity
    assert theory(D, A * C, 1.0, TOP) == pytest.approx(TOP - A * C * np.expm1(D))  # η = 0: the form with c = 1


def test_its_numbers_come_back_and_eta_is_one_minus_c():
    fit = fit_law(exponential(D, A, B, C), D, form="theory", r_max=TOP, n_boot=50)
    assert [fit.params[k].value for k in ("lam", "c", "eta")] == pytest.approx([A * C, C, 1 - C], rel=1e-6)
    assert (fit.verdict, fit.fixed) == ("holds", {"r_max": TOP})
    assert fit.params["eta"].low == pytest.approx(1 - fit.params["c"].high)
    assert fit.predict(0.0).value == pytest.approx(TOP) and fit.predict_diversity(0.9).value == pytest.approx(
        np.log((B - 0.9) / A) / C
    )
    assert "exponential" not in fit.rivals  # it contains this form, so it is not ranked against it
    wrong = fit_law(exponential(D, A, B, C), D, form="theory", r_max=TOP + 0.05, n_boot=50)
    assert wrong.rmse > 100 * fit.rmse


def test_a_wrong_end_is_found_and_the_right_one_is_not():
    for kind in ("bootstrap", "profile"):
        fit = fit_law(noisy(), D, interval=kind)
        right, wrong = endpoint(fit, TOP), endpoint(fit, 1.1)
        assert (right.verdict, wrong.verdict) == ("holds", "does not hold")
        assert right.r_max.low < TOP < right.r_max.high and right.p > 0.01 >= wrong.p
        assert right.theory.params["c"].value == pytest.approx(C, rel=0.1)


def test_size_of_the_claim():
    p = [endpoint(fit_law(noisy(seed), D, n_boot=0, interval="profile"), TOP).p for seed in range(60)]
    assert np.mean(np.array(p) < 0.05) <= 0.15  # 60 runs: 5 % and three and a half standard errors


def test_a_claim_from_far_away_cannot_be_judged():
    far = np.linspace(0.9, 0.6, 40)
    noise = 0.004 * np.random.default_rng(0).standard_normal(40)
    found = endpoint(fit_law(exponential(far, A, B, C) + noise, far), TOP)
    assert found.verdict == "cannot tell" and "the nearest checkpoint lies at D = 0.6" in found.reason


def test_a_law_that_is_not_there_has_no_end():
    assert endpoint(fit_law([0.5, 0.9], [0.8, 0.1]), 1.0).reason.startswith("only 2 distinct values of D")
    doubtful = endpoint(fit_law(noisy(sd=0.3), D), 1.0)
    assert doubtful.verdict == "cannot tell" and doubtful.reason.startswith("the law: ")


def test_errors():
    with pytest.raises(ValueError, match="r_max: only the theory form has it fixed; the linear form was asked for"):
        fit_law(noisy(), D, form="linear", r_max=1.0)
    with pytest.raises(ValueError, match="r_max: expected a finite quality at no diversity, got nan"):
        fit_law(noisy(), D, form="theory", r_max=float("nan"))
    with pytest.raises(ValueError, match="fit: expected the exponential form, got 'linear'"):
        endpoint(fit_law(noisy(), D, form="linear"))
