"""Clusterings on hand-made cases, their invariances, and what they do under false merges."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.partitions.agreement import adjusted_rand_index
from breadth.partitions.behaviour import behaviour_table, components_left, under_errors
from breadth.partitions.clustering import CLUSTERINGS, class_share, components, correlation, greedy

CHAIN = np.array([[1, 0.9, 0.1, 0.1], [0.9, 1, 0.8, 0.1], [0.1, 0.8, 1, 0.1], [0.1, 0.1, 0.1, 1]])
# two cliques of three with one false merge between them
BRIDGE = np.kron(np.eye(2), np.ones((3, 3)))
BRIDGE[2, 3] = BRIDGE[3, 2] = 1.0


@pytest.mark.parametrize(
    ("name", "chain", "bridge"),
    [
        ("components", [0, 0, 0, 1], [0, 0, 0, 0, 0, 0]),
        ("greedy", [0, 0, 1, 2], [0, 0, 0, 1, 1, 1]),
        ("average", [0, 0, 1, 2], [0, 0, 0, 1, 1, 1]),
        ("correlation", [0, 0, 1, 2], [0, 0, 0, 1, 1, 1]),
    ],
)
def test_hand_cases(name, chain, bridge):
    assert CLUSTERINGS[name](CHAIN, 0.5).tolist() == chain
    assert CLUSTERINGS[name](BRIDGE, 0.5).tolist() == bridge


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_degenerate_groups(name):
    cluster = CLUSTERINGS[name]
    assert cluster(np.zeros((0, 0)), 0.5).tolist() == []
    assert cluster(np.ones((1, 1)), 0.5).tolist() == [0]
    assert cluster(np.ones((4, 4)), 0.5).tolist() == [0, 0, 0, 0]
    assert cluster(np.eye(4), 0.5).tolist() == [0, 1, 2, 3]
    assert cluster(np.full((3, 3), 0.5), 0.5).tolist() == [0, 1, 2], "a score at the threshold is not above it"
    assert cluster(np.eye(2), 0.5).dtype == np.int64
    with pytest.raises(ValueError, match=r"score: expected a square matrix, got shape \(2, 3\)"):
        cluster(np.zeros((2, 3)), 0.5)
    with pytest.raises(ValueError, match="score: expected finite numbers, got 2 that are not"):
        cluster(np.array([[1, np.nan], [np.nan, 1]]), 0.5)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_order_of_items_does_not_matter_where_the_judge_is_consistent(seed, n):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 3, size=n)
    score = (truth[:, None] == truth[None, :]).astype(float)
    order = draw.permutation(n)
    for cluster in CLUSTERINGS.values():
        kinds = cluster(score, 0.5)
        assert adjusted_rand_index(kinds, truth) == 1
        assert kinds[0] == 0 and set(kinds.tolist()) == set(range(len(set(truth.tolist()))))
        assert adjusted_rand_index(cluster(score[np.ix_(order, order)], 0.5), kinds[order]) == 1


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_local_search_is_not_beaten_by_any_single_move(seed):
    draw = np.random.default_rng(seed)
    score = draw.random((7, 7))
    score = (score + score.T) / 2
    kinds = correlation(score, 0.5)

    def value(labels):
        same = labels[:, None] == labels[None, :]
        return ((score - 0.5) * same)[np.triu_indices(7, k=1)].sum()

    for i in range(7):
        for k in range(8):
            moved = kinds.copy()
            moved[i] = k
            assert value(moved) <= value(kinds) + 1e-9
    assert value(kinds) >= max(value(greedy(score, 0.5)) - 0.5, 0)


def test_components_never_has_more_classes_than_greedy():
    draw = np.random.default_rng(0)
    for _ in range(50):
        score = draw.random((10, 10))
        score = (score + score.T) / 2
        assert class_share(components(score, 0.6)) <= class_share(greedy(score, 0.6)) + 1e-12


def test_single_linkage_collapses():
    # all graphs of 4 answers, by hand: 6 pairs, each merged with probability 0.2
    expected = 0.0
    for graph in range(64):
        merged = [pair for bit, pair in enumerate([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]) if graph >> bit & 1]
        score = np.eye(4)
        for i, j in merged:
            score[i, j] = score[j, i] = 1.0
        expected += class_share(components(score, 0.5)) * 0.2 ** len(merged) * 0.8 ** (6 - len(merged))
    assert components_left(4, false_merges=0.2) == pytest.approx(expected, abs=1e-12)
    # of 8 distinct answers half is left; soft keeps 0.80
    found = under_errors(8, false_merges=0.2, floor=0.1, repeats=1500).diversity
    assert found["components"] == pytest.approx(components_left(8, false_merges=0.2, floor=0.1), abs=0.03)
    assert components_left(8, false_merges=0.2, floor=0.1) == pytest.approx(0.52, abs=0.01)
    assert abs(components_left(8, false_merges=0.8, floor=0.1) - 0.52) > 0.3, (
        "true and false verdicts are not exchanged"
    )
    assert found["soft"] == pytest.approx(0.80, abs=0.01)
    with pytest.raises(ValueError, match="expected n ≥ 2 and a rate in"):
        components_left(1, false_merges=0.2)


def test_the_table_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "partitions.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) % \| (\d+) % \| (.*) \|$", page, re.M)
    assert len(rows) >= 8
    for n, n_classes, merges, splits, rest in rows:
        found = under_errors(int(n), n_classes=int(n_classes), false_merges=int(merges) / 100, false_splits=int(splits) / 100,
                             repeats=200)  # fmt: skip
        again = behaviour_table([found]).splitlines()[2].split("|")[5:-1]
        # 200 draws against the 2,000 of the page: three standard errors of a share whose deviation is at most 0.3
        np.testing.assert_allclose([float(x) for x in again], [float(x) for x in rest.split(" | ")], atol=0.07)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"n": 8, "false_merges": 1.2}, r"false_merges: expected a rate in \[0, 1\], got 1.2"),
        ({"n": 1, "false_merges": 0.1}, "expected n ≥ 2 and 1 to n classes, got n = 1"),
        ({"n": 4, "n_classes": 5, "false_merges": 0.1}, "got n = 4, n_classes = 5"),
    ],
)
def test_bad_rates(arguments, text):
    with pytest.raises(ValueError, match=text):
        under_errors(**arguments)
