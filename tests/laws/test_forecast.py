"""Forecasts on runs whose future is known: recovery, coverage, what cannot be told, bad input."""

import numpy as np
import pytest

import breadth
from breadth.laws.forecast import _around, _forecast, _measured_at, forecast
from breadth.laws.prefix import Prefix
from breadth.laws.trend import fit_trend
from breadth.records import Prediction
from tests.laws.forecast_runs import Run, law


def target_diversity(r):
    return np.log((1.023 - r) / 0.0109) / 5.024


def test_a_law_that_holds_is_used_and_recovered():
    found = breadth.forecast(Run(noise=0.003), 0.95, at_step=150, final_step=250)
    assert (found.model, found.target_model, found.reached) == ("law", "law", "yes")
    assert found.reason.startswith("the law holds at this prefix")
    assert found.diversity_at_target.value == pytest.approx(target_diversity(0.95), abs=0.01)
    assert found.final_diversity.value == pytest.approx(0.3342, abs=0.05)
    assert found.final_quality.value == pytest.approx(law(0.3342), abs=0.03)
    assert found.sentence.startswith("grpo, seed 0, at step 150: at this pace R = 0.95 leaves D = 0.3")
    assert "(law; probability that it is reached 1.00)" in found.sentence


def test_a_short_prefix_falls_back_and_says_so():
    found = forecast(Run(noise=0.003), 0.95, at_step=40, final_step=250)
    assert (found.model, found.target_model, found.n) == ("monotone", "monotone", 5)
    assert found.reason.startswith("the law at this prefix: cannot tell (")
    assert "(monotone model" in found.sentence


def test_the_mirror_image_is_not_recovered():
    run = Run(noise=0.003)
    turned = Run(noise=0.003, quality=1 - run.r)  # R falls with the steps, as no run that learns does
    found = forecast(turned, 0.95, at_step=120, final_step=250)
    assert found.model == "monotone"
    assert found.reached == "no"


def test_intervals_contain_one_another_and_the_median():
    for at in (40, 120):
        found = forecast(Run(noise=0.01), 0.95, at_step=at, final_step=250)
        for p in (found.diversity_at_target, found.final_quality, found.final_diversity):
            assert p.low95 <= p.low80 <= p.value <= p.high80 <= p.high95


def test_coverage_on_thirty_runs():
    generator = np.random.default_rng(7)
    inside = {"final_diversity": [], "final_quality": []}
    for seed in range(30):
        run = Run(floor=generator.uniform(0, 0.8), time=10 ** generator.uniform(1, 2.5), noise=0.015, seed=seed)
        found = forecast(run, 0.95, at_step=100, final_step=250, n_draws=400)
        for name, truth in (("final_diversity", run.d[-1]), ("final_quality", run.r[-1])):
            p = getattr(found, name)
            inside[name].append((p.low80 <= truth <= p.high80, p.low95 <= truth <= p.high95))
    for shares in inside.values():
        share80, share95 = np.mean(shares, axis=0)
        # 30 runs: the standard error of a share of 0.8 is 0.07
        assert 0.6 <= share80 <= 0.97
        assert share95 >= 0.83


def test_a_target_that_is_never_reached():
    run = Run(floor=0.75, noise=0.005)  # R ends at 0.55
    found = forecast(run, 0.95, at_step=120, final_step=250)
    assert found.reached == "no" and found.probability < 0.05
    assert found.diversity_at_target == Prediction()
    assert "at this pace R = 0.95 is not reached" in found.sentence
    whole = forecast(run, 0.95, final_step=250)
    assert (whole.model, whole.reached, whole.diversity_at_target) == ("measured", "no", Prediction())
    assert "R = 0.95 was never reached" in whole.sentence


def test_a_target_that_was_reached_is_read_and_not_predicted():
    run = Run()
    found = forecast(run, 0.8, at_step=120, final_step=250)
    first = np.flatnonzero(run.r >= 0.8)[0]
    assert (found.target_model, found.reached, found.probability) == ("measured", "yes", 1.0)
    assert found.diversity_at_target.value == pytest.approx(run.d[first])


@pytest.mark.parametrize(("at", "n"), [(0, "1 checkpoint"), (10, "2 checkpoints")])
def test_too_short_a_prefix_cannot_tell(at, n):
    found = forecast(Run(), 0.9, at_step=at, final_step=250)
    assert (found.model, found.reached, found.probability) == ("none", "cannot tell", None)
    assert found.reason == f"only {n} with R and D by step {at}; at least 3 are needed"
    assert found.final_diversity == found.final_quality == found.diversity_at_target == Prediction()
    assert "cannot tell: only" in found.sentence


def test_missing_values_do_not_count_as_checkpoints():
    run = Run()
    run.d = [None if i % 2 else v for i, v in enumerate(run.d)]
    assert forecast(run, 0.95, at_step=40, final_step=250).n == 3
    assert forecast(run, 0.95, at_step=30, final_step=250).model == "none"


