"""A scorer that hangs, dies or raises in a process of its own costs the texts it hung on, and nothing else."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from breadth.tasks.scoring import score_batch
from breadth.tasks.scoring_process import HUNG_IN_A_ROW, ScorerProcess, close_all, limited

TEXTS = ["a", "bb", "hang", "dddd"]


@pytest.fixture(autouse=True)
def ended():
    yield
    close_all()


def deaf(*_: object) -> None:
    """A handler that lets the process live on: nothing but SIGKILL ends this scorer."""


def hangs(texts, prompts=None):
    if "hang" in texts:
        signal.signal(signal.SIGTERM, deaf)
        while True:
            time.sleep(1.0)
    return [float(len(t)) for t in texts]


def test_what_hangs_is_unscored_and_the_others_are_scored():
    scored = score_batch(hangs, TEXTS, timeout=0.3)
    assert np.array_equal(scored.values, [1, 2, np.nan, 4], equal_nan=True)
    assert scored.n_unscored == 1 and "longer than 0.3 s for 1 texts (train.reward_timeout)" in scored.failures[0]


def test_the_process_is_gone_after_it_hung():
    scorer = ScorerProcess(hangs, seconds=0.2)
    scorer(["a"])
    pid = scorer._pid
    with pytest.raises(TimeoutError):
        scorer(["hang"])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_scorer_that_always_hangs_is_given_up_for_the_batch():
    scored = score_batch(hangs, ["hang"] * 40, timeout=0.05)
    assert scored.n_unscored == 40
    assert scored.failures[-1].endswith(f"not asked, because {HUNG_IN_A_ROW} texts in a row took longer than 0.05 s")
    assert score_batch(hangs, ["a", "bb"], timeout=0.05).n_unscored == 0, "the next batch is asked again"


def test_a_scorer_that_is_killed_costs_its_texts_only():
    def dies(texts, prompts=None):
        if "bb" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        return [float(len(t)) for t in texts]

    scored = score_batch(dies, TEXTS, timeout=5)
    assert np.array_equal(scored.values, [1, np.nan, 4, 4], equal_nan=True)
    assert "the scorer's process ended while it scored 1 texts (killed? out of memory?)" in scored.failures[0]


def test_what_it_raises_and_what_is_no_number_arrive_as_they_would_without_a_limit():
    def odd(texts, prompts=None):
        if len(texts) > 1:
            raise KeyError("one at a time")
        return [{"a": float("nan"), "bb": float("inf"), "hang": None}.get(texts[0], 4.0)]

    scored = score_batch(odd, TEXTS, timeout=5)
    assert np.array_equal(scored.values, score_batch(odd, TEXTS).values, equal_nan=True)
    with pytest.raises(ValueError, match="the scorer returned 1 values for 2 texts"):
        score_batch(lambda texts, prompts: [1.0], ["a", "b"], timeout=5)


def test_vectors_prompts_and_large_batches_arrive():
    def pairs(texts, prompts):
        return np.array([[len(t), len(p)] for t, p in zip(texts, prompts, strict=True)])

    texts = ["x" * (i % 700) for i in range(2000)]
    scored = score_batch(pairs, texts, ["p"] * 2000, vectors=True, timeout=20)
    assert np.array_equal(scored.vector[:, 0], [i % 700 for i in range(2000)])


def test_what_a_scorer_keeps_lives_from_call_to_call():
    seen: list[str] = []

    def counting(texts, prompts=None):
        seen.extend(texts)
        return [float(len(seen))] * len(texts)

    assert [score_batch(counting, ["a"], timeout=5).values[0] for _ in range(3)] == [1, 2, 3]
    assert seen == [], "in its own process, not in this one"


def test_a_limit_that_is_none_is_refused():
    with pytest.raises(ValueError, match="seconds: expected a number above 0, got 0"):
        limited(hangs, 0)
