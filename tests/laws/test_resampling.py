"""Order, autocorrelation and blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.laws.resampling import block_length, block_weights, effective_size, gather, lag_correlation


def test_rows_are_sorted_inside_runs_and_runs_are_kept_apart():
    rows = gather([1, 2, 3, 4, None], [5, 6, 7, 8, 9], run=["b", "a", "b", "a", "a"], step=[20, 20, 10, 10, 0])
    assert rows.y.tolist() == [4, 2, 3, 1]
    assert rows.run.tolist() == [0, 0, 1, 1]
    assert rows.n_dropped == 1


def test_autocorrelation_does_not_cross_runs():
    residual = np.array([1.0, 1.0, -1.0, -1.0])
    assert lag_correlation(residual, np.array([0, 0, 1, 1]), 0) == 0.95  # alike inside, opposite across
    assert lag_correlation(residual, np.zeros(4, int), 0) == pytest.approx((1 - 1 + 1) / 4 * 4 / 3 / (1 - 2 / 4))
    assert lag_correlation(np.zeros(4), np.zeros(4, int), 2) == 0.0


def test_autocorrelation_is_recovered():
    generator = np.random.default_rng(0)
    found = {0.0: [], 0.5: []}
    for rho in found:
        for _ in range(60):
            shock = generator.standard_normal(200)
            series = shock.copy()
            for t in range(1, 200):
                series[t] = rho * series[t - 1] + np.sqrt(1 - rho**2) * shock[t]
            found[rho].append(lag_correlation(series, np.zeros(200, int), 0))
    assert np.mean(found[0.0]) < 0.05
    assert np.mean(found[0.5]) == pytest.approx(0.5, abs=0.03)
    assert effective_size(200, 0.5) == pytest.approx(66.67, abs=0.01)


@given(n=st.integers(1, 200), rho=st.floats(0, 0.95))
def test_block_length_is_within_the_run(n, rho):
    assert 1 <= block_length(n, rho) <= max(1, n // 3)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4), rho=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_weights_keep_each_runs_size(sizes, rho, seed):
    run = np.repeat(np.arange(len(sizes)), sizes)
    weight = block_weights(run, rho, 5, seed)
    assert weight.shape == (5, run.size)
    for label, size in enumerate(sizes):
        assert (weight[:, run == label].sum(1) == size).all()
    assert (weight == block_weights(run, rho, 5, seed)).all()


def test_every_checkpoint_is_drawn_alike_and_neighbours_together():
    weight = block_weights(np.zeros(27, int), 0.0, 4000, seed=1)
    assert weight.mean(0) == pytest.approx(np.ones(27), abs=0.08)
    correlation = np.corrcoef(weight.T)
    assert correlation[10, 11] > 0.4  # blocks of three share neighbours
    assert abs(correlation[10, 20]) < 0.15
