"""Every draw's optimum is the global one, whichever checkpoints it left out."""

import numpy as np
import pytest

from breadth.laws.curves import CURVES, exponential
from breadth.laws.projection import polish, search, search_groups, solve_linear
from breadth.laws.resampling import block_weights


def least(curve, x, y, weight, points=1500):
    """Smallest sum of squares over a dense line of θ, from residuals."""
    axis = curve.axes(x)[0]
    found = np.full(len(weight), np.inf)
    for theta in np.geomspace(axis.low, axis.high, points):
        phi = np.broadcast_to(curve.shape(x, np.array([[theta]]), curve.anchor(x)), weight.shape)
        found = np.minimum(found, solve_linear(phi, y, weight, curve.intercept, curve.sign)[2])
    return found


@pytest.mark.parametrize("form", ["exponential", "power", "theory"])
@pytest.mark.parametrize(("n", "noise"), [(12, 0.03), (60, 0.01)])
def test_no_draw_is_above_a_dense_line(form, n, noise):
    # at 12 checkpoints a third of the draws lack the largest D: all that they see of a steep curve is tiny
    curve = CURVES[form]
    x = np.linspace(0.9, 0.25, n)
    y = exponential(x, 0.0109, 1.023, 5.024) + noise * np.random.default_rng(0).standard_normal(n)
    weight = block_weights(np.zeros(n, int), 0.0, 120, seed=0)
    found = search(curve, x, y, weight)
    total = (weight * (y - (weight @ y / n)[:, None]) ** 2).sum(1)
    assert (found.sse <= least(curve, x, y, weight) + 1e-9 * total).all()


def test_what_a_draw_does_not_see_does_not_count():
    # one checkpoint far above the others: without it, the fit is that of the others alone
    x = np.append(np.linspace(0.1, 0.3, 20), 0.95)
    y = np.append(1 - 0.05 * np.exp(20 * (x[:-1] - 0.3)), 0.0) + 0.002 * np.random.default_rng(1).standard_normal(21)
    weight = np.ones((2, 21))
    weight[0, -1] = 0.0
    curve = CURVES["exponential"]
    both = search(curve, x, y, weight)
    alone = search(curve, x[:-1], y[:-1], weight[:1, :-1])
    # the ranges of the search differ with the range of x, and so do their grids: 1e-5 of c
    assert both.theta[0, 0] == pytest.approx(alone.theta[0, 0], rel=1e-5)
    assert both.sse[0] == pytest.approx(alone.sse[0], rel=1e-9)
    # the twin that sees it is another curve
    assert abs(both.theta[1, 0] / both.theta[0, 0] - 1) > 0.2


def test_polishing_ends_where_the_derivative_vanishes():
    x = np.linspace(0.9, 0.25, 40)
    y = exponential(x, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(2).standard_normal(40)
    curve, ones = CURVES["exponential"], np.ones((1, 40))
    found = polish(curve, x, y, search(curve, x, y, ones))

    def sse(log_c):
        return solve_linear(curve.shape(x, np.exp([[log_c]]), found.anchor), y, ones, True, -1)[2][0]

    at, step = float(np.log(found.theta[0, 0])), 1e-3
    slope, bend = sse(at + step) - sse(at - step), sse(at + step) - 2 * sse(at) + sse(at - step)
    # the symmetric difference of a parabola's ends over its bend is its distance from the vertex; the cubic term leaves step²
    assert abs(step * slope / (2 * bend)) < 5 * step**2


@pytest.mark.parametrize("form", ["exponential", "falling_logistic", "linear"])
def test_groups_searched_together_are_as_each_alone(form):
    x = np.linspace(0.9, 0.25, 30)
    y = exponential(x, 0.0109, 1.023, 5.024) + 0.01 * np.random.default_rng(0).standard_normal(30)
    groups = [np.ones((1, 30)), block_weights(np.zeros(30, int), 0.0, 9, seed=0)]
    together = search_groups(CURVES[form], x, y, groups)
    for weight, found in zip(groups, together, strict=True):
        alone = search(CURVES[form], x, y, weight)
        for name in ("beta", "alpha", "theta", "sse", "at_low", "at_high"):
            assert np.array_equal(getattr(found, name), getattr(alone, name))
