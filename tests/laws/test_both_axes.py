"""Errors in both axes: Deming's closed form, the flattening of least squares, what is missing."""

import sys

import numpy as np
import pytest

from breadth.laws.curves import exponential

D = np.linspace(0.9, 0.3, 60)


def odr():
    pytest.importorskip("odrpack", reason="errors in both axes: pip install 'breadth[laws]'")
    from breadth.laws.both_axes import fit_both_axes

    return fit_both_axes


def test_a_line_is_demings():
    generator = np.random.default_rng(0)
    true = generator.uniform(0, 1, 50)
    x, y = true + 0.1 * generator.standard_normal(50), 2 * true + 1 + 0.1 * generator.standard_normal(50)
    found = odr()(y, x, 0.1, 0.1, form="linear", n_boot=0)
    sxx, syy, sxy = np.var(x), np.var(y), np.cov(x, y, bias=True)[0, 1]
    slope = (syy - sxx + np.sqrt((syy - sxx) ** 2 + 4 * sxy**2)) / (2 * sxy)
    assert found.params["a"].value == pytest.approx(slope, rel=1e-5)
    assert found.params["b"].value == pytest.approx(y.mean() - slope * x.mean(), rel=1e-5)
    assert found.plain.params["a"].value == pytest.approx(sxy / sxx)  # flatter


def test_least_squares_flattens_the_law_and_both_axes_do_not():
    fit, steep, flat = odr(), [], []
    for seed in range(12):
        generator = np.random.default_rng(seed)
        x = D + 0.02 * generator.standard_normal(60)
        found = fit(
            exponential(D, 0.0109, 1.023, 5.024) + 0.02 * generator.standard_normal(60), x, 0.02, 0.02, n_boot=0
        )
        steep.append(found.params["c"].value)
        flat.append(found.plain.params["c"].value)
        assert found.converged and 0.4 < found.scatter < 2
    assert np.mean(flat) < 4.9 < np.mean(steep) < 5.25


def test_tiny_errors_in_x_are_least_squares():
    y = exponential(D, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(0).standard_normal(60)
    found = odr()(y, D, 0.01, 1e-7, n_boot=0)
    assert found.params["c"].value == pytest.approx(found.plain.params["c"].value, rel=1e-4)


def test_rows_without_an_error_are_dropped_and_counted():
    y = exponential(D, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(0).standard_normal(60)
    found = odr()(y, D, [None, *[0.01] * 59], [*[0.01] * 58, None, 0.01], n_boot=0)
    assert (found.n, found.n_dropped) == (58, 2)
    nothing = odr()([0.5, 0.9], [0.8, 0.1], 0.1, 0.1)
    assert nothing.params["c"].value is None and nothing.note.startswith("only 2 distinct values")


def test_errors():
    fit = odr()
    with pytest.raises(
        ValueError, match="diversity_error: row 1 is 0; a standard error is positive, an unknown one is None"
    ):
        fit([0.5, 0.6], [0.1, 0.2], 0.1, [0.1, 0.0])
    with pytest.raises(ValueError, match="quality_error: expected one number or 2, got 3"):
        fit([0.5, 0.6], [0.1, 0.2], [0.1] * 3, 0.1)


def test_without_odrpack_the_pip_line_is_said(monkeypatch):
    from breadth.laws.both_axes import fit_both_axes

    monkeypatch.setitem(sys.modules, "odrpack", None)
    with pytest.raises(ImportError, match=r"errors in both axes need odrpack: pip install 'breadth\[laws\]'"):
        fit_both_axes([0.5], [0.1], 0.1, 0.1)
