"""Rewards made of the group: GAPO's frequencies, ranks of likelihood, contributions to a set; and curiosity."""

import pytest
import torch

from breadth.advantages.baseline import centre, standardise
from breadth.rewards.curiosity import curiosity_bonus, shape_by_curiosity
from breadth.rewards.frequency import shape_by_frequency
from breadth.rewards.set_reward import dirichlet_weights, set_contribution, shape_by_set_contribution
from breadth.rewards.unlikeliness import shape_by_unlikeliness

ONE = torch.zeros(4, dtype=torch.int64)
S = torch.tensor([-1.0, -2.0, -3.0, -4.0], dtype=torch.float64)
NAN = float("nan")


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


def test_gapo_is_largest_at_the_uniform_law_and_not_monotone():
    group, right = torch.zeros(8, dtype=torch.int64), torch.ones(8, dtype=torch.bool)
    even = shape_by_frequency(torch.ones(8), group, kind=torch.arange(8) // 2, correct=right, n_answers=4)
    assert even.tolist() == [1.0] * 8
    kind = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    uneven = shape_by_frequency(torch.ones(8), group, kind=kind, correct=right, n_answers=4)
    torch.testing.assert_close(uneven[[0, 5, 7]], torch.tensor([1 - 3 / 8, 1.0, 1 - 1 / 8]))
    assert uneven[7] < uneven[5]  # rarer than uniform is punished too
    without = shape_by_frequency(torch.ones(8), group, kind=kind, correct=right)
    assert without[7] > without[5] > without[0]
    with pytest.raises(AssertionError):
        torch.testing.assert_close(2 - uneven, uneven)


def test_gapo_ignores_wrong_and_unscored_answers():
    reward = torch.tensor([1.0, 1.0, 1.0, NAN])
    got = shape_by_frequency(reward, ONE, kind=torch.tensor([0, 0, 0, 1]), correct=flags(1, 1, 0, 1), n_answers=1)
    assert got[:3].tolist() == [1.0, 1.0, -1.0]
    assert got[3].isnan()
    with pytest.raises(ValueError, match="n_answers: expected an integer >= 1 or None, got 0"):
        shape_by_frequency(reward, ONE, kind=ONE, correct=flags(1, 1, 1, 1), n_answers=0)


def test_unlikeliness_by_hand():
    reward = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    got = shape_by_unlikeliness(reward, ONE, seq_logp=S)
    assert got.tolist() == [1 - 0.25 * 3 / 4, 1 - 0.25 * 2 / 4, 0.0, 1.0]
    flipped = shape_by_unlikeliness(reward, ONE, seq_logp=-S)
    assert flipped[0] == 1.0 > flipped[3]


def test_unlikeliness_drops_groups_that_were_degenerate_before_the_change():
    ones = torch.ones(4, dtype=torch.float64)
    assert standardise(shape_by_unlikeliness(ones, ONE, seq_logp=S), ONE).abs().max() == 0
    rank_alone = standardise(ones - 0.25 * torch.arange(4).flip(0) / 4, ONE)  # what the drop prevents
    assert rank_alone.abs().max() > 1.1


def test_unlikeliness_ties_unscored_and_negative_rewards():
    tied = shape_by_unlikeliness(
        torch.tensor([1.0, 1.0, 0.0, NAN]), ONE, seq_logp=torch.tensor([-1.0, -1.0, -5.0, 0.0])
    )
    assert tied[0] == tied[1] == pytest.approx(1 - 0.25 * 1.5 / 3)
    assert tied[3].isnan()
    negative = shape_by_unlikeliness(torch.tensor([-1.0, 1.0, -2.0, 1.0]), ONE, seq_logp=S)
    assert negative[[0, 2]].tolist() == [-1.0, -2.0]


def test_unlikeliness_per_token():
    length = torch.tensor([1, 4, 2, 2])
    got = shape_by_unlikeliness(torch.tensor([1.0, 1.0, 0.0, 1.0]), ONE, seq_logp=S, length=length, level="per_token")
    assert got[1] < got[0]  # per token the second is the likeliest
    with pytest.raises(ValueError, match="level='per_token' needs the stream `length`"):
        shape_by_unlikeliness(torch.ones(4), ONE, seq_logp=S, level="per_token")
    with pytest.raises(ValueError, match="level: expected one of sequence, per_token, got 'token'"):
        shape_by_unlikeliness(torch.ones(4), ONE, seq_logp=S, level="token")
    with pytest.raises(ValueError, match=r"weight: expected a number in \[0, 1\], got 2"):
        shape_by_unlikeliness(torch.ones(4), ONE, seq_logp=S, weight=2)


def test_contributions_are_differences_of_set_rewards():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.rand(9, 3, generator=generator, dtype=torch.float64)
    group = torch.tensor([5, 5, 5, 5, -1, -1, -1, 8, 8])
    weights = dirichlet_weights(3, n_weights=50)
    got = set_contribution(vectors, group, weights=weights)

    def value(rows):
        return (vectors[rows] @ weights.T).max(0).values.mean()

    for i in range(9):
        members = (group == group[i]).nonzero().flatten()
        expected = value(members) - value(members[members != i])
        assert got[i].item() == pytest.approx(expected.item(), abs=1e-12)
    assert (got >= 0).all()


def test_of_two_equal_best_either_can_be_spared():
    vectors = torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.5, 0.5], [NAN, NAN]])
    got = shape_by_set_contribution(torch.tensor([1.0, 1.0, 1.0, NAN]), ONE, reward_vector=vectors)
    assert got[:3].tolist() == [0, 0, 0]
    assert got[3].isnan()


