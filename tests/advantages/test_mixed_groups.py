"""Groups whose members stand mixed in the batch: every term counts in a rollout's own group, whatever stands before it."""

import torch

from breadth.advantages.entropy import entropy_members
from breadth.advantages.exploration import shape_by_repetition
from breadth.rewards.diversity import shape_by_diversity

GROUP = torch.tensor([7, 3, 7, 3, 3, 7])


def test_members_of_the_entropy_term_are_counted_in_their_own_group():
    correct = torch.tensor([True, True, True, False, False, False])  # two right in group 7, one in group 3
    assert entropy_members(GROUP, correct=correct).tolist() == [True, False, True, False, False, False]
    correct = torch.tensor([True, False, True, False, False, True])
    assert entropy_members(GROUP, correct=correct, mask="group_all_correct").tolist() == [True, False, True, False, False, True]


def test_copies_are_counted_in_their_own_group():
    """Group 7: kinds 0, 0, 1; group 3: kinds 0, 1, 2. One copy among three costs weight / 3."""
    kind = torch.tensor([0, 0, 0, 1, 2, 1])
    got = shape_by_repetition(torch.zeros(6), GROUP, kind=kind, weight=3.0)
    assert got.tolist() == [-1.0, 0.0, -1.0, 0.0, 0.0, 0.0]


def test_the_added_score_is_standardised_in_its_own_group():
    """Group 3 has three kinds, so equal factors and no term; group 7 has a pair and a single."""
    kind = torch.tensor([0, 0, 0, 1, 2, 1])
    got = shape_by_diversity(torch.ones(6), GROUP, kind=kind, combine="add_zscore", weight=1.0)
    assert got[[1, 3, 4]].tolist() == [0.0, 0.0, 0.0]
    assert got[5] > 0 > got[0] == got[2] and abs(float(got.sum())) < 1e-6


def test_the_reward_of_an_added_score_is_standardised_in_its_own_group():
    """Group 3 has equal rewards, and all kinds differ: whatever group 7 holds, nothing is left of it there."""
    values = torch.tensor([0.0, 5.0, 1.0, 5.0, 5.0, 2.0])
    got = shape_by_diversity(values, GROUP, kind=torch.arange(6), combine="add_zscore", weight=1.0)
    assert got[[1, 3, 4]].tolist() == [0.0, 0.0, 0.0]
    assert torch.allclose(got[[0, 2, 5]], torch.tensor([-1.0, 0.0, 1.0]), atol=1e-6)
