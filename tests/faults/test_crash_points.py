"""Every write, fsync, rename and removal of a stage is a place to die at: dead there and started again, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
compiler = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(
    compiler is None or not sys.platform.startswith("linux"), reason="the counter of calls needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def counter(tmp_path_factory) -> Path:
    """The counter that is loaded before libc."""
    library = tmp_path_factory.mktemp("counter") / "crash_points.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, HERE / "crash_points.c", "-ldl"], check=True)
    return library


def drill(counter: Path, work: Path, stages: str, *words: str) -> list[dict]:
    environment = {
        **os.environ, "LD_PRELOAD": str(counter), "CRASH_POINTS": str(counter), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
    }  # fmt: skip
    environment.pop("BREADTH_CACHE", None)
    command = [sys.executable, "-m", "tests.faults.drill", stages, str(work), *words]
    done = subprocess.run(command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    print(done.stdout)
    return found


def check(found: dict) -> None:
    assert found["tried"] > 0
    assert found["faults"] == []
    assert (found["rows_lost"], found["rows_doubled"]) == (0, 0)


def test_some_crash_points_of_every_stage(counter, tmp_path):
    found = drill(counter, tmp_path, "prior,train,measure,report", "--every", "29", "--first", "13", "--limit", "6")
    assert [f["stage"] for f in found] == ["prior", "train", "measure", "report"][: len(found)] and len(found) == 4
    for one in found[:3]:
        check(one)
    assert not found[3]["faults"]


def test_the_drill_sees_a_row_that_is_lost_and_a_file_that_is_left(tmp_path):
    """The twin: what the drill compares does tell damage."""
    from tests.faults.drill import fingerprint, ledger_faults

    for name in ("a", "b"):
        (tmp_path / name / "run").mkdir(parents=True)
        (tmp_path / name / "run" / "ledger.jsonl").write_text('{"step": 0}\n{"step": 2}\n')
    assert ledger_faults(tmp_path / "b", tmp_path / "a") == (0, 0) and fingerprint(tmp_path / "a") == fingerprint(
        tmp_path / "b"
    )
    (tmp_path / "b" / "run" / "ledger.jsonl").write_text('{"step": 0}\n{"step": 0}\n')
    assert ledger_faults(tmp_path / "b", tmp_path / "a") == (1, 1)
    (tmp_path / "b" / "run" / ".step-000002.1.tmp").write_text("")
    assert len(fingerprint(tmp_path / "b")) == 2


@pytest.mark.nightly
@pytest.mark.parametrize("stage", ["prior", "train", "measure", "report", "study"])
def test_every_crash_point(counter, tmp_path, stage):
    (found,) = drill(counter, tmp_path, stage)
    check(found)
