"""How runs stand, read from their files; and the commands that show it."""

from __future__ import annotations

import json
import os
import re

import pytest
from synthetic_study import STEPS, make_study
from typer.testing import CliRunner

from breadth.commands.app import app
from breadth.commands.output import console
from breadth.experiments import report_files, watching
from breadth.experiments.evidence import read_evidence

NOW = 1_800_000_000.0


@pytest.fixture
def study(tmp_path):
    """A study of three runs: one done, one at step 120 of 250 for 60 seconds, one not begun."""
    summary = make_study(tmp_path, seeds=1, labels=("dr_grpo", "darling"))
    study = {
        "train": {"steps": STEPS},
        "study": {"seeds": [0]},
        "objectives": {"dr_grpo": {}, "darling": {}, "qempo": {"train": {"steps": 99}}},
    }
    (tmp_path / "study.json").write_text(json.dumps(study))
    for run in read_evidence(tmp_path, summary).runs:
        home = tmp_path / run.path
        settings = {
            "seed": 0,
            "label": run.label,
            "study": "circle",
            "objective": {"kind": run.label},
            "train": {"steps": STEPS},
        }
        (home / "config.json").write_text(json.dumps(settings))
        (home / "events.jsonl").write_text(
            json.dumps({"time": "2027-01-15T07:59:00Z", "event": "started", "step": 0}) + "\n"
        )
    (tmp_path / "runs/dr_grpo/seed-0/done.json").write_text('{"step": 250}')
    cut(tmp_path / "runs/darling/seed-0", 120)
    return tmp_path


def cut(home, step):
    for name in ("ledger.jsonl", "steps.jsonl"):
        lines = (home / name).read_text().splitlines(keepends=True)
        (home / name).write_text("".join(line for line in lines if json.loads(line)["step"] <= step))
        os.utime(home / name, (NOW, NOW))


def test_states_steps_and_what_is_left(study):
    done, going, waiting = sorted(
        watching.look([study], now=NOW + 5), key=lambda view: view.state != "done" and (view.state, 1) or ("", 0)
    )
    assert (done.label, done.state, done.step, done.seconds_left, done.forecast) == ("dr_grpo", "done", STEPS, None, "")
    assert (going.label, going.state, going.step, going.steps, going.silent_for) == (
        "darling",
        "going",
        120,
        STEPS,
        5.0,
    )
    # started at 1,799,999,940: 60 seconds for 120 steps
    assert going.seconds_left == pytest.approx(0.5 * (STEPS - 120))
    assert [step for step, _ in going.series["R"]] == list(range(0, 130, 10))
    assert "step 250 ends at R" in going.forecast
    assert (waiting.label, waiting.state, waiting.steps, waiting.last("R")) == ("qempo", "waiting", 99, None)
    assert not watching.over([done, going, waiting]) and watching.over([done])


def test_a_run_without_new_steps_is_called_silent_and_no_time_is_told(study):
    view = next(v for v in watching.look([study], now=NOW + 500) if v.label == "darling")
    assert (view.state, view.seconds_left, view.silent_for) == ("silent", None, 500.0)


def test_a_run_that_was_asked_to_stop_says_why_and_is_not_waited_for(study):
    (study / "runs/darling/seed-0/stopped.json").write_text(
        '{"step": 120, "reason": "D = 0.39 is at the floor of 0.4"}'
    )
    view = next(v for v in watching.look([study], now=NOW + 500) if v.label == "darling")
    assert (view.state, view.seconds_left) == ("stopped", None)
    assert view.forecast == "darling, seed 0: stopped, D = 0.39 is at the floor of 0.4"
    assert watching.over([view])


def test_too_few_checkpoints_are_said(study):
    cut(study / "runs/darling/seed-0", 10)
    view = next(v for v in watching.look([study], now=NOW) if v.label == "darling")
    assert view.forecast == "darling, seed 0: a forecast needs 3 checkpoints, there are 2"


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run or study folder there"):
        watching.look([tmp_path])


def test_the_command_looks_once_in_words_and_in_json(study, monkeypatch):
    monkeypatch.setattr(console, "width", 110)
    shown = CliRunner().invoke(app, ["watch", str(study), "--once"])
    assert shown.exit_code == 0, shown.output
    assert "1 of 3 runs done" in shown.output and "1 waiting" in shown.output and "120/250" in shown.output
    assert re.search(r"darling.*[▁▂▃▄▅▆▇█]{5}", shown.output)
    found = json.loads(CliRunner().invoke(app, ["watch", str(study), "--json"]).output)
    assert {row["objective"]: row["step"] for row in found} == {"dr_grpo": 250, "darling": 120, "qempo": 0}
    ledger = [json.loads(line) for line in (study / "runs/darling/seed-0/ledger.jsonl").read_text().splitlines()]
    last = next(r["value"] for r in ledger if r["metric"] == "diversity" and r["step"] == 120)
    assert next(row for row in found if row["objective"] == "darling")["D"] == last


def test_without_a_terminal_it_prints_a_line_a_measurement_and_ends_with_the_runs(study):
    (study / "study.json").unlink()
    (study / "runs/darling/seed-0/done.json").write_text('{"step": 120}')
    shown = CliRunner().invoke(app, ["watch", str(study)])
    assert shown.exit_code == 0
    assert "dr_grpo/0 step 250/250 R 0.9" in shown.output and shown.output.count("done") == 2


def test_the_page_is_written_anew_only_when_something_came(study, monkeypatch):
    (study / "study.json").unlink()
    written, naps = [], []

    def write(paths, *, out, baseline, live, tilt=None):
        written.append(live)
        return {}, study / "report.html"

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 2:
            (study / "runs/darling/seed-0/done.json").write_text('{"step": 250}')

    monkeypatch.setattr(report_files, "report_runs", write)
    monkeypatch.setattr(report_files.time, "sleep", nap)
    said = list(report_files.follow_runs([study], every=7.0))
    assert written == [7, None]  # the last page does not load itself again
    assert [done for _, done, _ in said] == [1, 2] and naps == [7.0, 7.0]


def test_formats_that_are_not_there_and_follow_with_them_are_refused(study):
    for arguments, words in (
        (["--format", "docx"], "expected html, md or pdf, got 'docx'"),
        (["--follow", "--format", "md"], "writes the page (html) alone"),
    ):
        result = CliRunner().invoke(app, ["report", str(study), *arguments])
        assert words in str(result.exception)
