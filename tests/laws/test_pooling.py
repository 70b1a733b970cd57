"""One curve for many groups: when it serves, when not, and partial pooling by hand."""

import numpy as np
import pytest

from breadth.laws.curves import exponential
from breadth.laws.pooling import _partial_pool, pool_fits
from breadth.records import Estimate

X = np.linspace(0.9, 0.2, 26)
D, SEED = np.tile(X, 3), np.repeat(["0", "1", "2"], 26)


def quality(seed=0, sd=0.01):
    return exponential(D, 0.0109, 1.023, 5.024) + sd * np.random.default_rng(seed).standard_normal(D.size)


def test_one_curve_serves_runs_of_one_law():
    found = pool_fits(quality(), D, SEED, n_boot=100)
    assert (found.verdict, found.groups) == ("holds", ("0", "1", "2"))
    assert found.p > 0.01 and found.reason.startswith("F-test of one curve against 3: p = ")
    mean = found.params["c"].mean
    assert mean.low < 5.024 < mean.high and found.params["c"].logged
    assert set(found.apart) == {"0", "1", "2"} and found.together.n == 78
    # shrunk estimates lie nearer together than raw ones
    raw, shrunk = ([e.value for e in part.values()] for part in (found.params["c"].raw, found.params["c"].by_group))
    assert np.ptp(shrunk) < np.ptp(raw)


def test_a_group_of_its_own_is_found_and_a_small_difference_is_not_made_much_of():
    moved = pool_fits(quality() - 0.1 * (SEED == "2"), D, SEED, n_boot=50)
    assert moved.verdict == "does not hold" and moved.p < 1e-6 and moved.error_left_out > 2 * moved.error_apart
    tiny = pool_fits(quality(sd=0.002) - 0.0021 * (SEED == "2"), D, SEED, n_boot=50)
    assert tiny.p < 0.01 and tiny.verdict == "holds" and "but the difference is small" in tiny.reason


@pytest.mark.nightly
def test_size_of_the_test():
    p = np.array([pool_fits(quality(seed), D, SEED, n_boot=0).p for seed in range(300)])
    assert np.mean(p < 0.05) <= 0.09  # 300 sets: 5 % and three standard errors


def test_too_little_is_said():
    alone = pool_fits(quality()[:26], X, ["0"] * 26, n_boot=0)
    assert alone.verdict == "cannot tell" and alone.reason.startswith("only 1 of 1 groups can be fitted")
    short = pool_fits(quality()[:29], D[:29], ["a"] * 26 + ["b"] * 3, n_boot=0)
    assert "b: only 3 distinct values of D over 3 checkpoints" in short.reason
    few = pool_fits(quality()[::3], D[::3], SEED[::3], n_boot=0)
    assert few.verdict == "holds" or "8 needed" in few.reason or "degrees of freedom" in few.reason
    with pytest.raises(ValueError, match="quality, diversity, group: expected equal lengths, got 2, 2 and 1"):
        pool_fits([1.0, 2.0], [1.0, 2.0], ["a"])


def test_partial_pooling_by_hand():
    se = 1.0
    raw = {g: Estimate(v, v - 1.959964 * se, v + 1.959964 * se) for g, v in zip("abc", (0.0, 3.0, 6.0), strict=True)}
    found = _partial_pool(raw, False, 3)
    # sample variance 9 = 1 + τ²: τ² = 8; shares 8/9; mean 3
    assert found.spread == pytest.approx(np.sqrt(8)) and found.mean.value == pytest.approx(3)
    assert [e.value for e in found.by_group.values()] == pytest.approx([3 - 3 * 8 / 9, 3, 3 + 3 * 8 / 9])
    assert found.mean.high - 3 == pytest.approx(4.302653 * np.sqrt(9 / 3))  # Student's t, 2 degrees of freedom
    equal = _partial_pool({g: Estimate(1.0, 0.0, 2.0) for g in "ab"}, False, 2)
    assert equal.spread == 0 and [e.value for e in equal.by_group.values()] == [1.0, 1.0]
    unknown = _partial_pool({"a": Estimate(1.0), "b": Estimate(1.0, 0.5, 2.0)}, True, 2)
    assert unknown.mean == Estimate(None) and unknown.spread is None
