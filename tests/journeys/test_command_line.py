"""The command line from end to end, as a user types it, on a study that takes seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.small import SMALL, SMALL_STUDY

BREADTH = [sys.executable, "-m", "breadth.commands.app"]


def breadth(*words: str, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([*BREADTH, *words], cwd=cwd, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder in which the small study has been run once."""
    folder = tmp_path_factory.mktemp("home")
    os.environ["BREADTH_CACHE"] = str(folder / "cache")
    (folder / "small.toml").write_text(SMALL_STUDY)
    (folder / "run.toml").write_text(SMALL)
    done = breadth("study", "small.toml", cwd=folder)
    assert "report" in done.stdout and "dr_grpo" not in done.stderr.splitlines()[-1]
    yield folder
    del os.environ["BREADTH_CACHE"]


def test_a_study_leaves_what_the_docs_say(home):
    folder = home / "runs" / "small"
    summary = json.loads((folder / "summary.json").read_text())
    assert {p.name for p in folder.iterdir()} >= {"study.json", "prior", "runs", "summary.json", "report.html"}
    assert list(summary["objectives"]) == ["dr_grpo", "qempo"]
    for entry in summary["objectives"].values():
        assert len(entry["runs"]) == 2
        for run in entry["runs"]:
            assert run["complete"] and run["steps"] == 12 and run["seconds"] > 0
            assert {"quality", "diversity", "policy_entropy"} <= set(run["final"])
            assert run["fits"]["R-D"]["verdict"] in ("holds", "does not hold", "cannot tell") and run["fits"]["R-D"]["reason"]
    assert {c["verdict"] for c in summary["comparisons"]} <= {"bought", "lost", "the same", "cannot tell"}
    assert summary["verdict"] and summary["prior"]["quality"]["n"] == 40
    assert "NaN" not in (folder / "summary.json").read_text()
    ledger = [json.loads(line) for line in (folder / "runs/qempo/seed-1/ledger.jsonl").read_text().splitlines()]
    assert sorted({row["step"] for row in ledger}) == [0, 4, 8, 12]


def test_numbers_of_the_summary_are_those_of_the_ledger(home):
    folder = home / "runs" / "small"
    summary = json.loads((folder / "summary.json").read_text())
    for entry in summary["objectives"].values():
        for run in entry["runs"]:
            rows = [json.loads(line) for line in (folder / run["path"] / "ledger.jsonl").read_text().splitlines()]
            last = {row["metric"]: row for row in rows if row["step"] == run["steps"]}
            for metric, cell in run["final"].items():
                if metric != "step":
                    assert (cell["value"], cell["error"], cell["n"]) == tuple(last[metric][k] for k in ("value", "error", "n"))


def test_a_second_call_does_nothing_twice(home):
    ledgers = sorted((home / "runs/small").glob("**/ledger.jsonl"))
    before = [p.stat().st_mtime_ns for p in ledgers]
    done = breadth("study", "small.toml", "--json", cwd=home)
    summary = json.loads(done.stdout)
    assert [p.stat().st_mtime_ns for p in ledgers] == before
    assert summary["prior"]["from_cache"] is True


def test_more_seeds_reuse_what_is_there(home):
    before = (home / "runs/small/runs/qempo/seed-0/ledger.jsonl").stat().st_mtime_ns
    breadth("study", "small.toml", "--seeds", "3", "--objectives", "qempo", cwd=home)
    assert (home / "runs/small/runs/qempo/seed-0/ledger.jsonl").stat().st_mtime_ns == before
    assert (home / "runs/small/runs/qempo/seed-2/done.json").is_file()


def test_the_parts_one_by_one(home):
    run = "runs/small/runs/qempo/seed-0"
    measured = json.loads(breadth("measure", run, "--step", "12", "--json", cwd=home).stdout)
    rows = {m["metric"]: m for m in measured[run]["12"]}
    ledger = [json.loads(line) for line in (home / run / "ledger.jsonl").read_text().splitlines()]
    assert rows["quality"]["value"] == next(r["value"] for r in ledger if r["step"] == 12 and r["metric"] == "quality")
    finer = json.loads(breadth("measure", run, "--step", "12", "--sets", "4", "--json", cwd=home).stdout)
    assert next(m for m in finer[run]["12"] if m["metric"] == "quality")["n"] == 80

    fits = json.loads(breadth("fit", "runs/small/runs", "--draws", "50", "--json", cwd=home).stdout)
    assert {f["law"] for f in fits} == {"R-D", "R-H", "H-D"} and any(f["seed"] is None for f in fits)
    assert "verdict" in breadth("fit", run, "--draws", "50", cwd=home).stdout

    lifts = json.loads(breadth("compare", "runs/small", "--at", "0.1", "--baseline", "dr_grpo", "--json", cwd=home).stdout)["comparisons"]
    assert lifts[0]["b"] == "dr_grpo" and lifts[0]["sentence"]

    page = breadth("report", "runs/small", "--out", "page.html", cwd=home)
    assert "page.html" in page.stdout and (home / "page.html").stat().st_size < 8e6


def test_train_runs_alone_and_takes_overrides(home):
    done = breadth("train", "run.toml", "--set", "objective.floor=0.2", "--set", "train.steps=4", "--json", cwd=home)
    found = json.loads(done.stdout)
    assert found["step"] == 4 and found["metrics"]["quality"]["n"] == 40
    settings = json.loads((home / "runs/run/config.json").read_text())
    assert settings["objective"]["floor"] == 0.2 and settings["train"]["steps"] == 4
    assert settings["objective"]["measure"] == "class_share" and settings["train"]["inner_epochs"] == 1, "defaults are written out"


