"""The mixture identity, exactly and in expectation."""

from __future__ import annotations

import numpy as np
import pytest

from breadth.metrics.mixture import (
    checked_weights,
    member_distances,
    mixture_distance,
    sampled_mixture_distance,
    shares,
)
from breadth.metrics.pairwise import mean_pairwise


@pytest.mark.parametrize("seed", range(5))
def test_a_stratified_sample_has_exactly_the_distance_that_the_identity_gives(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 9, size=3)
    member = rng.permutation(np.repeat(np.arange(3), counts))
    points = rng.random((counts.sum(), 2)) + member[:, None]
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    between = member_distances(distance, member, 3)
    assert sampled_mixture_distance(between, counts) == pytest.approx(mean_pairwise(distance)[0], abs=1e-12)
    wrong = between.copy()
    wrong[0, 1] += 0.1  # the flipped twin
    assert abs(sampled_mixture_distance(wrong, counts) - mean_pairwise(distance)[0]) > 1e-3


def test_two_draws_from_a_mixture_are_as_far_apart_as_the_identity_says():
    """Three members over four answers; the expectation over both draws, by enumeration."""
    p = np.array([[0.7, 0.3, 0, 0], [0, 0.5, 0.5, 0], [0.1, 0.1, 0.1, 0.7]])
    w = np.array([0.5, 0.3, 0.2])
    different = 1 - np.eye(4)
    mixed = w @ p
    between = p @ different @ p.T
    assert mixture_distance(between, w) == pytest.approx(mixed @ different @ mixed, abs=1e-12)
    equal = mixture_distance(between, [1, 1, 1])
    within, off = np.trace(between) / 3, (between.sum() - np.trace(between)) / 6
    assert equal == pytest.approx(within / 3 + (1 - 1 / 3) * off)
    assert equal != pytest.approx(within)


def test_what_cannot_be_told():
    between = member_distances(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), 2)
    assert np.isnan(between[0, 0]) and between[0, 1] == 1.0
    assert member_distances(np.zeros((1, 1)), np.array([1]), 2)[0, 1] != 0
    with pytest.raises(ValueError, match="too few answers"):
        mixture_distance(between, [1, 1])
    for wrong in ([1], [-1, 2], [0, 0], [float("nan"), 1]):
        with pytest.raises(ValueError, match="weights: expected"):
            checked_weights(wrong, 2)


@pytest.mark.parametrize(("weights", "n"), [([1, 1, 1], 100), ([0.7, 0.3], 10), ([0, 1], 5), ([1, 2, 3, 4], 7)])
def test_shares_add_up(weights, n):
    found = shares(weights, n)
    assert sum(found) == n and all(abs(k - n * w / sum(weights)) < 1 for k, w in zip(found, weights, strict=True))
