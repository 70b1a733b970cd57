"""The short table, in the terminal and as Markdown."""

from __future__ import annotations

import doctest
import io
import json

import pytest
from rich.console import Console
from synthetic_study import make_study

from breadth.experiments import notation, provenance, report
from breadth.experiments.notation import shown
from breadth.experiments.table import (
    baseline,
    headline_quality,
    markdown_table,
    matched_qualities,
    result_rows,
    study_table,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture
def summary(made):
    return json.loads(json.dumps(made))


def printed(summary, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(study_table(summary))
    return console.file.getvalue()


def relabel(summary, old, new):
    summary["objectives"] = {new if label == old else label: entry for label, entry in summary["objectives"].items()}


def test_the_terminal_table_fits_80_columns_and_says_everything(summary):
    text = printed(summary)
    assert max(map(len, text.splitlines())) <= 80
    for name in ("dr_grpo", "rlhf", "darling", "qempo", "baseline", "bought", "does not"):
        assert name in text, name
    assert "cannot tell" in printed(summary, width=110)
    final = summary["objectives"]["darling"]["final"]["diversity"]
    assert f"{final['value']:.3f}" in text and f"± {(final['high'] - final['low']) / 2:.3f}" in text


def test_markdown_holds_the_same_numbers_and_opens_nothing(summary):
    relabel(summary, "qempo", "<script>|`x`|[a](b)")
    lines = markdown_table(summary).splitlines()
    assert [line.count("|") - line.count("\\|") for line in lines[:6]] == [9] * 6
    assert "&lt;script&gt;\\|\\`x\\`\\|\\[a\\](b)" in lines[5]
    assert f"{summary['objectives']['dr_grpo']['final']['quality']['value']:.3f}" in lines[2]


def test_a_label_is_not_taken_for_console_markup(summary):
    relabel(summary, "qempo", "[red]Q[/red]")
    assert "[red]Q[/red]" in printed(summary, width=140)


def test_the_headline_quality_is_the_one_that_the_comparisons_can_be_read_at(summary):
    assert matched_qualities(summary) == [0.8, 0.9, 0.95]
    assert headline_quality(summary) == 0.95
    summary["comparisons"][-2]["value"] = None  # of QEMPO at 0.95
    assert headline_quality(summary) == 0.9
    summary["comparisons"] = []
    assert summary["objectives"]["qempo"]["at_quality"][1]["n_seeds"] < 3  # 0.95 is not reached by all its seeds
    assert headline_quality(summary) == 0.9  # by most runs, and higher than 0.8
    for objective in summary["objectives"].values():
        objective["at_quality"] = []
    assert headline_quality(summary) is None
    assert "D at matched R" in markdown_table(summary)


def test_the_baseline_is_named_or_the_one_most_compared_with(summary):
    assert baseline(summary) == "dr_grpo"
    assert baseline(summary | {"baseline": "rlhf"}) == "rlhf"
    assert baseline(summary | {"comparisons": []}) is None


def test_what_is_missing_is_a_dash_with_its_reason(summary):
    entry = summary["objectives"]["rlhf"]
    entry |= {"runs": [], "final": {}, "at_quality": [], "fits": {}}
    summary["comparisons"] = [row for row in summary["comparisons"] if row["a"] != "rlhf"]
    row = result_rows(summary)[1]
    assert (row.final["quality"].text, row.final["quality"].reason) == ("–", "no complete run")
    assert row.at_quality[0].reason == "no complete run"
    assert row.laws["R-D"] == ("–", "not fitted")
    assert row.comparison is None and row.comparison_reason == "no comparison was made"
    for line in printed(summary).splitlines():
        if "RLHF" in line:
            assert line.count("–") == 7


def test_the_reason_of_a_run_that_did_not_reach_a_quality_is_told(summary):
    entry = summary["objectives"]["rlhf"]
    entry["at_quality"][0] = {"quality": 0.9, "value": None, "low": None, "high": None, "n_seeds": 0}
    for run in entry["runs"]:
        run["at_quality"][0] |= {"diversity": {"value": None}, "reason": "the highest R was 0.85"}
    assert result_rows(summary)[1].at_quality[1].reason == "the highest R was 0.85"


def test_one_seed_has_no_interval_and_says_so():
    one = shown({"value": 0.5, "low": None, "high": None, "n_seeds": 1})
    assert (one.text, one.interval, one.reason) == ("0.500", "", "one seed: no interval over seeds")


@pytest.mark.parametrize("module", [notation, provenance, report])
def test_the_examples_in_the_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0
