"""NIST StRD certified nonlinear regressions: parameters and residual sum of squares to eight digits.

Source: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml (public domain).
"""

import numpy as np
import pytest

from breadth.laws.curves import CURVES
from breadth.laws.fit import fit_law

MISRA1A = {
    "form": "saturating",
    "x": [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0],
    "y": [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40, 75.47, 81.78],
    "params": {"b1": 2.3894212918e02, "b2": 5.5015643181e-04},
    "sse": 1.2455138894e-01,
}
BOXBOD = {
    "form": "saturating",
    "x": [1, 2, 3, 5, 7, 10],
    "y": [109, 149, 149, 191, 213, 224],
    "params": {"b1": 2.1380940889e02, "b2": 5.4723748542e-01},
    "sse": 1.1680088766e03,
}
RAT42 = {
    "form": "logistic",
    "x": [9, 14, 21, 28, 42, 57, 63, 70, 79],
    "y": [8.93, 10.80, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08],
    "params": {"b1": 7.2462237576e01, "b2": 2.6180768402e00, "b3": 6.7359200066e-02},
    "sse": 8.0565229338e00,
}
DANWOOD = {
    "form": "power_origin",
    "x": [1.309, 1.471, 1.490, 1.565, 1.611, 1.680],
    "y": [2.138, 3.421, 3.597, 4.340, 4.882, 5.660],
    "params": {"b1": 7.6886226176e-01, "b2": 3.8604055871e00},
    "sse": 4.3173084083e-03,
}
SETS = {"Misra1a": MISRA1A, "BoxBOD": BOXBOD, "Rat42": RAT42, "DanWood": DANWOOD}


@pytest.mark.parametrize("name", SETS)
def test_certified_values(name):
    data = SETS[name]
    fit = fit_law(data["y"], data["x"], form=data["form"], n_boot=0, x_name="x", y_name="y")
    # 1e-7: the certified values have eleven digits, a least-squares minimum in double precision gives about eight
    for param, certified in data["params"].items():
        assert fit.params[param].value == pytest.approx(certified, rel=1e-7)
    assert fit.rmse**2 * fit.n == pytest.approx(data["sse"], rel=1e-9)


@pytest.mark.parametrize("name", SETS)
def test_a_flipped_sign_is_not_the_certified_optimum(name):
    data = SETS[name]
    flipped = fit_law([-y for y in data["y"]], data["x"], form=data["form"], n_boot=0, x_name="x", y_name="y")
    assert flipped.params[next(iter(data["params"]))].value is None
    assert flipped.verdict != "holds"


@pytest.mark.parametrize("name", SETS)
def test_curve_function_agrees_with_its_separable_form(name):
    data = SETS[name]
    fit = fit_law(data["y"], data["x"], form=data["form"], n_boot=0)
    values = CURVES[data["form"]].function(np.array(data["x"]), **data["params"])
    assert values == pytest.approx([fit.predict(x).value for x in data["x"]], rel=1e-7)


def test_certified_data_still_cannot_tell_with_six_points():
    fit = fit_law(BOXBOD["y"], BOXBOD["x"], form="saturating", x_name="x", y_name="y")
    assert fit.verdict == "cannot tell"
    assert "effective points" in fit.reason and "8 needed" in fit.reason
