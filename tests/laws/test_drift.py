"""Diversity through the entropy: what keeps, what collapses, what is learnt from finished runs."""

import numpy as np
import pytest

from breadth.laws.calibrate import _for_many, learn_drift, learn_quality, read_finished, read_lessons
from breadth.laws.drift import LEARNT, fit_drift
from breadth.laws.forecast import forecast, forecasts
from breadth.laws.forecast_score import FINAL_D, score_forecasts, tabulate

T = np.arange(0.0, 80.0, 10.0)


def curve(h):
    return 0.98 * (1 - np.exp(-3 * np.asarray(h)))


class Run:
    """Entropy decays at a pace of its own towards a floor, D follows it, R rises."""

    def __init__(self, seed, entropy=True):
        generator = np.random.default_rng(seed)
        self.label, self.seed, self.step = "grpo", seed, np.arange(0, 251, 10)
        floor, pace = generator.choice([0.0, 1.2]), 10 ** generator.uniform(1.3, 1.9)
        wander = np.cumsum(0.03 * generator.standard_normal(26))
        h = (floor + (2 - floor) * np.exp(-self.step / pace)) * np.exp(wander)
        d = np.clip(curve(h) + 0.004 * generator.standard_normal(26), 0, 1)
        r = 0.98 - 0.6 * np.exp(-self.step / 40) + 0.01 * generator.standard_normal(26)
        self.values = {"quality": r, "diversity": d} | ({"policy_entropy": h} if entropy else {})

    def series(self, metric):
        values = self.values.get(metric, [])
        return [
            {"step": int(s), "value": float(v), "error": 0.004, "sets": []}
            for s, v in zip(self.step, values, strict=False)
        ]


def test_entropy_that_stays_keeps_diversity_and_entropy_that_falls_takes_it():
    end = np.array([250.0])
    stays = fit_drift(T, curve(np.full(8, 1.2)), np.full(8, 1.2))
    assert stays.change(end)[0] == pytest.approx(0, abs=1e-12) and stays.at(np.log([1.2]))[0] == pytest.approx(
        curve(1.2)
    )
    h = 2 * np.exp(-T / 40)
    falls = fit_drift(T, curve(h), h)
    assert falls.slope == pytest.approx(-1 / 40) and falls.at(falls.log_entropy + falls.change(end))[0] < 0.1
    # the mirror image: entropy that rises as fast is not followed beyond what has been seen
    rises = fit_drift(T, curve(h[::-1]), h[::-1])
    assert rises.change(end)[0] == pytest.approx(0.3)


def test_damping_by_hand():
    h = 2 * np.exp(-T / 100)
    drift = fit_drift(T, curve(h), h)
    lasts = 4.0 * 70
    raw = -0.01 * lasts * (1 - np.exp(-180 / lasts))
    assert drift.change(np.array([250.0]))[0] == pytest.approx(raw * abs(raw) / (abs(raw) + 0.4))
    assert drift.change(np.array([70.0]))[0] == 0


def test_draws_widen_with_time_and_with_what_was_learnt():
    h = 2 * np.exp(-T / 60)
    drift = fit_drift(T, curve(h), h)
    near, far = drift.draw(np.array([90.0, 250.0]), 3000, np.random.default_rng(0), share=0.3).T
    assert np.ptp(np.quantile(near, (0.1, 0.9))) < np.ptp(np.quantile(far, (0.1, 0.9)))
    assert ((far >= 0) & (far <= 1)).all()
    early, late = (drift.spread(np.array([250.0]), share)[0] for share in (0.1, 0.3))
    assert early / late == pytest.approx(dict(LEARNT.widen)[0.1] / dict(LEARNT.widen)[0.3])
    few = fit_drift(T[-7:], curve(h[-7:]), h[-7:])
    assert (drift.n, few.n) == (8, 7)  # from eight checkpoints on a width of its own, never a narrower one
    at_half = [d.spread(T[-1:] + 50, 0.5)[0] / d.spread(T[-1:] + 50, 0.1)[0] for d in (drift, few)]
    assert at_half == pytest.approx([table[0.5] / table[0.1] for table in (dict(LEARNT.widen_many), dict(LEARNT.widen))])
    assert all(own >= common for (_, own), (_, common) in zip(LEARNT.widen_many, LEARNT.widen, strict=True))


def test_bad_input():
    with pytest.raises(ValueError, match="step: expected at least 3 ascending steps, got"):
        fit_drift(T[:2], T[:2], T[:2])
    assert fit_drift(T, curve(np.ones(8)), np.linspace(1, -1, 8)) is None  # the entropy of a density
    assert np.isfinite(fit_drift(T, np.zeros(8), np.zeros(8)).draw(T[-1:] + 50, 100, np.random.default_rng(0))).all()


def test_the_forecast_says_what_it_rests_on():
    with_h, without = (forecast(Run(1, entropy=e), 0.99, at_step=70, final_step=250) for e in (True, False))
    assert (with_h.model, without.model) == ("entropy", "monotone")
    assert "(through the entropy" in with_h.sentence and "(monotone model" in without.sentence
    run = Run(1)
    run.values["policy_entropy"] = [*run.values["policy_entropy"][:3], float("nan"), *run.values["policy_entropy"][4:]]
    assert forecast(run, 0.99, at_step=70, final_step=250).model == "monotone"
    one, two = forecasts(Run(1), (0.9, 0.95), 70, 250)
    assert one == forecast(Run(1), 0.9, 70, 250) and two.final_diversity == one.final_diversity


def test_learnt_widths_hold_the_ends_of_other_runs():
    learnt = read_finished([Run(seed) for seed in range(20)], shares=[0.3])
    settings, widen = learn_drift(learnt), learn_quality(learnt, n_draws=200)
    assert len(learnt) == 20 and [share for share, _ in settings.widen] == [0.3] and widen[0][1] >= 1
    others = [Run(seed) for seed in range(100, 120)]
    cases, _ = score_forecasts(others, [0.3], [0.995], n_draws=300, settings=settings, widen_quality=widen)
    score = next(s for s in tabulate(cases) if s.quantity == FINAL_D)
    # 20 runs: the standard error of a share of 0.8 is 0.09
    assert score.coverage80 >= 0.55
    assert score.mean < score.mean_persistence


def test_many_checkpoints_have_a_width_of_their_own_where_both_kinds_are_known():
    share, needed = np.full(50, 0.5), np.concatenate([np.linspace(0, 1, 25), np.linspace(1, 2, 25)])
    seen = np.repeat([4, 13], 25)
    common = ((0.5, 1.5),)
    assert _for_many(common, share, seen, needed) == ((0.5, pytest.approx(1.833, abs=1e-3)),)  # the 21st of 25
    assert _for_many(common, share, seen[::-1], needed) == common  # never narrower
    assert _for_many(common, share[:40], seen[:40], needed[:40]) == common  # 15 of one kind: too few


def test_lessons_of_some_cases_are_what_those_cases_teach():
    cases = read_finished([Run(seed) for seed in range(8)], shares=[0.2, 0.5])
    few = np.arange(len(cases)) % 3 > 0
    some = [case for case, kept in zip(cases, few, strict=True) if kept]
    lessons = read_lessons(cases, n_draws=100)[few]
    assert learn_drift(lessons) == learn_drift(some)
    assert learn_quality(lessons) == learn_quality(some, n_draws=100)
