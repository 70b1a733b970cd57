"""Scoring: what counts as truth, what the rivals say, how coverage and reach are counted."""

import numpy as np
import pytest

from breadth.laws.forecast_score import FINAL_D, FINAL_R, Case, Reach, score_forecasts, tabulate, tabulate_reach
from breadth.records import Prediction
from tests.laws.forecast_runs import Run


def test_truth_and_rivals_of_a_straight_run():
    t = np.arange(0, 251, 10)
    run = Run(quality=0.4 + 0.002 * t, diversity=0.9 - 0.002 * t)
    cases, reaches = score_forecasts([run], shares=[0.3], targets=[0.6, 0.95])
    by = {c.quantity: c for c in cases}
    assert set(by) == {"D at R >= 0.6", FINAL_D, FINAL_R}  # 0.95 was never reached
    assert by["D at R >= 0.6"].truth == pytest.approx(0.7)
    assert by["D at R >= 0.6"].persistence == pytest.approx(0.9 - 0.002 * 70)
    assert by["D at R >= 0.6"].spline == pytest.approx(0.7, abs=0.025)  # at the checkpoint before or after
    assert (by[FINAL_D].truth, by[FINAL_R].truth) == pytest.approx((0.4, 0.9))
    assert (by[FINAL_D].spline, by[FINAL_R].spline) == pytest.approx((0.4, 0.9), abs=1e-6)
    assert [(r.target, r.happened) for r in reaches] == [(0.6, True), (0.95, False)]


def test_targets_that_the_prefix_has_reached_are_not_scored():
    cases, reaches = score_forecasts([Run()], shares=[0.5], targets=[0.5])
    assert {c.quantity for c in cases} == {FINAL_D, FINAL_R} and reaches == []


def test_short_prefixes_are_left_out_and_nothing_of_the_future_is_seen():
    run = Run(noise=0.01)
    assert score_forecasts([run], shares=[0.05]) == ([], [])
    later = Run(noise=0.01)
    later.d[20:], later.r[20:] = 0.01, 0.1
    one, other = (score_forecasts([r], shares=[0.3], targets=[0.99])[0] for r in (run, later))
    assert [c.predicted for c in one] == [c.predicted for c in other]
    assert [c.persistence for c in one] == [c.persistence for c in other]


def test_errors_skill_and_coverage():
    inside, outside = Prediction(0.4, 0.3, 0.5, 0.2, 0.6), Prediction(0.9, 0.8, 1.0, 0.6, 1.0)
    cases = [
        Case("a", 0.3, FINAL_D, 0.45, inside, 0.65, 0.45, "law"),
        Case("b", 0.3, FINAL_D, 0.75, outside, 0.35, 0.75, "monotone"),
        Case("c", 0.3, FINAL_D, 0.75, Prediction(), 0.35, 0.75, "none"),
    ]
    (score,) = tabulate(cases)
    assert (score.n, score.n_untold, score.n_law) == (2, 1, 1)
    assert (score.median, score.mean_persistence) == pytest.approx((0.1, 0.3))
    assert (score.coverage80, score.coverage95) == (0.5, 1.0)
    assert score.skill("persistence", "mean") == pytest.approx(1 - 0.1 / 0.3)
    assert score.skill("spline") is None  # its error is 0


def test_a_quantity_that_nobody_could_tell_has_no_numbers():
    (score,) = tabulate([Case("c", 0.3, FINAL_D, 0.75, Prediction(), 0.35, 0.75, "none")])
    assert (score.n, score.median, score.coverage80, score.skill("persistence")) == (0, None, None, None)


def test_reach():
    rows = [Reach(str(i), 0.3, 0.9, p, v, h) for i, (p, v, h) in enumerate([(1.0, "yes", True), (0.0, "no", True)])]
    (score,) = tabulate_reach(rows)
    assert (score.brier, score.brier_base, score.n_yes_right, score.n_no_right) == (0.5, 0.0, 1, 0)


def test_bad_shares():
    with pytest.raises(ValueError, match="shares: expected numbers between 0 and 1, got 30"):
        score_forecasts([Run()], shares=[30])
