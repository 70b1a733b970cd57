"""Partitions, success in k tries, Vendi, diversity above a bar: hand counts, published numbers, oracles."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth import metrics

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=8)


def test_noveltybench_utilities_are_those_that_were_published(shared_data):
    with gzip.open(shared_data / "noveltybench_gemini15pro_curated_scored.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) == 100
    for row in rows:
        found = metrics.utility_k(partition=row["partition"], score=row["generation_scores"], patience=0.8)
        assert found == pytest.approx(row["utility"], abs=1e-12)
    # the published summary says 0.83, the mean of the largest labels: one too few
    distinct = [metrics.distinct_k(row["partition"]) for row in rows]
    assert np.mean(distinct) == pytest.approx(1.83)
    assert np.mean([max(row["partition"]) for row in rows]) == pytest.approx(0.83)


def test_utility_by_hand_and_its_twin():
    weights = 0.8 ** np.arange(3)
    found = metrics.utility_k(partition=["a", "a", "b"], score=[2.0, 9.0, 4.0])
    assert found == pytest.approx((2 + weights[2] * 4) / weights.sum())
    assert found != pytest.approx((2 + weights[1] * 9 + weights[2] * 4) / weights.sum())  # a repeat earns nothing
    assert metrics.utility_k(partition=["a", "b"], score=[2, 9], patience=0) == 2.0
    assert metrics.utility_k(partition=[], score=[]) is None
    for bad, message in (({"patience": 1.1}, "patience: expected a prob"), ({"score": [1.0]}, "score: expected 2 numbers")):
        with pytest.raises(ValueError, match=message):
            metrics.utility_k(**{"partition": [0, 1], "score": [1.0, 2.0], **bad})


@settings(max_examples=50, deadline=None)
@given(LABELS, st.data())
def test_distinct_k_is_the_mean_over_all_subsets(labels, data):
    k = data.draw(st.integers(1, len(labels)))
    plain = np.mean([len({labels[i] for i in chosen}) for chosen in combinations(range(len(labels)), k)])
    assert metrics.distinct_k(labels, k) == pytest.approx(plain, abs=1e-12)
    assert metrics.distinct_k(labels) == len(set(labels))


@settings(max_examples=50, deadline=None)
@given(LABELS, st.permutations(range(4)))
def test_names_of_classes_do_not_matter_and_the_bounds_hold(labels, names):
    renamed = [names[label] for label in labels]
    assert metrics.semantic_entropy(labels) == pytest.approx(metrics.semantic_entropy(renamed), abs=1e-12)
    n_classes = len(set(labels))
    assert 1 - 1e-12 <= metrics.effective_number(labels) <= n_classes + 1e-12
    assert metrics.effective_number(labels, q=2) <= metrics.effective_number(labels) + 1e-12  # falls with q
    assert metrics.effective_number(labels, q=0) == n_classes


def test_semantic_entropy_with_probabilities():
    logp = np.log([0.1, 0.2, 0.1])
    found = metrics.semantic_entropy(["a", "b", "a"], seq_logp=logp - 2000)  # probabilities that underflow
    assert found == pytest.approx(np.log(2))
    assert metrics.semantic_entropy([]) is None and metrics.effective_number([]) is None
    with pytest.raises(ValueError, match="seq_logp: expected 2 finite numbers"):
        metrics.semantic_entropy(["a", "b"], seq_logp=[0.0, -np.inf])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.data())
def test_pass_at_k_is_the_binomial_formula(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    assert metrics.pass_at_k(n, c, k) == pytest.approx(1 - comb(n - c, k) / comb(n, k), abs=1e-12)


def test_pass_at_k_of_millions_and_near_zero():
    n, c, k = 2_000_000, 3, 1000
    exact = 1 - (1 - k / n) * (1 - k / (n - 1)) * (1 - k / (n - 2))
    assert metrics.pass_at_k(n, c, k) == pytest.approx(exact, rel=1e-9)
    assert metrics.pass_at_k(10**9, 1, 1) == pytest.approx(1e-9, rel=1e-12)
    assert metrics.pass_at_k(np.array([4, 4]), np.array([1, 0]), 2).tolist() == [0.5, 0.0]
    for n, c, k, message in ((4, 1, 5, "smallest number of answers .4., got 5"), (4, 5, 1, "c: expected between 0 and n")):
        with pytest.raises(ValueError, match=message):
            metrics.pass_at_k(n, c, k)


def test_coverage_leaves_unscored_answers_and_short_problems_out():
    correct = [1, 0, np.nan, 0, 0, 1]
    row = metrics.coverage(correct, ["p", "p", "p", "q", "q", "r"], k=2)
    assert row.sets == (1.0, 0.0, None) and row.value == 0.5 and row.error == pytest.approx(0.5)
    assert (row.n, row.n_unscored) == (5, 1) and row.note == "1 of 3 problems have fewer than 2 scored answers"
    with pytest.raises(ValueError, match="expected 1, 0, or NaN"):
        metrics.coverage([0.5], ["p"], k=1)


def test_distinct_correct_is_pass_at_k_where_all_are_one_class():
    correct, group = np.array([1, 1, 0, 0, 1, 0, 0, 0]), [0] * 8
    one = metrics.distinct_correct_at_k(correct, ["x"] * 8, group, k=3).value
    assert one == pytest.approx(metrics.pass_at_k(8, 3, 3))
    own = metrics.distinct_correct_at_k(correct, list("abcdefgh"), group, k=3).value
    assert own == pytest.approx(3 * 3 / 8)  # each correct answer is drawn with chance k/n


def test_vendi_by_hand_for_blocks():
    kernel = np.kron(np.eye(4), np.ones((3, 3)))  # four classes of three equal things
    for q in (0, 0.5, 1, 2, np.inf):
        assert metrics.vendi(kernel, q=q) == pytest.approx(4, abs=1e-6)
    assert metrics.vendi(np.zeros((0, 0))) is None
    for bad, message in (
        (np.ones((2, 3)), "expected a square matrix, got shape"),
        (np.array([[1, 0.5], [0.1, 1]]), "expected a symmetric matrix"),
        (2 * np.eye(2), "expected 1 on the diagonal"),
        (np.array([[1.0, -0.9, -0.9], [-0.9, 1, -0.9], [-0.9, -0.9, 1]]), "positive semi-definite"),
    ):
        with pytest.raises(ValueError, match=message):
            metrics.vendi(bad)
    with pytest.raises(ValueError, match="expected exactly one of the two"):
        metrics.vendi()


@pytest.mark.parametrize("q", [0.5, 1, 2, np.inf])
def test_vendi_dual_is_the_direct_one_and_both_are_vendi_score(q):
    oracle = pytest.importorskip("vendi_score.vendi")
    features = np.random.default_rng(0).normal(size=(60, 7))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    direct = metrics.vendi(unit @ unit.T, q=q)
    assert metrics.vendi(features=features, q=q) == pytest.approx(direct, rel=1e-9)
    if np.isfinite(q):  # the package has no q = ∞
        assert direct == pytest.approx(oracle.score_K(unit @ unit.T, q=q), rel=1e-6)
    if q == 2:  # the package forgets q where features are given
        assert oracle.score_X(features, q=2) != pytest.approx(direct, rel=1e-3)


def test_vendi_of_ten_thousand_rows_by_its_dual():
    features = np.random.default_rng(0).normal(size=(10_000, 64))
    assert 60 < metrics.vendi(features=features) <= 64


def test_above_a_bar_and_weighted_by_validity():
    distance = np.array([[0, 0.2, 0.9, np.nan], [0.2, 0, 0.7, 0.1], [0.9, 0.7, 0, 0.3], [np.nan, 0.1, 0.3, 0]])
    above = metrics.diversity_above_bar(distance, [1, 1, 1, 0], bar=0.5)
    assert above.value == pytest.approx(0.6) and above.n == 3 and above.note.startswith("75 %")
    effective = metrics.effective_diversity(distance, [1, 1, 1, 0])  # an undefined distance to an invalid answer
    assert effective.value == pytest.approx(above.value * comb(3, 2) / comb(4, 2))
    assert metrics.diversity_above_bar(distance, [1, 0, 0, 0], bar=0.5).value is None
    halves = metrics.effective_diversity(1 - np.eye(4), [1, 1, 0, 0], group=["a", "a", "b", "b"])
    assert halves.sets == (1.0, 0.0) and halves.scope == "within_prompt"
    unscored = metrics.effective_diversity(1 - np.eye(3), [1, 1, np.nan])
    assert (unscored.value, unscored.n, unscored.n_unscored) == (1.0, 2, 1)
    with pytest.raises(ValueError, match="validity: expected numbers between 0 and 1"):
        metrics.effective_diversity(1 - np.eye(2), [2, 1])