def test_weights_are_shared_repeatable_and_checked():
    assert torch.equal(dirichlet_weights(4, seed=1), dirichlet_weights(4, seed=1))
    assert not torch.equal(dirichlet_weights(4, seed=1), dirichlet_weights(4, seed=2))
    with pytest.raises(ValueError, match="alpha: expected a number > 0, got 0"):
        dirichlet_weights(3, alpha=0)
    with pytest.raises(ValueError, match="n_weights: expected an integer >= 1, got 0"):
        dirichlet_weights(3, n_weights=0)
    with pytest.raises(ValueError, match="reward_vector: 1 rows of scored rollouts are not finite, first row 2"):
        set_contribution(torch.tensor([[1.0], [1.0], [NAN], [1.0]]), ONE, weights=torch.ones(1, 1))
    with pytest.raises(ValueError, match=r"reward_vector: expected shape \(4, K\), got \(3, 1\)"):
        set_contribution(torch.ones(3, 1), ONE, weights=torch.ones(1, 1))
    with pytest.raises(ValueError, match=r"weights: expected shape \(W, 2\), got \(1, 3\)"):
        set_contribution(torch.ones(4, 2), ONE, weights=torch.ones(1, 3))


def test_curiosity_whitens_kept_tokens_only():
    error = torch.tensor([[1.0, 3.0, 900.0], [5.0, NAN, NAN]], dtype=torch.float64)
    mask = flags(1, 1, 0, 1, 0, 0).reshape(2, 3)
    bonus = curiosity_bonus(error, mask)
    torch.testing.assert_close(bonus[mask].mean(), torch.tensor(0.0, dtype=torch.float64))
    torch.testing.assert_close(bonus[mask].std(correction=0), torch.tensor(1.0, dtype=torch.float64))
    assert bonus[~mask].abs().max() == 0
    gated = curiosity_bonus(error, mask, in_top_k=flags(0, 1, 0, 0, 0, 0).reshape(2, 3))
    assert gated[0, 1] == 0
    assert gated[1, 0] == bonus[1, 0] > 0


def test_curiosity_degenerate_cases():
    mask = torch.ones(2, 2, dtype=torch.bool)
    assert curiosity_bonus(torch.full((2, 2), 3.0), mask).abs().max() == 0
    got = shape_by_curiosity(torch.tensor([1.0, NAN]), ONE[:2], prediction_error=torch.rand(2, 2), mask=mask)
    assert got[1].isnan()
    none = shape_by_curiosity(torch.full((2,), NAN), ONE[:2], prediction_error=torch.rand(2, 2), mask=mask)
    assert none.isnan().all()
    assert centre(none, ONE[:2]).abs().max() == 0
    with pytest.raises(ValueError, match="prediction_error: 1 values of kept tokens are not finite"):
        curiosity_bonus(torch.tensor([[1.0, NAN]]), mask[:1])
    with pytest.raises(ValueError, match=r"mask: expected shape \(1, 2\), as prediction_error, got \(2, 2\)"):
        curiosity_bonus(torch.ones(1, 2), mask)
    with pytest.raises(ValueError, match="eta: expected a number >= 0, got -1"):
        shape_by_curiosity(torch.ones(2), ONE[:2], prediction_error=torch.ones(2, 2), mask=mask, eta=-1)


def test_gapo_counts_the_valid_members_of_each_group():
    group = torch.tensor([0, 1, 0, 1, 1, 0, 1])
    kind, correct = torch.tensor([0, 0, 0, 1, 1, 1, 2]), torch.tensor([True, True, True, True, True, True, False])
    found = shape_by_frequency(torch.ones(7), group, kind=kind, correct=correct)
    assert torch.allclose(found, torch.tensor([1 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3, -1.0]))


def test_unlikeliness_looks_for_a_signal_in_each_group_alone():
    values, group = torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0, 0.0]), torch.tensor([0, 0, 0, 1, 1, 1])
    seq_logp = torch.tensor([-1.0, -2.0, -3.0, -1.0, -2.0, -3.0])
    both = shape_by_unlikeliness(values, group, seq_logp=seq_logp)
    apart = [shape_by_unlikeliness(values[rows], group[rows], seq_logp=seq_logp[rows]) for rows in (slice(3), slice(3, 6))]
    assert both.tolist() == torch.cat(apart).tolist() and both[:3].tolist() == [1.0, 1.0, 1.0] and both[4] < 1
