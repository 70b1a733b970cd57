"""Bad and thin data: a reason or a clear error, never a crash and never a made-up number."""

import numpy as np
import pytest

from breadth.laws.curves import exponential
from breadth.laws.fit import fit_law, predict_band

D = np.linspace(0.9, 0.25, 26)
R = exponential(D, 0.0109, 1.023, 5.024)


def nothing_known(fit):
    return (
        fit.verdict == "cannot tell"
        and fit.r2 is fit.rmse is fit.rmse_x is fit.draws is None
        and all(e.value is e.low is e.high is None for e in fit.params.values())
        and fit.predict(0.5).value is None
        and fit.predict_diversity(0.9).value is None
        and np.isnan(predict_band(fit, [0.1, 0.5])[0]).all()
    )


@pytest.mark.parametrize(
    ("quality", "diversity", "reason"),
    [
        (
            [0.5, 0.9],
            [0.8, 0.1],
            "only 2 distinct values of D over 2 checkpoints; R = -a·exp(c·D) + b needs at least 4",
        ),
        ([0.7], [0.3], "only 1 distinct value of D over 1 checkpoint; R = -a·exp(c·D) + b needs at least 4"),
        ([0.5] * 10, np.linspace(0, 1, 10), "R is constant: 0.5 at all 10 checkpoints"),
        (np.linspace(0, 1, 10), [0.25] * 10, "D is constant: 0.25 at all 10 checkpoints"),
        ([None, np.nan], [0.1, 0.2], "no checkpoint has both R and D: all 2 rows have a missing value"),
        ([0.5, None], [None, 0.2], "no checkpoint has both R and D: all 2 rows have a missing value"),
        ([0.5, 0.6, 0.7] * 5, [0.1, 0.2, 0.3] * 5, "only 3 distinct values of D over 15 checkpoints"),
    ],
)
def test_cannot_tell_with_the_reason(quality, diversity, reason):
    fit = fit_law(quality, diversity)
    assert fit.reason.startswith(reason)
    assert nothing_known(fit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.6], [0.1]), "quality and diversity: expected equal lengths, got 2 and 1"),
        (([], []), "quality: expected at least one checkpoint, got none"),
        (([0.5, np.inf], [0.1, 0.2]), "quality: row 1 is infinite; a missing measurement is None or NaN"),
        (([0.5, 0.6], [-np.inf, 0.2]), "diversity: row 0 is infinite"),
        ((["high", 0.6], [0.1, 0.2]), "quality: expected a one-dimensional sequence of numbers or None"),
        (([[0.1], [0.2]], [0.1, 0.2]), r"quality: expected a one-dimensional sequence, got shape \(2, 1\)"),
        ((R, D, "exponental"), "form: expected one of exponential, unit_exponential, linear, .*; got 'exponental'"),
    ],
)
def test_errors_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_law(*arguments)


def test_errors_of_run_step_draws_and_power():
    with pytest.raises(ValueError, match="run: expected one label or 26 labels, got 2"):
        fit_law(R, D, run=["a", "b"])
    with pytest.raises(ValueError, match="step: expected 26 numbers, got 3"):
        fit_law(R, D, step=[1, 2, 3])
    with pytest.raises(ValueError, match="step: row 4 has none; give a step for every row"):
        fit_law(R, D, step=[0, 1, 2, 3, None, *range(5, 26)])
    with pytest.raises(ValueError, match="n_boot: expected 0 or more draws, got -1"):
        fit_law(R, D, n_boot=-1)
    with pytest.raises(ValueError, match="D: the power curve needs values of 0 or more, got -0.65"):
        fit_law(R, D - 0.9, form="power")


def test_missing_rows_are_dropped_and_counted():
    quality, diversity = [*R, None, 0.5, np.nan], [*D, 0.5, None, np.nan]
    fit = fit_law(quality, diversity, n_boot=50)
    whole = fit_law(R, D, n_boot=50)
    assert (fit.n, fit.n_dropped) == (26, 3)
    assert fit.params == whole.params


def test_rivals_that_cannot_be_fitted_are_left_out():
    fit = fit_law(R, D - 0.9, n_boot=0)
    assert set(fit.rivals) == {"linear", "unit_exponential", "falling_logistic"}


def test_numpy_warnings_do_not_escape(recwarn):
    for seed in range(5):
        noise = np.random.default_rng(seed)
        fit_law(noise.uniform(size=12), noise.uniform(size=12), n_boot=100).predict_diversity(0.9)
        fit_law([1.0] * 11 + [0.5], [0.5] * 8 + [0.1, 0.2, 0.3, 0.4], n_boot=100).predict_diversity(0.9)
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]
