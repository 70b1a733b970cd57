"""Where diversity went on tasks with prompts: by hand, and on a policy that forgets."""

from __future__ import annotations

import math

import pytest

from breadth.experiments.where import where_run
from breadth.experiments.where_answers import answer_entropy, format_shares, lost_modes, split_by_solved
from tests.engine.digits import Digits, train


def rows(*keys):
    return [(key, f"text of {key}") for key in keys]


def test_lost_modes_by_hand():
    before = {"p": rows("a", "a", "a", "b", "b", "c"), "q": rows("x", "x", "y", "y"), "r": rows("z", "z")}
    after = {"p": rows("a", "a", "a", "a", "a", "a"), "q": rows("x", "y", "y", "y"), "r": rows(None, None)}
    found = lost_modes(before, after)
    assert [row["prompt"] for row in found] == ["p"]  # q keeps both; nothing of r's can be read any more
    assert (found[0]["n_modes"], found[0]["n_lost"], found[0]["lost"]) == (2, 1, ["b"])  # c was seen once: no mode
    assert found[0]["lost_mass"] == pytest.approx(2 / 6)
    assert found[0]["before"][0] == {"text": "text of a", "share": 0.5} and found[0]["after"][0]["share"] == 1.0
    assert not lost_modes(after, before)  # the flipped twin: nothing was lost the other way round


def test_solved_and_unsolved_prompts_are_told_apart():
    def entry(keys, n_correct):
        return {**answer_entropy(keys), "n_correct": n_correct}

    before = {"p": entry("abcd", 0), "q": entry("abcd", 0), "s": entry("abab", 0)}
    after = {"p": entry("aaaa", 4), "q": entry("abcd", 0), "s": entry("abab", 1)}
    found = split_by_solved(before, after)
    assert (found["solved"]["n"], found["unsolved"]["n"]) == (2, 1)
    assert found["solved"]["change"] == pytest.approx(-math.log(4) / 2) and found["unsolved"]["change"] == 0
    assert found["unsolved"]["error"] is None and found["solved"]["error"] > 0


def test_entropy_is_that_of_the_shares_and_unparsable_ones_are_counted():
    found = answer_entropy(["a"] * 3 + ["b"] + [None] * 2)
    assert found["entropy"] == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert found["entropy_corrected"] == pytest.approx(found["entropy"] + 1 / 8) and found["n_unparsable"] == 2
    assert answer_entropy([None])["entropy"] is None


def test_the_way_of_writing_is_not_what_is_said():
    found = format_shares(["1 + 2", "3 + 44", "x = 3"])
    assert found["n_formats"] == 2 and found["top"][0] == {"format": "0 + 0", "share": pytest.approx(2 / 3)}


def test_a_policy_with_prompts(own_cache, tmp_path):
    run = train(tmp_path / "run", "dr_grpo")
    found = where_run(run.path, n_prompts=12, n_answers=40, task=Digits())
    assert found["prompts"] == 3 and [row["step"] for row in found["steps"]] == [0, 25]
    sides = found["steps"][-1]["by_solved"]
    assert sides["solved"]["n"] + sides["unsolved"]["n"] == 3
    changes = found["prompt_changes"]
    assert len(changes) == 3 and all(row["correct_after"] >= row["correct_before"] for row in changes)
    assert changes == sorted(changes, key=lambda row: row["entropy_after"] - row["entropy_before"])
    assert found["steps"][-1]["answer_entropy"] <= math.log(40) + 1e-9
