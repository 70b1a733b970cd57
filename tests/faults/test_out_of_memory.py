"""The kernel's own out-of-memory killer ends a worker of a study: the run and the cause are named, the others go on, the next command too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

import breadth
from breadth.engine.checkpoint import steps_on_disk
from breadth.experiments.lost import cause_of_death, lost_runs, memory_kills
from tests.faults.drill import STUDY
from tests.faults.memory_group import NoGroup, memory_group

STUDY = STUDY.replace("steps = 4\ngroup_size", "steps = 40\ngroup_size").replace("every = 2", "every = 10")
STUDY = STUDY.replace("seeds = [0, 1]", "seeds = [0]\nworkers = 2")


def test_a_worker_that_the_kernel_kills_for_its_memory(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    out = tmp_path / "out"
    words = [sys.executable, "-m", "breadth.commands.app", "study", str(tmp_path / "study.toml"), "--out", str(out)]
    environment = {**os.environ, "BREADTH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    try:
        group = memory_group(0)
        made = group.__enter__()
    except NoGroup as reason:
        pytest.skip(str(reason))
    try:
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        holder, victim = out / "runs" / "darling" / "seed-0" / ".lock.pid", 0
        while process.poll() is None and not victim:
            if (holder.parent / "checkpoints" / "step-000010").is_dir():  # from here on it gets no more memory
                victim = int(holder.read_text())
                made.add(victim)
            time.sleep(0.01)
        said = process.communicate(timeout=120)[0]
        assert made.kills() == 1
    finally:
        group.__exit__(None, None, None)
    assert process.returncode == 1 and "Traceback" not in said, said
    assert "1 of 2 runs lost its process; the others are done:" in said, said
    assert f"- darling, seed 0 ({holder.parent}), at step " in said
    assert "killed by signal 9 (SIGKILL), probably out of memory: the kernel has ended" in said
    assert "the same command goes on from the last checkpoint; fewer runs at a time (study.workers)" in said
    other = breadth.load_run(out / "runs" / "dr_grpo" / "seed-0")
    assert other.complete and not (holder.parent / "done.json").exists() and not (out / "summary.json").exists()
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert events[-1]["event"] == "study stopped" and "darling, seed 0" in events[-1]["why"]
    before = (other.path / "ledger.jsonl").stat().st_mtime_ns

    kept = steps_on_disk(holder.parent / "checkpoints")
    assert 10 <= kept[-1] < 40
    again = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    run = breadth.load_run(holder.parent)
    assert run.complete and steps_on_disk(run.path / "checkpoints")[-1] == 40
    assert [row["step"] for row in run.training()] == list(range(1, 41))
    assert (other.path / "ledger.jsonl").stat().st_mtime_ns == before  # a run that is done is left alone
    assert json.loads((out / "summary.json").read_text())


def test_what_is_said_of_a_death_and_what_is_not():
    said = cause_of_death(-9, kills_before=2, kills_now=4)
    assert "probably out of memory: the kernel has ended 2 processes for that" in said
    assert "by hand or by another program" in cause_of_death(-9, kills_before=2, kills_now=2)
    assert cause_of_death(-9, kills_before=None, kills_now=None).endswith("(SIGKILL), probably out of memory")
    assert "memory" not in cause_of_death(-15, kills_before=2, kills_now=4)
    assert cause_of_death(-99, kills_before=0, kills_now=0) == "its process was killed by signal 99 (no name)"
    assert "study.workers" in lost_runs([said], 4, finished=True) and "study.workers" not in lost_runs(
        ["a"], 4, finished=True
    )
    assert lost_runs(["a"], 1, finished=True).startswith("the run lost its process:\n  - a\n")
    both = lost_runs([said, "b"], 4, finished=False)
    assert both.startswith("2 of 4 runs lost their process; the others were stopped:\n  - its") and "\n  - b\n" in both


def test_the_kernel_s_count(tmp_path, monkeypatch):
    import breadth.experiments.lost as room

    monkeypatch.setattr(room, "KERNEL", tmp_path / "vmstat")
    assert memory_kills() is None  # no such file: another system
    for text, count in (
        ("pgfault 3\noom_kill 7\n", 7),
        ("pgfault 3\n", None),
        ("oom_kill x\n", None),
        ("oom_kill\n", None),
    ):
        room.KERNEL.write_text(text)
        assert memory_kills() == count
