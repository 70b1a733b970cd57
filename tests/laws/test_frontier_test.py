"""Whole frontiers: the curve, the band, area and hypervolume, equal budgets, sizes; Holm's correction."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.laws.frontier import attainment_curve, attainment_matrix
from breadth.laws.frontier_test import frontier_test
from breadth.laws.lift import lift_from_values
from breadth.laws.multiple import correct_lifts, holm
from breadth.laws.simultaneous import simultaneous_band

STEPS = np.arange(0, 110, 10)


class Run:
    """R rises from 0.4 to ``top``; D falls with R, higher by ``gain`` and, in each seed, a little otherwise."""

    def __init__(self, label, seed, gain=0.0, top=0.98, last=100, sets=4, settings=None, noise=0.01):
        self.label, self.seed, self.sets = label, seed, sets
        if settings is not None:
            self.settings = settings
        self.steps = STEPS[last >= STEPS]
        share = self.steps / 100
        generator = np.random.default_rng([seed, len(label), int(1000 * gain)])
        self.r = 0.4 + (top - 0.4) * (1 - (1 - share) ** 2)
        own = gain + 0.005 * generator.standard_normal() + 0.005 * generator.standard_normal() * share
        self.d = 0.9 - 0.5 * share**2 + own * np.minimum(1, 4 * share)
        self.noise = noise * generator.standard_normal((2, self.steps.size, sets))

    def series(self, metric):
        values = {"quality": self.r, "diversity_valid": self.d}.get(metric)
        if values is None:
            return []
        noise = self.noise[0 if metric == "quality" else 1]
        return [
            {"step": int(s), "value": float(v), "sets": (v + e).tolist(), "error": 0.01}
            for s, v, e in zip(self.steps, values, noise, strict=True)
        ]


def runs(label, n, **about):
    return [Run(label, seed, **about) for seed in range(n)]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_fast_frontier_is_the_careful_one(data):
    value = st.one_of(st.none(), st.floats(0, 1))
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    r, d = (
        data.draw(st.lists(st.lists(value, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]))
        for _ in "rd"
    )
    grid = np.linspace(0, 1, 7)
    slow = [np.nan if point.value is None else point.value for point in attainment_curve(r, d, grid)]
    assert attainment_matrix(r, d, grid) == pytest.approx(slow, nan_ok=True)


def test_a_gain_is_bought_and_its_mirror_image_lost():
    a, b = runs("darling", 5, gain=0.2), runs("grpo", 5)
    found, mirror = frontier_test(a, b), frontier_test(b, a)
    assert (found.area.verdict, found.hypervolume.verdict) == ("bought", "bought")
    assert (mirror.area.verdict, mirror.hypervolume.verdict) == ("lost", "lost")
    assert mirror.area.value == pytest.approx(-found.area.value)
    assert mirror.difference == pytest.approx([-v for v in found.difference])
    assert mirror.low == pytest.approx([-v for v in found.high]) and mirror.lost == found.bought != ()
    assert (
        found.sentence.startswith("darling bought 0.1")
        and "By the simultaneous band, darling: bought at R = " in found.sentence
    )
    assert json.dumps(found.quality) and len(found.quality) == len(found.low) == 41
    assert found.quality[0] == pytest.approx(0.4, abs=0.03) and found.quality[-1] < 0.99


def test_no_gain_is_the_same_or_cannot_be_told():
    found = frontier_test(runs("darling", 8), runs("grpo", 8))
    assert found.area.verdict in ("the same", "cannot tell") and not found.bought and not found.lost
    assert found.area.seeds_for_margin is not None


def test_budget_checkpoints_and_sets_are_made_equal():
    found = frontier_test(runs("a", 3, gain=0.1, last=100, sets=4), runs("b", 3, last=60, sets=2))
    assert (found.budget, found.n_checkpoints, found.n_sets) == (60.0, 7, 2)
    train = {"train": {"prompts": 2, "group_size": 8}}
    double = {"train": {"prompts": 2, "group_size": 16}}
    counted = frontier_test(runs("a", 3, settings=train), runs("b", 3, settings=double))
    assert (counted.budget, counted.n_checkpoints) == (1600.0, 6)  # 100 steps of 16: every second checkpoint of B's


def test_unreached_qualities_count_as_nothing_in_the_hypervolume_only():
    found = frontier_test(runs("a", 4, top=0.7), runs("b", 4, top=0.98))
    assert found.quality[-1] < 0.75 and found.hypervolume.verdict == "lost"
    assert found.hypervolume.value < found.area.value - 0.1


def test_what_cannot_be_told_is_said():
    two = frontier_test(runs("a", 2, gain=0.2), runs("b", 2))
    assert two.critical is None and two.low[0] is None and two.sentence.endswith("No band: 3 seeds are needed for one.")
    one = frontier_test(runs("a", 1), runs("b", 1))
    assert one.area is None and one.sentence.endswith("a and b share 1 seed; two are needed.")
    flat = frontier_test(runs("a", 3, top=0.3), runs("b", 3))
    assert flat.area is None and "never gets beyond the quality of the prior" in flat.sentence
    apart = frontier_test(runs("a", 3, last=0), runs("b", 3))
    assert "share 1 checkpoint at equal rollouts" in apart.sentence
    with pytest.raises(TypeError, match="runs_a: expected runs"):
        frontier_test("a", runs("b", 3))
    with pytest.raises(ValueError, match="no rows of 'novelty'"):
        frontier_test(runs("a", 2), runs("b", 2), metric="novelty")


def test_the_band_of_one_point_is_students():
    paths = np.random.default_rng(0).standard_normal((6, 1)) + 1
    low, high, k = simultaneous_band(paths)
    assert k == pytest.approx(2.571, abs=0.12)  # t, 5 degrees of freedom; 4,000 draws
    assert (high - low)[0] == pytest.approx(2 * k * paths.std(ddof=1) / np.sqrt(6))
    same = simultaneous_band(np.ones((4, 5)))
    assert same[2] == 0.0 and (same[0] == 1).all() and (same[1] == 1).all()
    with pytest.raises(ValueError, match="paths: expected a finite matrix"):
        simultaneous_band(np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("n", [3, 6])
def test_the_band_holds_the_whole_curve(n):
    generator, at = np.random.default_rng(n), np.linspace(0, 1, 15)
    kernel = np.linalg.cholesky(np.exp(-((at[:, None] - at) ** 2) / 0.1) + 1e-9 * np.eye(15)) * (0.2 + at)[:, None]
    outside = 0
    for _ in range(40):
        low, high, _ = simultaneous_band(generator.standard_normal((n, 15)) @ kernel.T)
        outside += bool((low > 0).any() or (high < 0).any())
    assert outside <= 7  # 40 bands: 5 % and three and a half standard errors


def simulate():
    folder = Path(__file__).parents[2] / "benchmarks"
    if not (folder / "frontier_size.py").is_file():
        pytest.skip("benchmarks/ is not there")
    sys.path.insert(0, str(folder))
    try:
        from frontier_size import simulate
    finally:
        sys.path.remove(str(folder))
    return simulate


def test_size_and_power_of_three_seeds():
    nothing, much = (simulate()(3, gain, 15) for gain in (0.0, 0.15))
    for name in nothing:
        assert (
            nothing[name]["bought"] + nothing[name]["lost"] <= 0.25
        )  # 15 pairs: 5 % and three and a half standard errors
    assert much["area"]["bought"] >= 0.8 and much["area"]["lost"] == 0


@pytest.mark.nightly
@pytest.mark.parametrize("tails", ["normal", "heavy"])
@pytest.mark.parametrize("n", [3, 5, 10])
def test_size_at_length(n, tails):
    found = simulate()(n, 0.0, 600, tails=tails)
    print(f"\nSIZE {n} seeds, {tails}: {found}")
    for shares in found.values():
        assert shares["bought"] + shares["lost"] <= 0.05 + 0.02  # 5 % and two standard errors


def test_holm_by_hand_and_in_any_order():
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9, None]) == [1.0, 1.0, None] and holm([]) == []


def test_corrected_verdicts():
    strong = lift_from_values([0.80, 0.83, 0.79], [0.31, 0.30, 0.33])
    weak = lift_from_values([0.50, 0.62, 0.55], [0.40, 0.48, 0.47])
    none = lift_from_values([0.5, 0.6, 0.4], [0.45, 0.40, 0.45])
    assert [x.verdict for x in (strong, weak, none)] == ["bought", "bought", "cannot tell"] and 0.017 < weak.p < 0.05
    found = correct_lifts([strong, weak, none])
    assert [x.verdict_holm for x in found] == ["bought", "cannot tell", "cannot tell"]
    assert found[1].p_holm == pytest.approx(2 * weak.p)
    alone = correct_lifts([weak])
    assert (alone[0].verdict_holm, alone[0].p_holm) == ("bought", weak.p)
