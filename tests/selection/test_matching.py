"""Random pairs by their definition, and the plain supervised loss against torch's own."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from breadth.selection.cross_entropy import cross_entropy_loss
from breadth.selection.matching import match_pairs


def pairs_of(reward, group, seed=0, **numbers):
    return match_pairs(np.array(reward, float), np.array(group), generator=np.random.default_rng(seed), **numbers)


@pytest.mark.parametrize("n_good", [1, 2, 4, 6])
@pytest.mark.parametrize("n_pairs", [None, 1, 5, 7, 24, 1000])
def test_right_meets_wrong_and_nobody_twice_before_all_had_a_turn(n_good, n_pairs):
    n_bad = 6
    reward = np.array([1.0] * n_good + [0.0] * n_bad)
    pairs = pairs_of(reward, np.zeros(n_good + n_bad, int), n_pairs=n_pairs)
    assert len(pairs) == min(n_pairs or min(n_good, n_bad), n_good * n_bad)
    assert (reward[pairs[:, 0]] == 1).all() and (reward[pairs[:, 1]] == 0).all()
    assert len(set(map(tuple, pairs.tolist()))) == len(pairs), "no pair twice"
    for side, of in ((0, range(n_good)), (1, range(n_good, n_good + n_bad))):
        uses = [int((pairs[:, side] == row).sum()) for row in of]
        assert max(uses) - min(uses) <= 1, "as even as can be"


@pytest.mark.parametrize("seed", range(5))
def test_graded_rewards_differ_by_more_than_the_margin(seed):
    g = np.random.default_rng(seed)
    reward, group = g.random(60), g.integers(-1, 3, 60)
    reward[g.random(60) < 0.1] = np.nan
    pairs = pairs_of(reward, group, seed, margin=0.2, n_pairs=12)
    assert len(pairs)
    assert (reward[pairs[:, 0]] - reward[pairs[:, 1]] > 0.2).all(), "better first, NaN nowhere"
    assert (group[pairs[:, 0]] == group[pairs[:, 1]]).all()
    assert len({tuple(sorted(p)) for p in pairs.tolist()}) == len(pairs)
    once = pairs_of(reward, group, seed)
    assert len(set(once.flatten().tolist())) == once.size, "by default no answer twice"


def test_all_possible_graded_pairs_are_found():
    reward = [0.0, 0.3, 0.6, 1.0]
    assert len(pairs_of(reward, [0] * 4, n_pairs=100)) == 6
    assert len(pairs_of(reward, [0] * 4, n_pairs=100, margin=0.35)) == 4  # (0, .6), (0, 1), (.3, 1), (.6, 1)


def test_groups_without_a_difference_have_no_pair_and_order_names_nothing():
    assert len(pairs_of([1, 1, 0, 0], [0, 0, 1, 1])) == 0
    assert len(pairs_of([1, np.nan], [0, 0])) == 0
    assert len(pairs_of([1.0, 0.0], [0, 0], margin=1.0)) == 0, "more than the margin, not as much"
    assert not np.array_equal(pairs_of([1] * 9 + [0] * 9, [0] * 18, 0), pairs_of([1] * 9 + [0] * 9, [0] * 18, 1)), (
        "the seed decides"
    )


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"n_pairs": 0}, "n_pairs: expected an integer >= 1, got 0"),
        ({"margin": -0.1}, "margin: expected a number >= 0, got -0.1"),
    ],
)
def test_numbers_out_of_range(numbers, message):
    with pytest.raises(ValueError, match=message):
        pairs_of([1.0, 0.0], [0, 0], **numbers)
    with pytest.raises(ValueError, match=r"reward and group of one shape \(N,\)"):
        pairs_of([1.0, 0.0], [0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_the_supervised_loss_is_torch_s(smoothing):
    g = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(3, 4, 7, generator=g, dtype=torch.float64), torch.randint(0, 7, (3, 4), generator=g)
    mask = torch.rand(3, 4, generator=g) < 0.7
    matrix, stats = cross_entropy_loss(logits, labels, mask, label_smoothing=smoothing)
    theirs = F.cross_entropy(
        logits.reshape(-1, 7), labels.reshape(-1), reduction="none", label_smoothing=smoothing
    ).reshape(3, 4)
    torch.testing.assert_close(matrix, theirs * mask)
    plain = F.cross_entropy(logits[mask], labels[mask])
    assert stats["cross_entropy"] == pytest.approx(float(plain), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_impossible_tokens_take_no_part(smoothing):
    """−inf in a column is a vocabulary without it, in the loss and in the gradient."""
    small = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wide = torch.cat([small, torch.full((5, 1), -torch.inf, dtype=torch.float64)], dim=1)
    labels, mask = torch.tensor([0, 1, 2, 3, 0]), torch.ones(5, dtype=torch.bool)
    small.requires_grad_(True)
    wide.requires_grad_(True)
    a, b = (cross_entropy_loss(x, labels, mask, label_smoothing=smoothing)[0] for x in (small, wide))
    torch.testing.assert_close(a, b)
    a.sum().backward()
    b.sum().backward()
    torch.testing.assert_close(small.grad, wide.grad[:, :4])
    assert bool((wide.grad[:, 4] == 0).all())
