"""Known parameters come back; the optimum is the global one; the law's mirror image fails."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from breadth.laws.composition import compose_laws
from breadth.laws.curves import CURVES, _logistic_axes, exponential
from breadth.laws.fit import fit_law

# the source paper's coefficients: R over D, R over H, H over D
A, B, C = 0.0109, 1.023, 5.024
A0, B0, C0 = 0.0433, 1.040, 9.086
A1, B1 = 0.518, -0.118
D = np.linspace(0.9, 0.25, 40)


@pytest.mark.parametrize(("a", "b", "c", "x"), [(A, B, C, D), (A0, B0, C0, A1 * D + B1)])
def test_points_on_the_published_curves_give_the_published_coefficients(a, b, c, x):
    fit = fit_law(exponential(x, a, b, c), x, n_boot=50)
    found = [fit.params[name].value for name in "abc"]
    assert found == pytest.approx([a, b, c], rel=1e-6)
    assert fit.verdict == "holds"
    assert fit.r2 == pytest.approx(1.0, abs=1e-12)


def test_the_line_of_entropy_over_diversity():
    fit = fit_law(A1 * D + B1, D, form="linear", y_name="H", n_boot=50)
    assert fit.formula == "H = a·D + b"
    assert (fit.params["a"].value, fit.params["b"].value) == pytest.approx((A1, B1), rel=1e-9)
    assert fit.verdict == "holds"


def test_composition_and_how_far_it_is_from_the_direct_law():
    h = A1 * D + B1
    composed = compose_laws(
        fit_law(exponential(h, A0, B0, C0), h, x_name="H", n_boot=50),
        fit_law(h, D, form="linear", y_name="H", n_boot=50),
        direct=fit_law(exponential(D, A, B, C), D, n_boot=0),
    )
    assert composed.a == pytest.approx(0.0148, abs=5e-5)
    assert composed.b == pytest.approx(1.040, rel=1e-6)
    assert composed.c == pytest.approx(4.71, abs=5e-3)
    assert composed.r_max == pytest.approx(1.040 - 0.0433, rel=1e-6)
    assert composed.direct == pytest.approx({"a": A, "b": B, "c": C}, rel=1e-6)
    # the published pair of laws and the published direct law disagree by about 0.02 of R over these D
    assert 0.01 < composed.gap < 0.03
    assert f"{composed.gap:.3f} of R" in composed.note


def test_the_figures_that_the_page_gives_for_how_far_apart_they_are():
    h = A1 * D + B1
    composed = compose_laws(fit_law(exponential(h, A0, B0, C0), h, x_name="H", n_boot=0), fit_law(h, D, form="linear", n_boot=0))
    d = np.linspace(0.25, 0.9, 6501)
    apart = exponential(d, composed.a, composed.b, composed.c) - exponential(d, A, B, C)
    where = np.abs(apart).argmax()
    assert apart[where] == pytest.approx(-0.017, abs=5e-4) and d[where] == pytest.approx(0.76, abs=5e-3)
    assert np.sqrt((apart**2).mean()) == pytest.approx(0.010, abs=5e-4)
    left = [np.log((b - r) / a) / c for a, b, c in ((composed.a, composed.b, composed.c), (A, B, C)) for r in (0.9, 0.95)]
    assert left == pytest.approx([0.477, 0.383, 0.482, 0.379], abs=5e-4)
    # the twin: with the line's intercept of the other sign the two laws are nowhere near each other
    flipped = compose_laws(fit_law(exponential(h, A0, B0, C0), h, n_boot=0), fit_law(A1 * D - B1, D, form="linear", n_boot=0))
    assert abs(exponential(0.76, flipped.a, flipped.b, flipped.c) - exponential(0.76, A, B, C)) > 1


def test_composition_refuses_other_forms_and_says_when_nothing_is_known():
    line = fit_law(A1 * D + B1, D, form="linear", n_boot=0)
    law = fit_law(exponential(D, A, B, C), D, n_boot=0)
    with pytest.raises(ValueError, match="fit_rh: expected the exponential form, got 'linear'"):
        compose_laws(line, line)
    with pytest.raises(ValueError, match="fit_hd: expected the linear form, got 'exponential'"):
        compose_laws(law, law)
    with pytest.raises(ValueError, match="direct: expected the exponential form, got 'linear'"):
        compose_laws(law, line, direct=line)
    nothing = compose_laws(fit_law([0.5, 0.6], [0.1, 0.2]), line)
    assert nothing.a is None and nothing.r_max is None
    assert "only 2 distinct values" in nothing.note


@pytest.mark.parametrize("seed", range(4))
def test_global_optimum_against_multi_start(seed):
    generator = np.random.default_rng(seed)
    x = generator.uniform(0.05, 0.95, 30)
    noise = 0.05 * generator.standard_normal(30)
    y = exponential(x, 10 ** generator.uniform(-3, -1), 1.0, generator.uniform(1, 12)) + noise
    fit = fit_law(y, x, n_boot=0)
    best = np.inf
    for _ in range(40):
        start = [generator.uniform(-8, 0), generator.uniform(0.5, 1.5), generator.uniform(-2, 4)]
        result = least_squares(
            lambda p: y + np.exp(np.clip(p[0] + np.exp(np.clip(p[2], -9, 6)) * x, -700, 50)) - p[1], start
        )
        best = min(best, 2 * result.cost)
    assert fit.rmse**2 * fit.n <= best * (1 + 1e-9)


def test_every_bootstrap_draw_is_at_its_optimum():
    from breadth.laws.curves import EXPONENTIAL
    from breadth.laws.projection import polish, search

    generator = np.random.default_rng(3)
    y = exponential(D, A, B, C) + 0.02 * generator.standard_normal(D.size)
    weight = generator.multinomial(D.size, np.full(D.size, 1 / D.size), size=20).astype(float)
    found = search(EXPONENTIAL, D, y, weight)
    for row, sse in zip(weight.astype(int), found.sse, strict=True):
        x_row, y_row = np.repeat(D, row), np.repeat(y, row)
        alone = polish(EXPONENTIAL, x_row, y_row, search(EXPONENTIAL, x_row, y_row, np.ones((1, x_row.size))))
        assert sse == pytest.approx(alone.sse[0], rel=1e-7)


def test_the_mirror_image_fails():
    noise = 0.005 * np.random.default_rng(0).standard_normal(D.size)
    law = fit_law(exponential(D, A, B, C) + noise, D, n_boot=200)
    mirror = fit_law(-exponential(D, A, B, C) + noise, D, n_boot=200)
    assert law.verdict == "holds"
    assert mirror.verdict == "does not hold"
    assert mirror.reason.startswith("R rises with D: rank correlation +")
    assert all(estimate.value is None for estimate in mirror.params.values())


@pytest.mark.parametrize("offset", [0.0, 0.98, 50.0])
def test_steep_curves_far_from_zero_stay_finite(offset):
    # exp(c·x) leaves the range of floats here; the curve does not
    x = offset + np.linspace(0, 0.01, 30)
    y = 1 - 0.5 * np.exp(1500 * (x - x.max()))
    fit = fit_law(y, x, n_boot=50)
    assert fit.params["c"].value == pytest.approx(1500, rel=1e-4)
    assert fit.predict(x[-1]).value == pytest.approx(0.5, abs=1e-6)
    assert fit.predict_diversity(0.75).value == pytest.approx(x[-1] + np.log(0.5) / 1500, abs=1e-6)
    if offset:
        assert fit.params["a"].value is None or fit.params["a"].value < 1e-200


@pytest.mark.parametrize("form", CURVES)
def test_every_form_finds_its_own_curve(form):
    curve = CURVES[form]
    truth = {"lam": 0.3, "a": 0.4, "b": 1.0, "c": 3.0, "b1": 0.8, "b2": 2.0, "b3": 6.0}
    x = np.linspace(0.05, 0.95, 40)
    y = curve.function(x, *(truth[name] for name in curve.params))
    fit = fit_law(y, x, form=form, n_boot=20)
    assert [fit.params[n].value for n in curve.params] == pytest.approx([truth[n] for n in curve.params], rel=1e-5)
    assert fit.verdict == "holds"
    middle = fit.predict(0.5).value
    assert fit.predict_diversity(middle).value == pytest.approx(0.5, abs=1e-6)
    # the slope that rmse_x divides by
    theta = np.array(curve.from_params(curve.anchor(x), *(truth[n] for n in curve.params))[2])
    slope = curve.shape_slope(np.array([0.5]), theta, curve.anchor(x))
    step = 1e-6
    ends = curve.shape(np.array([0.5 - step, 0.5 + step]), theta, curve.anchor(x))
    assert slope[0] == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-6)


def test_the_middle_of_a_logistic_is_looked_for_around_the_data():
    middle, steepness = _logistic_axes(np.array([2.0, 3.0, 2.5]))
    assert (middle.low, middle.high) == (1.0, 4.0) and steepness.low == pytest.approx(0.1)
