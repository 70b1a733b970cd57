"""What goes wrong around a run: a killed worker, a damaged checkpoint, a folder that cannot be written, a second process, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import breadth
from breadth.engine.checkpoint import CheckpointError, steps_on_disk, verify
from breadth.experiments.runner import FolderLock, Job, RunFailed, run_jobs
from breadth.ledger.rows import clear_leftovers, commit_folder, write_atomic
from tests.faults.drill import RUN, settings_of_run, train

LONG = RUN.replace("steps = 4\ngroup_size", "steps = 100000\ngroup_size").replace("every = 2", "every = 50000")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    old = os.environ.get("BREADTH_CACHE")
    os.environ["BREADTH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("BREADTH_CACHE") if old is None else os.environ.__setitem__("BREADTH_CACHE", old)


@pytest.fixture
def run(cache, tmp_path) -> Path:
    train(tmp_path)
    return tmp_path / "run"


def gone() -> int:
    """The number of a process that has ended."""
    return subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("damage", ["truncated", "one bit"])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
def test_a_damaged_checkpoint_is_named_and_the_previous_one_offered(run, damage, name):
    file = run / "checkpoints" / "step-000004" / name
    data = bytearray(file.read_bytes())
    if damage == "truncated":
        data = data[: len(data) // 2]
    else:
        data[len(data) // 3] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=r"step-000004/") as caught:
        verify(file.parent)
    message = str(caught.value)
    assert "delete" in message and "to go on from step-000002" in message
    if name != "manifest.json":
        assert f"{file}: SHA-256 is" in message and "the checkpoint is damaged" in message
    (run / "done.json").unlink()
    with pytest.raises(CheckpointError):
        train(run.parent)
    import shutil

    shutil.rmtree(file.parent)  # what the message says
    train(run.parent)
    assert steps_on_disk(run / "checkpoints") == [0, 2, 4] and breadth.load_run(run).complete


def test_what_a_dead_process_left_is_cleared_and_what_a_living_one_writes_is_not(tmp_path):
    dead, alive = gone(), os.getppid()
    names = (f".ledger.jsonl.{dead}.tmp", f".ledger.jsonl.{alive}.tmp", f".other.{dead}.tmp")
    for name in names:
        (tmp_path / name).write_text("half")
    write_atomic(tmp_path / "ledger.jsonl", b"whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([names[1], names[2], "ledger.jsonl"])
    (tmp_path / f".step-000002.{dead}-old.tmp").mkdir()
    clear_leftovers(tmp_path, r"step-\d+")
    assert not list(tmp_path.glob(".step*"))


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    for name in ("new", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(OSError):
        commit_folder(tmp_path / "new", tmp_path / "there")
    assert (tmp_path / "there" / "file").read_text() == "there"
    commit_folder(tmp_path / "new", tmp_path / "free")
    assert (tmp_path / "free" / "file").read_text() == "new" and not (tmp_path / "new").exists()


def test_a_read_only_folder_is_named(cache, tmp_path):
    place = tmp_path / "locked"
    place.mkdir()
    place.chmod(0o500)
    try:
        if os.access(
            place, os.W_OK
        ):  # the superuser may write anywhere: a folder below a file cannot be made by anybody
            place = tmp_path / "file"
            place.write_text("")
        (tmp_path / "run.toml").write_text(RUN)
        done = command("train", tmp_path / "run.toml", "--out", place / "run", "--json")
        assert done.returncode == 1 and str(place) in done.stderr and "Traceback" not in done.stderr
    finally:
        (tmp_path / "locked").chmod(0o700)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "breadth.commands.app", *map(str, words)], capture_output=True, text=True
    )


def test_a_second_command_is_refused_with_the_number_of_the_first(run, tmp_path):
    (tmp_path / "run.toml").write_text(RUN.replace("steps = 4\ngroup_size", "steps = 6\ngroup_size"))
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock.pid"}
    with FolderLock(run):
        done = command("train", tmp_path / "run.toml", "--out", run, "--json")
    assert done.returncode == 1 and f"in use by process {os.getpid()}" in done.stderr
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name != ".lock.pid"} == before


def test_a_second_study_in_the_same_folder_is_refused_and_changes_nothing(cache, tmp_path):
    from breadth.config import StudySettings, build_settings
    from breadth.experiments.study import run_study
    from tests.faults.drill import STUDY

    settings = build_settings(StudySettings, tomllib.loads(STUDY), where="test")
    with FolderLock(tmp_path / "study"), pytest.raises(RuntimeError, match=f"in use by process {os.getpid()}: wait for it to end"):
        run_study(settings, tmp_path / "study")
    assert [p.name for p in (tmp_path / "study").iterdir() if not p.name.startswith(".lock")] == []


def long_settings():
    from breadth.config import RunSettings, build_settings
    from breadth.experiments.assemble import CHECKS

    return build_settings(RunSettings, tomllib.loads(LONG), where="test", checks=CHECKS)


def test_a_worker_killed_for_its_memory_is_said_and_its_run_goes_on(run, tmp_path):
    """The out-of-memory killer sends SIGKILL; so does this test, as soon as the worker has written a step. `test_out_of_memory` asks the kernel."""
    folder = tmp_path / "worker"
    job = Job(long_settings(), folder, run / "prior")
    victims: list[int] = []

    def kill(states: list) -> None:
        holder = folder / ".lock.pid"
        if states[0].step and not victims and holder.is_file():
            victims.append(int(holder.read_text()))
            os.kill(victims[0], signal.SIGKILL)

    with pytest.raises(RunFailed, match=r"ucb, seed 0 .*, at step \d+ of 100000: its process was killed by signal 9 \(SIGKILL\)"):
        run_jobs([job], workers=1, on_state=kill)
    assert steps_on_disk(folder / "checkpoints") == [0]
    with FolderLock(folder):
        pass  # the lock went with the process


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_ctrl_c_ends_the_command_and_the_next_one_goes_on(run, tmp_path, number):
    """The time is printed and not judged here; docs/reliability.md has the figures."""
    (tmp_path / "long.toml").write_text(LONG)
    out = tmp_path / "long"
    words = [
        sys.executable,
        "-m",
        "breadth.commands.app",
        "train",
        str(tmp_path / "long.toml"),
        "--out",
        str(out),
        "--json",
    ]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    steps = out / "steps.jsonl"
    for _ in range(1200):
        if process.poll() is not None or (steps.is_file() and steps.stat().st_size > 2000):
            break
        time.sleep(0.05)
    asked = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    print(f"ended {time.monotonic() - asked:.2f} s after signal {number}")
    assert (
        process.returncode == 130
        and "the same command goes on from the last checkpoint" in said
        and "Traceback" not in said
    )
    assert steps_on_disk(out / "checkpoints") == [0]
    with FolderLock(out):
        pass


def test_a_reward_that_hangs_costs_the_texts_it_hung_on(cache, tmp_path):
    from breadth.tasks.graphs import CircleTask

    def reward(texts, prompts=None):
        while any(t.startswith("0") for t in texts):
            time.sleep(1.0)
        return [float(len(set(t.split()))) for t in texts]

    data = {
        k: v for k, v in settings_of_run().model_dump(exclude_none=True).items() if k in ("model", "prior", "measure")
    }
    got = breadth.train(
        task=CircleTask(vertices=6, edges=3), objective="dr_grpo", reward=reward, out=tmp_path / "run", **data,
        train={"steps": 1, "group_size": 12, "reward_timeout": 0.2, "max_unscored_share": 1.0},
    )  # fmt: skip
    (row,) = got.training()
    assert 0 < row["n_unscored"] < 12 and row["reward"] is not None
    assert "longer than 0.2 s for 1 texts (train.reward_timeout)" in (got.path / "events.jsonl").read_text()
