"""What a fit must not depend on: the scale and origin of R, the order of rows, chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.laws.curves import exponential
from breadth.laws.fit import fit_law

D = np.linspace(0.9, 0.2, 26)
STEP = np.arange(26) * 10


def data(seed):
    return exponential(D, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(seed).standard_normal(26)


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.1, 100), shift=st.floats(-10, 10), seed=st.integers(0, 50))
def test_scale_and_shift_of_quality(scale, shift, seed):
    y = data(seed)
    one, other = fit_law(y, D), fit_law(scale * y + shift, D)
    # 1e-5: the least-squares minimum is flat, so rounding moves c by the root of the machine's precision
    assert other.params["c"].value == pytest.approx(one.params["c"].value, rel=1e-5)
    assert other.params["c"].high == pytest.approx(one.params["c"].high, rel=1e-3)  # a rounded sum of squares moves the edge
    assert other.params["a"].value == pytest.approx(scale * one.params["a"].value, rel=1e-4)
    assert other.params["b"].value == pytest.approx(scale * one.params["b"].value + shift, rel=1e-4, abs=1e-4)
    assert other.rmse == pytest.approx(scale * one.rmse, rel=1e-6)
    assert other.rmse_x == pytest.approx(one.rmse_x, rel=1e-4)
    assert (other.verdict, other.r2) == (one.verdict, pytest.approx(one.r2))


@settings(max_examples=20, deadline=None)
@given(factor=st.floats(0.01, 100), seed=st.integers(0, 50))
def test_unit_of_diversity(factor, seed):
    y = data(seed)
    one, other = fit_law(y, D, n_boot=0), fit_law(y, factor * D, n_boot=0)
    assert other.params["c"].value * factor == pytest.approx(one.params["c"].value, rel=1e-5)
    assert other.rmse_x == pytest.approx(factor * one.rmse_x, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(order=st.permutations(range(26)), seed=st.integers(0, 50))
def test_order_of_rows_does_not_matter_when_steps_are_given(order, seed):
    y, order = data(seed), np.array(order)
    run = np.array(["a", "b"])[np.arange(26) % 2]
    for kind in ("profile", "bootstrap"):
        one = fit_law(y, D, run=run, step=STEP, n_boot=30, interval=kind)
        other = fit_law(y[order], D[order], run=run[order], step=STEP[order], n_boot=30, interval=kind)
        assert one == other
    assert (one.draws == other.draws).all()


def test_order_of_rows_sets_the_blocks_when_steps_are_not_given():
    y = data(0)
    order = np.random.default_rng(0).permutation(26)
    one, other = (fit_law(values, x, n_boot=200, interval="bootstrap") for values, x in ((y, D), (y[order], D[order])))
    assert other.params["c"].value == pytest.approx(one.params["c"].value, rel=1e-7)
    assert other.params["c"].low != one.params["c"].low


def test_seed_sets_the_draws():
    y = data(1)
    by_draws = {"n_boot": 50, "interval": "bootstrap"}
    assert fit_law(y, D, seed=3, **by_draws) == fit_law(y, D, seed=3, **by_draws)
    assert fit_law(y, D, seed=3, **by_draws) != fit_law(y, D, seed=4, **by_draws)
    assert fit_law(y, D, seed=3) == fit_law(y, D, seed=4)  # a profile needs none


def test_one_label_for_the_run_is_no_label():
    y = data(2)
    assert fit_law(y, D, run="darling/seed-0", n_boot=50) == fit_law(y, D, n_boot=50)


def test_two_thousand_draws_of_a_hundred_checkpoints_are_quick():
    import time

    x = np.linspace(0.9, 0.2, 100)
    y = exponential(x, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(0).standard_normal(100)
    start = time.perf_counter()
    fit_law(y, x, n_boot=2000)
    assert time.perf_counter() - start < 2.0  # 0.1 s on an idle core
