"""Mean of pairwise distances and its jackknife."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadth.metrics import mean_pairwise


def test_hand_numbers():
    distance = np.array([[0.0, 0.2, 0.4], [0.2, 0.0, 0.9], [0.4, 0.9, 0.0]])
    value, error = mean_pairwise(distance)
    assert value == pytest.approx(0.5)
    left_out = np.array([0.9, 0.4, 0.2])
    assert error == pytest.approx(np.sqrt(2 / 3 * ((left_out - 0.5) ** 2).sum()))


def test_degenerate_sizes_and_an_ignored_diagonal():
    assert mean_pairwise(np.zeros((0, 0))) == (None, None)
    assert mean_pairwise(np.zeros((1, 1))) == (None, None)
    assert mean_pairwise(np.array([[np.nan, 0.5], [0.5, 7.0]])) == (0.5, None)


def test_the_argument_is_not_changed():
    distance = np.ones((3, 3))
    mean_pairwise(distance)
    assert distance.sum() == 9.0


@pytest.mark.parametrize("shape", [(2, 3), (3,), ()])
def test_a_matrix_must_be_square(shape):
    with pytest.raises(ValueError, match="expected a square matrix, got shape"):
        mean_pairwise(np.zeros(shape))


def test_numbers_must_be_finite():
    with pytest.raises(ValueError, match="expected finite numbers, got 2 that are not in an 2 × 2 matrix"):
        mean_pairwise(np.array([[0.0, np.nan], [np.nan, 0.0]]))


@given(st.integers(3, 12), st.integers(0, 1000))
def test_jackknife_agrees_with_leaving_one_out(n, seed):
    raw = np.random.default_rng(seed).random((n, n))
    distance = np.triu(raw, 1) + np.triu(raw, 1).T
    value, error = mean_pairwise(distance)
    keep = ~np.eye(n, dtype=bool)
    left_out = [distance[np.ix_(keep[i], keep[i])][np.triu_indices(n - 1, 1)].mean() for i in range(n)]
    assert value == pytest.approx(distance[np.triu_indices(n, 1)].mean())
    assert error == pytest.approx(np.sqrt((n - 1) / n * ((left_out - np.mean(left_out)) ** 2).sum()))


def test_jackknife_is_close_to_the_spread_over_fresh_samples():
    generator = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(400):
        x = generator.random(40)
        value, error = mean_pairwise(np.abs(x[:, None] - x[None, :]))
        values.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)
