"""Means over seeds, verdicts in words, and the shape of summary.json."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from breadth.experiments.summary import over_seeds
from breadth.experiments.verdict import listed, verdict_sentence
from tests.experiments.synthetic_study import make_study


@pytest.fixture
def summary(tmp_path):
    made = {**json.loads(json.dumps(make_study(tmp_path))), "baseline": "dr_grpo"}
    for entry in made["objectives"].values():
        entry["settings"] = {"objective": {}, "train": {"learning_rate": 2e-3}}
    return made


def test_over_seeds_is_students_t():
    values = [0.9, 0.93, 0.87]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    found = over_seeds(values)
    assert found == {"value": pytest.approx(0.9), "low": pytest.approx(low), "high": pytest.approx(high), "n_seeds": 3}


def test_missing_seeds_are_not_zero():
    assert over_seeds([None, None]) == {"value": None, "low": None, "high": None, "n_seeds": 0}
    assert over_seeds([0.5, None, 0.7])["value"] == pytest.approx(0.6)


def test_the_sentence_says_only_what_the_comparisons_say(summary):
    for row in summary["comparisons"]:
        row.update(verdict="cannot tell", value=0.01, low=-0.1, high=0.12)
    text = verdict_sentence(summary)
    assert "cannot be told apart" in text and "bought" not in text and "lost" not in text
    assert "at learning rate 0.002" in text
    for row in summary["comparisons"]:
        row["verdict"] = "lost"
    summary["objectives"]["qempo"]["settings"]["train"]["learning_rate"] = 1e-3
    assert "lost diversity" in verdict_sentence(summary) and "each at its own learning rate" in verdict_sentence(summary)


@pytest.mark.parametrize(("n", "words", "not_these"), [(1, "(1 paired seed)", "with these seeds"), (3, "(3 paired seeds)", "with this seed")])
def test_one_seed_is_not_seeds(summary, n, words, not_these):
    for row in summary["comparisons"]:
        row.update(verdict="cannot tell", n_seeds=n)
    text = verdict_sentence(summary)
    assert words in text and not_these not in text


def test_one_objective_has_no_frontier_sentence(summary):
    label = summary["baseline"]
    summary["objectives"] = {label: summary["objectives"][label]}
    assert verdict_sentence(summary).startswith("The law R = ")


def test_listed():
    assert listed(["a"]) == "a" and listed(["a", "b"]) == "a and b" and listed(["a", "b", "c"]) == "a, b and c"
