"""Every law of the catalogue on any numbers: a fit or a reason, never NaN, and the same verdict in other units of quality."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import breadth
from breadth import catalogue
from breadth.laws.frontier import diversity_at_quality, highest_reached
from breadth.laws.lift import lift_from_values

LAWS = list(catalogue.entries("law"))
SLOW = list(HealthCheck)
unit = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 1e-12, 1 - 1e-12])


@st.composite
def clouds(draw) -> tuple[np.ndarray, np.ndarray]:
    """D in [0, 1] and R: any, on a curve, constant, with two values, with gaps; huge and tiny, as far as squares go."""
    n = draw(st.integers(1, 24))
    x = np.array(draw(st.lists(unit, min_size=n, max_size=n)))
    kind = draw(st.sampled_from(["any", "curve", "line", "constant", "two"]))
    noise = np.array(draw(st.lists(unit, min_size=n, max_size=n))) - 0.5
    y = {
        "any": noise, "curve": 1 - 0.01 * np.exp(draw(st.floats(-8, 8)) * x) + 0.01 * noise, "line": 1 - x, "constant": 0 * x + 0.3,
        "two": (noise > 0) * 1.0,
    }[kind]  # fmt: skip
    y = y * draw(st.sampled_from([1e-100, 1e-9, 1.0, 1e6, 1e100])) + draw(st.sampled_from([0.0, -1.0, 1e6]))
    gone = np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))) == 0
    return np.where(gone, np.nan, y), x


def check_law(form: str, cloud: tuple[np.ndarray, np.ndarray], n_boot: int) -> None:
    y, x = cloud
    more = {"r_max": float(max(1.0, np.nanmax(y, initial=0.0)))} if form == "theory" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        fit = breadth.fit_law(y, x, form=form, n_boot=n_boot, **more)
        read = [fit.predict(0.5), fit.predict(2.0), *(fit.predict_diversity(q) for q in (0.2, *fit.y[:1]))]
    assert fit.verdict in ("holds", "does not hold", "cannot tell") and (fit.reason or fit.verdict == "holds")
    for value in (fit.r2, fit.rmse, fit.lack_of_fit_p, *(v for p in fit.params.values() for v in (p.value, p.low, p.high))):
        assert value is None or math.isfinite(value), fit
    assert fit.r2 is None or fit.r2 <= 1 + 1e-9
    assert fit.rmse is None or fit.rmse >= 0
    assert fit.n + fit.n_dropped == len(x) and 0 <= fit.n_effective <= fit.n
    for p in fit.params.values():
        assert p.low is None or p.high is None or p.low <= p.high
    for found in read:
        assert all(v is None or math.isfinite(v) for v in (found.value, found.low, found.high)), (fit, found)
        if fit.interval == "profile" and found.value is not None:  # percentiles of draws may lie beside the estimate, a profile holds it
            slack = 1e-5 * (abs(found.value) + max(map(abs, fit.y), default=0) + max(map(abs, fit.x), default=0))
            assert (found.low is None or found.low <= found.value + slack) and (found.high is None or found.value <= found.high + slack), (fit, found)


@pytest.mark.parametrize("form", LAWS)
@settings(max_examples=6, deadline=None, suppress_health_check=SLOW)
@given(cloud=clouds())
def test_any_numbers(form, cloud):
    check_law(form, cloud, 0)


@pytest.mark.nightly
@pytest.mark.parametrize("form", LAWS)
@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(cloud=clouds(), n_boot=st.sampled_from([0, 20]))
def test_any_numbers_in_many_cases(form, cloud, n_boot):
    check_law(form, cloud, n_boot)


some_sets = st.lists(st.lists(unit | st.none(), min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(r=some_sets, d=some_sets, quality=unit)
def test_any_frontier(r, d, quality):
    r, d = r[: len(d)], d[: len(r)]
    found = diversity_at_quality(r, d, quality)
    assert (found.value is None) <= bool(found.reason)
    assert found.value is None or 0 <= found.value <= 1
    assert found.error is None or (math.isfinite(found.error) and found.error >= 0)
    highest = highest_reached(r, d)
    assert highest is None or 0 <= highest <= 1


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(pairs=st.lists(st.tuples(unit | st.none(), unit | st.none()), min_size=1, max_size=6), scale=st.sampled_from([1e-150, 1.0, 1e100]))
def test_any_lift(pairs, scale):
    a, b = ([None if v is None else scale * v for v in side] for side in zip(*pairs, strict=True))
    found = lift_from_values(a, b, margin=0.02 * scale)
    assert found.verdict in ("bought", "lost", "the same", "cannot tell") and found.sentence.endswith(".")
    for value in (found.value, found.low, found.high, found.p):
        assert value is None or math.isfinite(value)
    assert found.p is None or 0 <= found.p <= 1
    mirrored = lift_from_values(b, a, margin=0.02 * scale)
    assert {"bought": "lost", "lost": "bought"}.get(found.verdict, found.verdict) == mirrored.verdict
