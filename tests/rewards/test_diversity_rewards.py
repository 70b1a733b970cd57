"""DARLING's reward: the paper's figure, a worked table, and the sign hazard of negative rewards."""

import pytest
import torch

from breadth.advantages.baseline import centre
from breadth.rewards.diversity import diversity_factor, map_quality, shape_by_diversity

FIGURE = torch.tensor([2 / 3, 2 / 3, 1.0, 1.0])
ONE = torch.zeros(8, dtype=torch.int64)
SEVEN_AND_ONE = torch.tensor([0] * 7 + [1])


def advantages(reward, kind=SEVEN_AND_ONE, **settings):
    return centre(shape_by_diversity(reward, ONE, kind=kind, **settings), ONE)


def test_figure_2():
    got = diversity_factor(torch.zeros(4, dtype=torch.int64), kind=torch.tensor([5, 5, 1, 2]))
    torch.testing.assert_close(got, FIGURE)
    with pytest.raises(AssertionError):  # eq. 4 as printed is similarity
        torch.testing.assert_close(1 - got, FIGURE)


@pytest.mark.parametrize(
    ("kind", "reward", "first", "last"),
    [
        (SEVEN_AND_ONE, torch.ones(8), -0.107, 0.75),
        (ONE, torch.ones(8), 0.0, 0.0),  # all the same: no gradient
        (torch.arange(8), torch.ones(8), 0.0, 0.0),  # all distinct: no gradient
        (ONE, torch.tensor([1.0] + [0] * 7), 0.0875, -0.0125),  # correct, but of the same class as 7 wrong ones
        (1 - (torch.arange(8) == 0).long(), torch.tensor([1.0] + [0] * 7), 0.875, -0.125),  # correct and unique
        (SEVEN_AND_ONE, torch.full((8,), -2.0), 0.214, -1.5),  # negative: the different one is punished
        (SEVEN_AND_ONE, torch.tensor([-3.0] * 7 + [-1.0]), 0.071, -0.5),  # and the best, distinct one too
        (SEVEN_AND_ONE, torch.tensor([2.0] * 7 + [0.5]), -0.027, 0.1875),  # bad but distinct wins
    ],
)
def test_worked_table_of_the_published_product(kind, reward, first, last):
    got = advantages(reward, kind, quality_map="identity")
    assert got[0].item() == pytest.approx(first, abs=1e-3)
    assert got[-1].item() == pytest.approx(last, abs=1e-3)
    if first:
        with pytest.raises(AssertionError):
            assert -got[0].item() == pytest.approx(first, abs=1e-3)


def test_auto_is_the_product_for_rewards_from_zero_up():
    reward = torch.tensor([0.0, 1.0, 0.3, 0.0, 1.0, 1.0, 0.2, 0.9])
    assert torch.equal(advantages(reward), advantages(reward, quality_map="identity"))


def test_auto_keeps_the_order_right_where_rewards_are_negative():
    same = advantages(torch.full((8,), -2.0))
    assert same[-1] > 0 > same[0]  # the different one is rewarded
    best = advantages(torch.tensor([-3.0] * 7 + [-1.0]))
    assert best[-1] > 0 > best[0]


def test_frozen_scale_does_not_look_at_the_batch():
    got = map_quality(torch.tensor([1.0, 3.0]), quality_mean=1.0, quality_deviation=2.0)
    torch.testing.assert_close(got, torch.sigmoid(torch.tensor([0.0, 1.0])))
    assert map_quality(torch.tensor([-4.0, -4.0])).tolist() == [0.5, 0.5]


def test_mean_distance_and_class_share_agree_on_a_partition():
    generator = torch.Generator().manual_seed(0)
    group, kind = torch.randint(0, 3, (2, 30), generator=generator)
    distance = (kind[:, None] != kind[None, :]).float()
    by_share = diversity_factor(group, kind=kind, floor=0.0)
    torch.testing.assert_close(by_share, diversity_factor(group, distance=distance, measure="mean_distance", floor=0.0))


def test_unscored_rollouts_are_nobodys_neighbours():
    group, kind = torch.zeros(4, dtype=torch.int64), torch.tensor([0, 0, 1, 0])
    got = shape_by_diversity(torch.tensor([1.0, torch.nan, 1.0, torch.nan]), group, kind=kind)
    assert got[[0, 2]].tolist() == [1.0, 1.0]
    assert got[[1, 3]].isnan().all()


def test_a_lone_correct_answer_keeps_its_reward():
    correct = torch.tensor([True, False, False])
    factor = diversity_factor(torch.zeros(3).long(), kind=torch.zeros(3).long(), correct=correct, neighbours="correct")
    assert factor.tolist() == pytest.approx([1.0, 0.1, 0.1])


def test_a_group_of_one_is_diverse():
    assert diversity_factor(torch.tensor([4]), kind=torch.tensor([0])).tolist() == [1.0]


def test_the_sum_of_scores_is_blind_to_shifts():
    reward = torch.tensor([0.0, 1.0, 0.3, 0.0, 1.0, 1.0, 0.2, 0.9], dtype=torch.float64)
    a, b = (shape_by_diversity(r, ONE, kind=SEVEN_AND_ONE, combine="add_zscore") for r in (reward, reward - 9))
    torch.testing.assert_close(a, b)
    assert a[-1] > shape_by_diversity(reward, ONE, kind=SEVEN_AND_ONE, combine="add_zscore", weight=0.0)[-1]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"kind": None}, "measure='class_share' needs the stream `kind`"),
        ({"measure": "mean_distance"}, r"needs the stream `distance` \(N, N\)"),
        ({"neighbours": "correct"}, "neighbours='correct' needs the stream `correct`"),
        ({"floor": 2}, r"floor: expected a number in \[0, 1\], got 2"),
        ({"combine": "add"}, "combine: expected one of multiply, add_zscore, got 'add'"),
        ({"quality_map": "shift"}, "quality_map: expected one of identity, auto"),
        ({"quality_mean": 0.0}, "give both or neither"),
        ({"quality_mean": 0.0, "quality_deviation": 0.0}, "quality_deviation: expected a number > 0, got 0.0"),
    ],
)
def test_errors(settings, text):
    with pytest.raises(ValueError, match=text):
        shape_by_diversity(torch.ones(8), ONE, **{"kind": SEVEN_AND_ONE, **settings})


def test_added_scores_are_those_of_the_sample_deviation_and_0_where_all_are_alike():
    group = torch.tensor([0, 0, 0, 0, 1, 1])
    reward, kind = torch.tensor([1.0, 2.0, 4.0, 5.0, 3.0, 3.0]), torch.tensor([0, 0, 0, 1, 0, 0])
    factor = torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0])
    score = lambda x: (x - x.mean()) / x.std()  # noqa: E731
    expected = torch.cat([score(reward[:4]) + 0.5 * score(factor), torch.zeros(2)])
    found = shape_by_diversity(reward, group, kind=kind, combine="add_zscore", weight=0.5)
    assert torch.allclose(found, expected, atol=1e-6)


def test_quality_is_mapped_alike_at_any_size():
    values = torch.tensor([-1.0, 0.0, 1.0])  # one of them is the mean
    assert torch.allclose(map_quality(values * 1e30), map_quality(values), atol=1e-6)
