"""``breadth forecast`` as a user types it, on a ledger written by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from breadth.laws.forecast_score import FINAL_D
from breadth.ledger.rows import measurement_row
from breadth.records import Measurement
from tests.laws.forecast_runs import Run

BREADTH = [sys.executable, "-m", "breadth.commands.app", "forecast"]


def forecast(*words: str, code: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run([*BREADTH, *words], capture_output=True, text=True, env=os.environ | {"COLUMNS": "80"})
    assert done.returncode == code, done.stdout + done.stderr
    return done


def write(folder: Path, steps: int) -> Path:
    folder.mkdir(parents=True)
    run = Run(noise=0.003)
    settings = {"study": "hand", "objective": {"kind": "grpo"}, "seed": 0, "task": {}, "train": {"steps": steps}}
    (folder / "config.json").write_text(json.dumps(settings))
    with open(folder / "ledger.jsonl", "w") as ledger:
        for metric in ("quality", "diversity"):
            for row in run.series(metric):
                m = Measurement(metric, row["value"], row["error"], 40, sets=(row["value"], row["value"]))
                about = {"study": "hand", "objective": "grpo", "seed": 0, "checkpoint": f"c{row['step']}"}
                ledger.write(json.dumps(measurement_row(m, step=row["step"], **about)) + "\n")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    return write(home / "finished", 250), write(home / "going", 400)


def test_one_line_a_run_in_words(runs):
    done = forecast(str(runs[0]), str(runs[1]), "--target-quality", "0.95", "--at-step", "150")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("grpo, seed 0, at step 150: at this pace R = 0.95 leaves D = 0.3")]
    assert sum("the law holds at this prefix" in line for line in lines) == 2
    assert "step 250 ends at R = " in done.stdout and "step 400 ends at R = " in done.stdout


def test_json_holds_both_intervals(runs):
    (found,) = json.loads(forecast(str(runs[0]), "--at-step", "60", "--json").stdout)
    assert found["path"] == str(runs[0]) and found["final_step"] == 250
    assert set(found["final_diversity"]) == {"value", "low80", "high80", "low95", "high95"}


def test_scores_of_finished_runs(runs):
    text = forecast(str(runs[0]), str(runs[1]), "--score").stdout
    assert "1 finished runs; 1 unfinished left out" in text and f"{FINAL_D}: absolute errors" in text and "…" not in text
    found = json.loads(forecast(str(runs[0]), "--score", "--json").stdout)
    assert found["n_runs"] == 1 and {s["share"] for s in found["scores"]} == {0.1, 0.2, 0.3, 0.5}


def test_bad_input_is_a_sentence(runs):
    assert "at_step: expected 0 or later" in forecast(str(runs[0]), "--at-step", "-1", code=1).stderr
    assert "none of these 1 runs is finished" in forecast(str(runs[1]), "--score", code=1).stderr
