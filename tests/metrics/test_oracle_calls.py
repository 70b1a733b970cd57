"""The area under top-k over oracle calls, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from breadth.metrics.oracle_calls import auc_top_k


def test_by_hand():
    # every = 2: top-1 is 0 -> .5 (at 2) -> 1 (at 4) -> 1 (at 5, the end) -> 1 (to 8)
    found = auc_top_k([0.2, 0.5, 0.1, 1.0, 0.3], k=1, budget=8, every=2)
    assert (found.calls, found.top) == ((2, 4, 5), (0.5, 1.0, 1.0))
    assert found.auc == pytest.approx((2 * 0.25 + 2 * 0.75 + 1 * 1 + 3 * 1) / 8, abs=1e-15)
    assert found.n_calls == 5
    assert auc_top_k([0.2, 0.5, 0.1, 0.0, 0.3], k=1, budget=8, every=2).auc < found.auc


def test_repeats_and_unparsable_cost_no_call_and_the_budget_ends_it():
    keys = ["a", "a", None, "b", "c"]
    found = auc_top_k([0.1, 0.1, 9.0, 0.9, 1.0], keys=keys, k=2, budget=2, every=1)
    assert found.n_calls == 2
    assert found.top == (0.1, 0.5)


def test_a_call_without_a_score_is_spent_and_is_no_zero():
    found = auc_top_k([np.nan, 0.4, np.nan, 0.8], k=2, budget=8, every=1)
    assert found.top == (None, 0.4, 0.4, pytest.approx(0.6)) and (found.n_calls, found.n_unscored) == (4, 2)
    # by hand: 0 to call 1, a ramp to .4, flat, a ramp to .6, flat over the four calls that were not made
    assert found.auc == pytest.approx((0 + 0.2 + 0.4 + 0.5 + 4 * 0.6) / 8, abs=1e-15)
    # calls asked for nothing: what is found comes later on the axis of calls
    assert found.auc < auc_top_k([0.4, 0.8], k=2, budget=8, every=1).auc
    as_zero = auc_top_k([0.0, 0.4, 0.0, 0.8], k=2, budget=8, every=1)
    assert as_zero.top == (0.0, 0.2, 0.2, pytest.approx(0.6)) and as_zero.auc < found.auc
    below = auc_top_k([-5.0, np.nan], k=1, budget=2, every=1)  # what is missing is not above a score below 0
    assert below.top == (-5.0, -5.0)


def test_where_no_call_has_a_score_there_is_no_area():
    found = auc_top_k([np.nan, np.nan], k=2, budget=4, every=1)
    assert (found.auc, found.top, found.n_unscored) == (None, (None, None), 2)
    assert auc_top_k([np.nan, 1.0], k=1, budget=1).auc is None  # the score came after the budget


def test_it_is_the_area_of_the_published_code():
    """The loop of PMO's own evaluation, written out: each ``every`` calls, then the rest, then the padding."""
    rng = np.random.default_rng(0)
    for n, k, budget, every in ((7, 3, 20, 2), (40, 10, 40, 7), (100, 10, 300, 10), (3, 10, 100, 100)):
        scores = rng.uniform(size=n)
        total, before, called = 0.0, 0.0, 0
        for i in range(every, min(n, budget), every):
            now = np.mean(sorted(scores[:i], reverse=True)[:k])
            total, before, called = total + every * (now + before) / 2, now, i
        now = np.mean(sorted(scores, reverse=True)[:k])
        total += (n - called) * (now + before) / 2 + (budget - n) * now
        assert auc_top_k(scores, k=k, budget=budget, every=every).auc == pytest.approx(total / budget, abs=1e-12)


def test_a_mean_of_fewer_than_k():
    assert auc_top_k([0.4, 0.0], k=10, budget=2, every=2).top == (0.2,)
    assert auc_top_k([], budget=10).auc == 0.0
    assert auc_top_k([1.0] * 1_000, budget=1_000, every=1_000, k=10).auc == 0.5


def test_what_it_refuses():
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        auc_top_k([1.0], k=0)
    with pytest.raises(ValueError, match="keys: expected one for each of 2 scores, got 1"):
        auc_top_k([1.0, 2.0], keys=["a"])