def test_constant_diversity_stays_where_it_is():
    run = Run(quality=np.linspace(0.4, 0.9, 26), diversity=np.full(26, 0.98))
    found = forecast(run, 0.95, at_step=120, final_step=250)
    assert found.model == "monotone" and "D is constant" in found.reason
    assert found.final_diversity.value == pytest.approx(0.98, abs=0.01)
    assert found.final_diversity.high95 <= 1.0


def test_without_a_final_step_the_end_is_not_forecast():
    found = forecast(Run(), 0.95, at_step=120)
    assert (found.final_step, found.reached, found.probability) == (None, "cannot tell", None)
    assert found.final_quality == Prediction() and found.diversity_at_target.value is not None
    assert found.sentence.endswith("; the end of training is not known.")


def test_values_outside_zero_and_one_are_not_clipped():
    run = Run(quality=np.linspace(-3, 5, 26), diversity=np.linspace(12, 4, 26))
    found = forecast(run, 6.0, at_step=120, final_step=250)
    assert found.final_quality.high95 > 1 and found.final_diversity.value < 9


def test_equal_input_gives_equal_forecasts():
    run = Run(noise=0.01)
    one = forecast(run, 0.95, at_step=120, final_step=250, seed=3)
    assert one == forecast(run, 0.95, at_step=120, final_step=250, seed=3)
    assert one != forecast(run, 0.95, at_step=120, final_step=250, seed=4)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"target_quality": np.nan}, ValueError, "target_quality: expected a finite number, got nan"),
        ({"at_step": -5}, ValueError, "at_step: expected 0 or later, where the checkpoints of the run begin, got -5"),
        ({"final_step": 100}, ValueError, "final_step: expected 250 or later, where the checkpoints end, got 100"),
        ({"n_draws": 10}, ValueError, "n_draws: expected at least 100, got 10"),
        ({"metric": "spread"}, ValueError, "grpo, seed 0: no rows of 'spread' in its ledger"),
        ({"run": "runs/circle"}, TypeError, r"run: expected a run as breadth.load_run\(path\) returns it, got str"),
    ],
)
def test_bad_input(change, kind, message):
    with pytest.raises(kind, match=message):
        forecast(**{"run": Run(), **change})


def test_trend_refuses_what_it_cannot_use():
    with pytest.raises(ValueError, match=r"step: expected at least 3 ascending steps, got \[0.0, 1.0\]"):
        fit_trend(np.array([0.0, 1.0]), np.array([0.5, 0.4]), -1)
    with pytest.raises(ValueError, match=r"direction: expected \+1 or -1, got 0"):
        fit_trend(np.arange(3.0), np.arange(3.0), 0)


def test_trend_curves_are_monotone_and_stay_in_their_room():
    t = np.arange(0.0, 60, 10)
    trend = fit_trend(t, 0.9 - 0.01 * t, -1, 0.01)
    draws = trend.draw(np.linspace(60, 5000, 50), 500, np.random.default_rng(0))
    assert draws.min() >= 0 and draws.max() <= 1
    assert (np.diff(draws.mean(0)) < 0.003).all()  # the mean over 500 draws: noise is averaged away
    assert trend.weight.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("probability", "said"),
    [(None, "cannot tell"), (0.0, "no"), (0.09, "no"), (0.11, "cannot tell"), (0.89, "cannot tell"), (0.91, "yes"), (1.0, "yes")],
)
def test_how_sure_one_must_be_to_say_yes_or_no(probability, said):
    facts = {"label": "grpo", "seed": 0, "at_step": 1.0, "final_step": 2.0, "n": 9, "target_quality": 0.9}
    known = Prediction(0.5, 0.4, 0.6, 0.3, 0.7)
    found = _forecast(facts, "law", "because", "law", probability, known, known, known)
    assert (found.reached, found.probability) == (said, probability)


def test_a_quality_that_only_the_mean_over_all_sets_reached_is_read_at_the_widest_such_checkpoint():
    step, low = np.arange(3.0), [[0.7, 0.7]] * 3
    prefix = Prefix(step, np.array([0.8, 0.95, 0.96]), np.array([0.9, 0.3, 0.5]), low, [[0.5, 0.5]] * 3, (None, None), (None, None))
    assert _measured_at(prefix, 0.9) == Prediction(0.5) and _measured_at(prefix, 0.99) is None


def test_what_was_measured_has_its_interval_around_it():
    found = _around(0.5, 0.1)
    assert found.low80 == pytest.approx(0.5 - 0.12816) and found.high80 == pytest.approx(0.5 + 0.12816)
    assert found.low95 == pytest.approx(0.5 - 0.196) and found.high95 == pytest.approx(0.5 + 0.196)
