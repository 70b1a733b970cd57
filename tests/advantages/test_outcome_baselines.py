"""Baselines for right and wrong: pass@k in closed form against all subsets, and fixed weights."""

from itertools import combinations

import pytest
import torch

from breadth.advantages.baseline import standardise
from breadth.advantages.pass_at_k import pass_at_k_advantage, share_of_subsets
from breadth.advantages.signed import signed_weight


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_it_is_the_mean_over_all_subsets_that_contain_the_rollout(n, k):
    for c in range(n + 1):
        correct = torch.arange(n) < c
        subsets = [(set(rows), float(correct[list(rows)].any())) for rows in combinations(range(n), k)]
        passed = torch.tensor([value for _, value in subsets], dtype=torch.float64)
        mean, deviation = passed.mean(), passed.std(correction=0)
        expected = torch.zeros(n, dtype=torch.float64)
        if deviation > 0:
            for i in range(n):
                mine = torch.tensor([value for rows, value in subsets if i in rows], dtype=torch.float64)
                expected[i] = (mine.mean() - mean) / deviation
        got = pass_at_k_advantage(correct.double(), torch.zeros(n, dtype=torch.int64), correct=correct, k=k)
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
        assert got.sum().abs() < 1e-12
        if deviation > 0:
            with pytest.raises(AssertionError):
                torch.testing.assert_close(-got, expected, rtol=0, atol=1e-12)


def test_k_1_is_grpo_with_population_deviation_and_no_eps():
    generator = torch.Generator().manual_seed(0)
    correct = torch.rand(64, generator=generator) < 0.4
    group = torch.randint(0, 9, (64,), generator=generator)
    reward = correct.double()
    reward[5] = torch.nan
    got = pass_at_k_advantage(reward, group, correct=correct, k=1)
    torch.testing.assert_close(got, standardise(reward, group, ddof=0, eps=0.0), rtol=0, atol=1e-12)


def test_degenerate_groups_get_exactly_nothing():
    def run(correct, k):
        n = len(correct)
        return pass_at_k_advantage(correct.float(), torch.zeros(n, dtype=torch.int64), correct=correct, k=k)

    assert run(flags(1, 1, 1), 2).abs().max() == 0
    assert run(flags(0, 0, 0), 2).abs().max() == 0
    assert run(flags(1, 1, 1, 0), 2).abs().max() == 0  # fewer than k wrong: every pair passes
    assert run(flags(1, 0), 3).abs().max() == 0  # no subset of three
    assert run(flags(1), 1).abs().max() == 0
    with pytest.raises(ValueError, match="k: expected an integer >= 1, got 0"):
        run(flags(1, 0), 0)


def test_share_of_subsets_does_not_overflow():
    got = share_of_subsets(torch.tensor([500, 3]), torch.tensor([1000, 1000]), 200)
    assert 0 < got[0] < 1e-60
    assert got[1] == 0
    assert share_of_subsets(torch.tensor([0]), torch.tensor([0]), 0).tolist() == [1.0]


def test_signed_weights():
    reward = torch.tensor([1.0, 0.0, torch.nan, torch.nan])
    got = signed_weight(reward, torch.zeros(4, dtype=torch.int64), correct=flags(1, 0, 1, 0), positive=0.5)
    assert got.tolist() == [0.5, -1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="positive: expected a number >= 0, got -1"):
        signed_weight(reward, reward, correct=flags(1, 0, 1, 0), positive=-1)
    with pytest.raises(ValueError, match="positive and negative: expected at least one above 0"):
        signed_weight(reward, reward, correct=flags(1, 0, 1, 0), positive=0, negative=0)


def test_a_rollout_that_is_not_scored_stands_in_no_subset():
    reward, one = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.zeros(4, dtype=torch.int64)
    scored, correct = torch.tensor([True, True, True, False]), reward > 0
    found = pass_at_k_advantage(reward, one, correct=correct, scored=scored, k=2)
    alone = pass_at_k_advantage(reward[:3], one[:3], correct=correct[:3], k=2)
    assert found.tolist() == [*alone.tolist(), 0.0]