@pytest.mark.parametrize("what", ["objectives", "tasks", "metrics", "laws", "partitions", "studies"])
def test_list(home, what):
    names = [row["name"] for row in json.loads(breadth("list", what, "--json", cwd=home).stdout)]
    assert names and len(names) == len(set(names))
    assert names[0] in breadth("list", what, cwd=home).stdout


def test_list_without_a_kind_names_everything(home):
    found = json.loads(breadth("list", "--json", cwd=home).stdout)
    assert list(found) == ["objectives", "tasks", "metrics", "laws", "partitions", "studies"] and "darling" in found["objectives"]
    assert "breadth list objectives" in breadth("list", cwd=home).stdout


def test_help_teaches_and_loads_no_torch(home):
    for words in ([], ["study"], ["train"], ["measure"], ["fit"], ["compare"], ["report"], ["list"]):
        text = breadth(*words, "--help", cwd=home).stdout
        assert "Usage" in text and len(text) > 300
    code = "import sys; from breadth.commands import app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_ctrl_c_leaves_and_the_same_command_goes_on(home, tmp_path):
    words = [*BREADTH, "train", str(home / "run.toml"), "--set", "train.steps=200", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run/steps.jsonl").is_file() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130 and "the same command goes on from the last checkpoint" in errors
    done = breadth("train", str(home / "run.toml"), "--set", "train.steps=200", "--out", str(tmp_path / "run"), "--json", cwd=home)
    assert json.loads(done.stdout)["step"] == 200


def test_ctrl_c_stops_a_study_and_all_its_runs(home, tmp_path):
    words = [*BREADTH, "study", str(home / "small.toml"), "--steps", "400", "--out", str(tmp_path / "s")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not list((tmp_path / "s").glob("runs/*/*/steps.jsonl")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)  # to the parent alone: it must stop its children itself
    process.communicate(timeout=20)
    assert process.returncode == 130
    time.sleep(0.5)
    sizes = [p.stat().st_size for p in (tmp_path / "s").glob("runs/*/*/steps.jsonl")]
    time.sleep(1.0)
    assert [p.stat().st_size for p in (tmp_path / "s").glob("runs/*/*/steps.jsonl")] == sizes


def test_runs_end_with_a_study_that_was_killed(home, tmp_path):
    words = [*BREADTH, "study", str(home / "small.toml"), "--steps", "4000", "--out", str(tmp_path / "s")]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not list((tmp_path / "s").glob("runs/*/*/steps.jsonl")) and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(2.5)
    sizes = [p.stat().st_size for p in (tmp_path / "s").glob("runs/*/*/steps.jsonl")]
    time.sleep(1.0)
    assert [p.stat().st_size for p in (tmp_path / "s").glob("runs/*/*/steps.jsonl")] == sizes


def test_learning_rates_are_tuned_on_other_seeds(home):
    text = (home / "small.toml").read_text().replace("[study]\n", "[study]\ntune = {learning_rates = [1e-3, 4e-3], seeds = [7], at_quality = 0.1}\n")
    (home / "tuned.toml").write_text(text.replace('name = "small"', 'name = "tuned"'))
    summary = json.loads(breadth("study", "tuned.toml", "--steps", "4", "--json", cwd=home).stdout)
    tuning = summary["tuning"]
    assert "2 learning rates × 1 seeds × 4 steps of 32 rollouts for each of 2 objectives" in tuning["budget"]
    for label, entry in summary["objectives"].items():
        assert entry["settings"]["train"]["learning_rate"] == tuning["chosen"][label] in (1e-3, 4e-3)
        assert len(tuning["tried"][label]) == 2
    assert "chosen for it on other seeds" in summary["verdict"]
    lifts = json.loads(breadth("compare", "runs/tuned", "--at", "0.1", "--json", cwd=home).stdout)["comparisons"]
    assert {lift["n_seeds"] for lift in lifts} <= {0, 1, 2}, "tuning runs are no results"
    assert json.loads(breadth("fit", "runs/tuned/tuning", "--draws", "0", "--json", cwd=home).stdout)


def test_a_run_that_is_killed_is_named_and_the_study_goes_on(home, tmp_path):
    words = [*BREADTH, "study", str(home / "small.toml"), "--steps", "100", "--out", str(tmp_path / "s")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    holder = tmp_path / "s/runs/dr_grpo/seed-0/.lock.pid"
    while not (holder.is_file() and holder.read_text()) and process.poll() is None:
        time.sleep(0.05)
    os.kill(int(holder.read_text()), signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1 and "1 of 4 runs lost its process; the others are done:\n  - dr_grpo, seed 0" in errors, errors
    assert "of 100: its process was killed by signal 9 (SIGKILL)" in errors
    others = [f"{label}/seed-{seed}" for label in ("dr_grpo", "qempo") for seed in (0, 1)][1:]
    assert all((tmp_path / "s/runs" / name / "done.json").is_file() for name in others)
    done = breadth("study", str(home / "small.toml"), "--steps", "100", "--out", str(tmp_path / "s"), "--json", cwd=home)
    assert all(r["complete"] for o in json.loads(done.stdout)["objectives"].values() for r in o["runs"])
