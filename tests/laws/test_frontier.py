"""Diversity at a quality: definition, halves, missing values, and no winner's curse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.laws.frontier import (
    attainment_curve,
    attainment_matrix,
    diversity_at_quality,
    highest_common_quality,
    highest_reached,
)

R = [[0.5] * 4, [0.92, 0.9, 0.94, 0.92], [1.0] * 4]
D = [[0.9] * 4, [0.60, 0.64, 0.58, 0.66], [0.1] * 4]


def test_value_error_steps_and_the_quality_read():
    found = diversity_at_quality(R, D, 0.9, steps=[0, 50, 100])
    assert found.value == pytest.approx(np.mean(D[1]))
    even, odd = np.array([0.60, 0.58]), np.array([0.64, 0.66])
    errors = [np.std(half, ddof=1) / np.sqrt(2) for half in (even, odd)]
    assert found.error == pytest.approx(np.hypot(*errors) / 2)
    assert (found.n, found.steps, found.reason) == (4, (50.0, 50.0), None)
    assert found.quality_read == pytest.approx(0.92)


def test_each_half_is_read_where_the_other_chose():
    # the even sets choose checkpoint 0, the odd ones checkpoint 1
    r = [[0.95, 0.80, 0.95, 0.80], [0.95, 0.95, 0.95, 0.95]]
    d = [[0.9, 0.7, 0.9, 0.7], [0.5, 0.6, 0.5, 0.6]]
    found = diversity_at_quality(r, d, 0.9)
    assert found.steps == (0.0, 1.0)
    assert found.value == pytest.approx((0.7 + 0.5) / 2)
    assert found.quality_read == pytest.approx((0.80 + 0.95) / 2)


def test_never_reached():
    found = diversity_at_quality(R, D, 1.01)
    assert found.value is found.error is found.quality_read is None
    assert found.reason == "R >= 1.01 was never reached: the highest mean R is 1.000"
    assert diversity_at_quality([[0.2]], [[0.5]], 0.9).reason.endswith("the highest mean R is 0.200")


def test_reached_on_one_half_only():
    found = diversity_at_quality([[0.91, 0.89, 0.91, 0.89]], [[0.5, 0.7, 0.5, 0.7]], 0.9)
    assert found.value == pytest.approx(0.7)  # chosen by the even sets, read on the odd ones
    assert found.reason == "R >= 0.9 was reached on one half of the sample sets only"


def test_missing_sets():
    found = diversity_at_quality([[0.95] * 4], [[0.5, None, 0.7, 0.9]], 0.9)
    assert found.value == pytest.approx((0.9 + 0.6) / 2)
    assert (found.n, found.error) == (3, None)  # one half has a single value: no error known
    nothing = diversity_at_quality([[0.95] * 4], [[None] * 4], 0.9)
    assert (nothing.value, nothing.reason) == (None, "no diversity was measured at the checkpoints with R >= 0.9")
    half = diversity_at_quality([[0.95, 0.8, 0.95, 0.8]], [[0.5, None, 0.5, None]], 0.9)
    assert half.reason == "no diversity was measured in the sets that read the checkpoint at step 0"
    assert diversity_at_quality([[None, None]], [[0.1, 0.2]], 0.9).reason == "no checkpoint has a measured quality"


def test_one_set_cannot_be_split_and_says_so():
    found = diversity_at_quality([[0.95], [0.97]], [[0.5], [0.6]], 0.9)
    assert (found.value, found.error, found.n) == (0.6, None, 1)
    assert found.reason == "one sample set per checkpoint: chosen and read on the same data, so biased upwards"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], 0.9), "quality_sets: expected at least one checkpoint, got none"),
        (([[1.0]], [], 0.9), "quality_sets and diversity_sets: expected equal lengths, got 1 and 0"),
        (([[1.0]], [[1.0]], 0.9, [1, 2]), "steps: expected 1 numbers, got 2"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        diversity_at_quality(*arguments)


def test_half_split_has_no_winners_curse():
    # twenty checkpoints with the same true D at the same true R: the best of noisy readings is too high
    generator = np.random.default_rng(0)
    split, greedy, sizes, claimed = [], [], [], []
    for _ in range(400):
        d = 0.5 + 0.05 * generator.standard_normal((20, 10))
        found = diversity_at_quality([[1.0] * 10] * 20, d.tolist(), 0.9)
        split.append(found.value)
        claimed.append(found.error)
        greedy.append(d.mean(1).max())
        sizes.append(found.n)
    standard_error = np.std(split) / np.sqrt(400)
    assert abs(np.mean(split) - 0.5) < 3 * standard_error
    assert np.mean(greedy) - 0.5 > 0.02  # the plain maximum
    assert set(sizes) == {10}
    assert np.mean(claimed) == pytest.approx(np.std(split), rel=0.15)


def test_curve_falls_and_ends_where_nothing_reaches():
    curve = attainment_curve(R, D, [0.3, 0.9, 0.99, 1.01])
    assert [point.value for point in curve] == [pytest.approx(0.9), pytest.approx(0.62), pytest.approx(0.1), None]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=6), st.randoms())
def test_order_of_checkpoints_does_not_matter(r, random):
    d = [[(i + 1) / 10 + j / 100 for j in range(4)] for i in range(len(r))]
    pairs = list(zip(r, d, strict=True))
    random.shuffle(pairs)
    shuffled = diversity_at_quality([p[0] for p in pairs], [p[1] for p in pairs], 0.5)
    assert shuffled.value == diversity_at_quality(r, d, 0.5).value


def test_highest_common_quality_can_be_read_both_ways():
    weak = ([[0.70, 0.74], [0.80, 0.72]], [[0.5, 0.5], [0.4, 0.4]])
    strong = ([[0.9, 0.9]], [[0.3, 0.3]])
    assert highest_reached(*weak) == 0.74
    common = highest_common_quality({"a": [strong, weak], "b": [strong]})
    assert common == 0.74
    assert diversity_at_quality(*weak, common).reason is None
    assert highest_common_quality({}) is None
    assert highest_common_quality({"a": [([[0.9, 0.9]], [[None, None]])]}) is None
    assert highest_reached([[0.4], [0.6]], [[0.1], [0.1]]) == 0.6


def test_one_checkpoint_with_a_single_set_does_not_join_the_halves_of_the_others():
    r, d = [[0.9, None], [0.6, 0.5]], [[0.5, 0.5], [0.4, 0.4]]
    assert highest_reached(r, d) == 0.5  # the plain maximum would be 0.9, which the odd sets never reach
    assert attainment_matrix(r, d, np.array([0.5]))[0] == diversity_at_quality(r, d, 0.5).value
