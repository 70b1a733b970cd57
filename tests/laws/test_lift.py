"""The four verdicts, what is missing, and how many seeds would tell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_rel

from breadth.laws.lift import lift, lift_from_values
from breadth.laws.power import paired_power, seeds_that_would_tell

NAMES = {"labels": ("darling", "grpo"), "at": "R >= 0.90", "quality": 0.9}


class Run:
    """What lift needs of a run; R rises with the step while D falls."""

    def __init__(self, label, seed, diversity, top=1.0, last=100):
        self.label, self.seed = label, seed
        self.diversity, self.top, self.last = diversity, top, last

    def series(self, metric):
        steps = [s for s in (0, 50, 100, 150) if s <= self.last]
        if metric == "quality":
            values = [self.top * (0.5 if s == 0 else 1.0) for s in steps]
        elif metric == "diversity_valid":
            values = [0.95 if s == 0 else self.diversity - s / 1000 for s in steps]
        else:
            return []
        return [{"step": s, "value": v, "error": 0.0, "n": 40, "sets": [v] * 4} for s, v in zip(steps, values)]  # noqa: B905


def test_bought_and_lost_are_mirror_images():
    found = lift_from_values([0.80, 0.83, 0.79], [0.31, 0.30, 0.33], **NAMES)
    test = ttest_rel([0.80, 0.83, 0.79], [0.31, 0.30, 0.33])
    low, high = test.confidence_interval(0.95)
    assert (found.verdict, found.n_seeds, found.seeds_needed) == ("bought", 3, None)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.p == pytest.approx(test.pvalue) and found.p != pytest.approx(2 * student.sf(test.statistic, 3))
    other = lift_from_values([0.31, 0.30, 0.33], [0.80, 0.83, 0.79], **NAMES | {"labels": ("grpo", "darling")})
    assert (other.verdict, other.value) == ("lost", pytest.approx(-found.value))
    assert other.sentence.startswith("grpo lost 0.493 of diversity against darling at R >= 0.90 (95 % interval -0.581")


def test_the_same_within_the_margin():
    found = lift_from_values([0.500, 0.501, 0.499, 0.502], [0.499, 0.502, 0.500, 0.501], **NAMES)
    assert found.verdict == "the same"
    assert found.sentence.startswith("darling and grpo keep the same diversity within 0.02 at R >= 0.90 (difference ")
    # significant, but smaller than what is worth a name
    tiny = lift_from_values([0.505, 0.506, 0.507], [0.500, 0.501, 0.502], **NAMES)
    assert tiny.low > 0 and tiny.verdict == "the same"
    assert lift_from_values([0.505, 0.506, 0.507], [0.500, 0.501, 0.502], margin=0.001).verdict == "bought"


def test_cannot_tell_says_how_many_seeds_would():
    found = lift_from_values([0.50, 0.60, 0.40], [0.45, 0.40, 0.45], **NAMES)
    assert found.verdict == "cannot tell"
    assert found.seeds_needed == seeds_that_would_tell(np.std([0.05, 0.2, -0.05], ddof=1), 0.2 / 3, 3)
    assert found.seeds_needed == 30
    assert "about 30 seeds would tell" in found.sentence
    assert found.sentence.startswith("Cannot tell whether darling bought or lost diversity against grpo at R >= 0.90")


def test_one_seed():
    found = lift_from_values([0.8], [0.3], **NAMES)
    assert (found.verdict, found.low, found.seeds_needed) == ("cannot tell", None, None)
    assert found.value == pytest.approx(0.5)
    assert "difference +0.500 in one seed only, no interval" in found.sentence


def test_missing_values_are_said():
    found = lift_from_values([0.80, None, 0.79, 0.81], [0.31, 0.30, 0.33, 0.32], seeds=[0, 1, 2, 3], **NAMES)
    assert (found.verdict, found.n_seeds) == ("bought", 3)
    assert found.values_a == (0.80, None, 0.79, 0.81)
    assert found.sentence.endswith("; darling did not reach R >= 0.90 in seed 1, left out of the pairs.")


def test_a_method_that_never_reaches():
    found = lift_from_values([0.8, 0.7], [None, None], **NAMES)
    assert (found.verdict, found.value, found.n_seeds) == ("cannot tell", None, 0)
    assert found.sentence.endswith("no seed has both values; grpo never reached R >= 0.90 in any of 2 seeds.")


def test_a_last_checkpoint_without_diversity_is_said():
    found = lift_from_values([0.8, 0.81, 0.8], [0.3, 0.31, None])
    assert found.sentence.endswith("; B has no diversity there in seed 2, left out of the pairs.")


@pytest.mark.parametrize(
    ("a", "b", "more", "message"),
    [
        ([1.0], [], {}, "values_a, values_b, seeds: expected equal lengths, got 1, 0 and 1"),
        ([1.0], [1.0], {"seeds": [1, 2]}, "expected equal lengths, got 1, 1 and 2"),
        ([], [], {}, "values_a: expected at least one seed, got none"),
        ([1.0], [float("nan")], {}, "values_b: entry 0 is nan; a missing value is None, every other one is finite"),
        ([1.0], [1.0], {"margin": 0}, "margin: expected a positive number, got 0"),
    ],
)
def test_errors(a, b, more, message):
    with pytest.raises(ValueError, match=message):
        lift_from_values(a, b, **more)


def test_runs_are_read_on_the_frontier_and_paired_by_seed():
    a = [Run("darling", s, 0.80 + s / 100) for s in (2, 0, 1)]
    b = [Run("grpo", s, 0.30 + s / 100) for s in (0, 1, 2)]
    found = lift(a, b, at_quality=0.9)
    assert (found.a, found.b, found.at, found.quality) == ("darling", "grpo", "R >= 0.90", 0.9)
    assert found.values_a == pytest.approx((0.75, 0.76, 0.77))  # the checkpoint at step 50, not the last one
    assert (found.verdict, found.value) == ("bought", pytest.approx(0.5))
    end = lift(a, b, at_quality=None)
    assert (end.at, end.quality) == ("end of run", None)
    assert end.values_a == pytest.approx((0.70, 0.71, 0.72))
    assert "at the end of run" in end.sentence
    assert lift(a[1], b[0]).n_seeds == 1  # a single run is a list of one


def test_runs_that_do_not_reach_or_have_no_partner_are_said():
    a = [Run("darling", s, 0.8 + s / 100, top=0.85 if s == 1 else 1.0) for s in range(4)]
    b = [Run("grpo", s, 0.3) for s in range(3)]
    found = lift(a, b)
    assert found.values_a[1] is None and found.values_b[3] is None
    assert "darling did not reach R >= 0.90 in seed 1, left out of the pairs" in found.sentence
    assert "only one of the two has seed 3" in found.sentence
    never = lift([Run("reinvent", s, 0.9, top=0.5) for s in range(3)], b)
    assert never.verdict == "cannot tell"
    assert "reinvent never reached R >= 0.90 in any of 3 seeds" in never.sentence


def test_unequal_ends_are_compared_at_the_last_shared_step():
    found = lift([Run("a", 0, 0.8, last=150), Run("a", 1, 0.8)], [Run("b", 0, 0.3), Run("b", 1, 0.3)], at_quality=None)
    assert found.at == "the last step that all runs share (100)"
    assert found.values_a == pytest.approx((0.7, 0.7))


def test_a_run_that_has_only_begun_and_has_no_partner_moves_nothing():
    a = [Run("a", s, 0.8 + s / 100) for s in range(3)]
    b = [Run("b", s, 0.3) for s in range(3)]
    whole, with_one_more = lift(a, b, at_quality=None), lift([*a, Run("a", 3, 0.8, last=0)], b, at_quality=None)
    assert with_one_more.at == whole.at == "end of run" and with_one_more.value == pytest.approx(whole.value)
    assert "only one of the two has seed 3" in with_one_more.sentence
    # with a partner it does: pairs are read where all of them were measured
    assert lift([*a, Run("a", 3, 0.8, last=0)], [*b, Run("b", 3, 0.3)], at_quality=None).at.endswith("share (0)")


def test_bad_runs():
    run = Run("a", 0, 0.5)
    with pytest.raises(TypeError, match=r"runs_a: expected runs as breadth.load_run\(path\) returns them, got str"):
        lift("runs/circle/runs/darling/seed-0", run)
    with pytest.raises(ValueError, match="runs_b: expected at least one run, got none"):
        lift(run, [])
    with pytest.raises(ValueError, match="runs_a: seed 0 occurs twice; runs are paired by seed"):
        lift([run, run], run)
    with pytest.raises(ValueError, match="a, seed 0: no rows of 'novelty' in its ledger"):
        lift(run, run, metric="novelty")


def test_power_against_simulation_and_the_formula():
    generator = np.random.default_rng(0)
    draws = 0.06 + 0.05 * generator.standard_normal((4000, 6))
    t = draws.mean(1) / (draws.std(1, ddof=1) / np.sqrt(6))
    assert paired_power(6, 0.05, 0.06) == pytest.approx(np.mean(np.abs(t) > 2.5706), abs=0.02)
    n = seeds_that_would_tell(0.05, 0.06, 3)
    assert paired_power(n, 0.05, 0.06) >= 0.8 > paired_power(n - 1, 0.05, 0.06)
    assert seeds_that_would_tell(0.05, 0.06, 40) == 41  # never fewer than were run
    assert seeds_that_would_tell(1.0, 0.001, 3) is None
    assert seeds_that_would_tell(0.0, 0.1, 3) == 4


def test_size_under_no_difference():
    generator = np.random.default_rng(1)
    verdicts = [lift_from_values(*(0.5 + 0.05 * generator.standard_normal((2, 3)))).verdict for _ in range(600)]
    assert np.mean([v in ("bought", "lost") for v in verdicts]) < 0.075  # 5 % and three standard errors


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6),
    st.floats(-0.5, 0.5),
)
def test_only_the_differences_count(pairs, shift):
    a, b = [p[0] for p in pairs], [p[1] for p in pairs]
    one = lift_from_values(a, b)
    moved = lift_from_values([x + shift for x in a], [y + shift for y in b])
    mirror = lift_from_values(b, a)
    assert moved.value == pytest.approx(one.value, abs=1e-12)
    assert (mirror.low, mirror.high) == (pytest.approx(-one.high), pytest.approx(-one.low))
    assert {"bought": "lost", "lost": "bought"}.get(one.verdict, one.verdict) == mirror.verdict


def test_a_method_that_never_reached_it_is_said_to_beside_a_seed_that_it_does_not_have():
    found = lift_from_values([None, None, None], [0.3, 0.3, 0.3], seeds=[0, 1, 2], unpaired=[2], **NAMES)
    assert found.sentence.endswith("darling never reached R >= 0.90 in any of 2 seeds; only one of the two has seed 2.")


def test_the_equivalence_test_has_one_degree_of_freedom_less_than_pairs():
    a, b = [0.49, 0.50, 0.51], [0.50, 0.50, 0.50]
    half = student.ppf(0.95, 2) * 0.01 / np.sqrt(3)  # 0.0169; with three degrees of freedom 0.0136
    assert lift_from_values(a, b, margin=half + 1e-6).verdict == "the same"
    assert lift_from_values(a, b, margin=half - 1e-6).verdict == "cannot tell"
