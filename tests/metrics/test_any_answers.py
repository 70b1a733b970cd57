"""Every measure of the catalogue on any answers: in its range, or None where there is nothing to say; never NaN, and blind to the order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import breadth
from breadth import catalogue
from breadth.metrics import measure_sets

FREE = math.inf
texts = st.lists(
    st.text(max_size=12) | st.sampled_from(["", " ", "a", "a b", "a b a b", "\x00", "\ud800", "é" * 40, "a" * 3_000]),
    max_size=9,
)
#: huge and tiny, but with squares that float64 holds
numbers = st.floats(-1e150, 1e150) | st.sampled_from([0.0, 1e-300, -1e4, 1e30])


def distances(points: np.ndarray) -> np.ndarray:
    return np.abs(points[:, None] - points[None, :])


def of_texts(name: str, **more):
    return lambda a: getattr(breadth.metrics, name)(a.texts, **more)


class Answers:
    """Drawn answers and all that a measure may want to know of them."""

    def __init__(self, draw) -> None:
        self.texts = draw(texts)
        n = len(self.texts)
        self.kind = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
        self.score = draw(st.lists(numbers, min_size=n, max_size=n))
        self.correct = draw(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=n, max_size=n))
        self.logp = draw(st.lists(st.floats(-1e4, 0), min_size=n, max_size=n))
        self.group = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
        scale = draw(st.sampled_from([1e-6, 1.0, 1e6]))
        self.vectors = scale * (np.random.default_rng(draw(st.integers(0, 99))).standard_normal((n, 3)) + 0.01)


#: name -> how it is asked, its least and its largest value
MEASURES = {
    "distinct_n": (of_texts("distinct_n"), 0, 1),
    "ead": (of_texts("ead", vocabulary=10_000), 0, FREE),
    "compression_ratio": (of_texts("compression_ratio"), 0, FREE),
    "self_bleu": (of_texts("self_bleu"), 0, 100),
    "mean_pairwise_jaccard": (of_texts("mean_pairwise_jaccard"), 0, 1),
    "mean_pairwise_rouge1": (of_texts("mean_pairwise_rouge1"), 0, 1),
    "mean_pairwise_rouge_l": (of_texts("mean_pairwise_rouge_l"), 0, 1),
    "mean_pairwise_cosine": (lambda a: breadth.metrics.mean_pairwise_cosine(a.vectors), 0, 2),
    "lexical_diversity": (of_texts("lexical_diversity"), 0, 1),
    "semantic_diversity": (lambda a: breadth.metrics.semantic_diversity(a.vectors, scope="corpus"), 0, 1),
    "vendi": (lambda a: breadth.metrics.vendi(features=a.vectors), 1 - 1e-9, 9 + 1e-9),
    "semantic_entropy": (lambda a: breadth.metrics.semantic_entropy(a.kind, seq_logp=a.logp), -1e-9, math.log(9)),
    "effective_number": (lambda a: breadth.metrics.effective_number(a.kind, q=2.0), 1 - 1e-9, 9 + 1e-9),
    "distinct_k": (lambda a: breadth.metrics.distinct_k(a.kind), 1, 9),
    "utility_k": (lambda a: breadth.metrics.utility_k(partition=a.kind, score=a.score), -FREE, FREE),
    "ngram_novelty": (lambda a: breadth.metrics.ngram_novelty(a.texts, n=2), 0, 1),
    "pass_at_k": (lambda a: breadth.metrics.pass_at_k(max(1, len(a.kind)), a.kind.count(0), 1), 0, 1),
    "coverage": (lambda a: breadth.metrics.coverage(a.correct, a.group, k=1), 0, 1),
    "distinct_correct_at_k": (lambda a: breadth.metrics.distinct_correct_at_k(a.correct, a.kind, a.group, k=1), 0, 1),
    "diversity_above_bar": (
        lambda a: breadth.metrics.diversity_above_bar(distances(np.array(a.kind, float)), a.score, bar=0.0),
        0,
        3,
    ),
    "effective_diversity": (
        lambda a: breadth.metrics.effective_diversity(
            distances(np.array(a.kind, float)), [float(k == 0) for k in a.kind]
        ),
        0,
        3,
    ),
}
#: measured of a task's answers by `measure_sets`, of molecules by RDKit, or of parsed sentences: their own tests below and elsewhere
ELSEWHERE = {"circles", "hits", "diverse_hits", "scaffolds", "syntactic_diversity", "solution_coverage"}


def check_one(name: str, data) -> None:
    ask, low, high = MEASURES[name]
    answers = Answers(data.draw)
    try:
        found = ask(answers)
    except ValueError as error:  # a measure may refuse, in words
        assert len(str(error)) > 20
        return
    for value in np.atleast_1d(np.asarray(getattr(found, "value", found), dtype=object)):
        if name == "ngram_novelty" and math.isnan(value):
            continue  # one value a text; NaN where it is too short to have an n-gram
        assert value is None or (math.isfinite(value) and low <= value <= high), value
    error = getattr(found, "error", None)
    assert error is None or (math.isfinite(error) and error >= 0)


@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_answers(name, data):
    check_one(name, data)


@pytest.mark.nightly
@pytest.mark.parametrize("name", MEASURES)
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_answers_in_many_cases(name, data):
    check_one(name, data)


def check_sets(data) -> None:
    task = breadth.task(data.draw(st.sampled_from(["circle", "line"])))
    right = " ".join(f"{i} {(i + 1) % 6}" for i in range(6))
    n_sets, n = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    sets = [
        data.draw(st.lists(st.sampled_from(["", "x", "0 1", right]) | st.text(max_size=9), min_size=n, max_size=n))
        for _ in range(n_sets)
    ]
    size = n_sets * n
    unknown = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    scores = np.where(unknown, np.nan, 0.5)
    logp = -data.draw(st.sampled_from([0.0, 1.0, 1e4])) * np.ones(size)
    rows = measure_sets(
        task,
        sets,
        scores=scores,
        seq_logp=logp,
        seq_logp_prior=logp - 1e4,
        lengths=np.ones(size),
        entropy_sum=np.zeros(size),
    )
    for row in rows:
        assert row.value is None or math.isfinite(row.value), row
        assert row.error is None or (math.isfinite(row.error) and row.error >= 0), row
        assert 0 <= row.n_unscored <= size


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rows_of_a_task_on_any_answers(data):
    check_sets(data)


@pytest.mark.nightly
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rows_of_a_task_on_any_answers_in_many_cases(data):
    check_sets(data)


def test_every_measure_of_the_catalogue_is_asked():
    of_tasks = {
        name
        for name, entry in catalogue.entries("metric").items()
        if entry.target.startswith("breadth.metrics.measure")
    }
    assert set(catalogue.entries("metric")) == set(MEASURES) | of_tasks | ELSEWHERE
