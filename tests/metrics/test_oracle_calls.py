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


def test_a_mean_of_fewer_than_k_and_of_what_failed():
    assert auc_top_k([0.4, np.nan], k=10, budget=2, every=2).top == (0.2,)
    assert auc_top_k([], budget=10).auc == 0.0
    assert auc_top_k([1.0] * 1_000, budget=1_000, every=1_000, k=10).auc == 0.5


def test_what_it_refuses():
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        auc_top_k([1.0], k=0)
    with pytest.raises(ValueError, match="keys: expected one for each of 2 scores, got 1"):
        auc_top_k([1.0, 2.0], keys=["a"])
