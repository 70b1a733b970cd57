"""An interrupted run, started again, ends with the same bits as one that was never interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from breadth.config import RunSettings, build_settings
from breadth.engine.checkpoint import CheckpointError
from breadth.experiments.assemble import CHECKS
from breadth.experiments.front import train_settings
from breadth.ledger.rows import LedgerError, read_rows
from tests.small import SMALL

STEPS = 12


def settings(**train):
    import tomllib

    data = tomllib.loads(SMALL)
    data["train"].update(train)
    return build_settings(RunSettings, data, where="test", checks=CHECKS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    old = os.environ.get("BREADTH_CACHE")
    os.environ["BREADTH_CACHE"] = str(folder)
    yield folder
    os.environ.pop("BREADTH_CACHE") if old is None else os.environ.__setitem__("BREADTH_CACHE", old)


@pytest.fixture(scope="module")
def straight(cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("straight") / "run"
    train_settings(settings(), out)
    return out


def fingerprint(run: Path) -> dict[str, bytes]:
    """All that must be equal: ledger, training rows, samples, and the last weights with their optimiser."""
    last = run / "checkpoints" / f"step-{STEPS:06d}"
    names = ["ledger.jsonl", "steps.jsonl"]
    found = {name: (run / name).read_bytes() for name in names}
    found |= {p.name: p.read_bytes() for p in sorted((run / "samples").iterdir())}
    return found | {p.name: p.read_bytes() for p in sorted(last.iterdir())}


def test_the_same_seed_gives_the_same_run(straight, tmp_path):
    train_settings(settings(), tmp_path / "run")
    assert fingerprint(tmp_path / "run") == fingerprint(straight)


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.nightly)])
def test_kill_9_at_any_moment_costs_nothing(straight, cache, tmp_path, rounds):
    """The command is killed again and again at random moments, and then left alone."""
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    command = [sys.executable, "-m", "breadth.commands.app", "train", str(config), "--out", str(tmp_path / "run"), "--json"]
    chance = random.Random(0)
    killed = 0
    for _ in range(rounds):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_start(tmp_path / "run", process)
        time.sleep(chance.uniform(0, 0.6))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert killed > 0
    assert fingerprint(tmp_path / "run") == fingerprint(straight)
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and fingerprint(tmp_path / "run") == fingerprint(straight), "a finished run is left alone"


def wait_for_start(run: Path, process: subprocess.Popen) -> None:
    """Wait until this process has said that it started or resumed, so that kills fall into the run itself."""
    events = run / "events.jsonl"
    before = events.read_text().count("\n") if events.is_file() else 0
    for _ in range(600):
        if process.poll() is not None or (events.is_file() and events.read_text().count("\n") > before):
            return
        time.sleep(0.05)


class Crash(BaseException):
    """Stands for the loss of power: nothing catches it."""


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_crash_at_a_write_costs_nothing(straight, cache, tmp_path, monkeypatch, call):
    """Every few calls of fsync and rename the process dies; it is started again until it gets through."""
    real = getattr(os, call)
    survives = 1
    for _ in range(200):
        count = 0

        def dies(*args, limit=survives, **kwargs):
            nonlocal count
            count += 1
            if count > limit:
                raise Crash
            return real(*args, **kwargs)

        monkeypatch.setattr(os, call, dies)
        try:
            train_settings(settings(), tmp_path / "run")
        except Crash:
            survives += max(6, survives)
        else:
            break
        finally:
            monkeypatch.setattr(os, call, real)
    assert fingerprint(tmp_path / "run") == fingerprint(straight)


def interrupted(out: Path) -> Path:
    """A run of 8 steps: what lies there is continued by a run of 12."""
    train_settings(settings(steps=8), out)
    return out


def test_a_finished_run_can_be_made_longer(straight, tmp_path):
    run = interrupted(tmp_path / "run")
    train_settings(settings(), run)
    ends = {"step-000008.parquet"}  # the end of the shorter run kept its samples
    assert {k: v for k, v in fingerprint(run).items() if k not in ends} == fingerprint(straight)


def test_half_a_last_line_is_repaired_and_said(straight, tmp_path):
    run = interrupted(tmp_path / "run")
    for name in ("ledger.jsonl", "steps.jsonl"):
        with open(run / name, "ab") as file:
            file.write(b'{"study": "sm')
    train_settings(settings(), run)
    said = [e["what"] for e in read_rows(run / "events.jsonl") if e["event"] == "repaired"]
    assert len(said) == 2 and all("was cut off after 13 bytes" in text for text in said)
    assert fingerprint(run)["ledger.jsonl"] == fingerprint(straight)["ledger.jsonl"]


def test_other_damage_is_refused_and_nothing_is_lost(tmp_path):
    run = interrupted(tmp_path / "run")
    whole = (run / "ledger.jsonl").read_bytes()
    (run / "ledger.jsonl").write_bytes(b"garbage\n" + whole)
    with pytest.raises(LedgerError, match=r"ledger.jsonl, line 1: expected a JSON object, got 'garbage'"):
        train_settings(settings(), run)
    assert (run / "ledger.jsonl").read_bytes() == b"garbage\n" + whole
    (run / "ledger.jsonl").write_bytes(whole)
    weights = run / "checkpoints" / "step-000008" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"step-000008/model.safetensors: SHA-256 .*to go on from step-000004"):
        train_settings(settings(), run)


def test_other_settings_in_the_same_folder_are_refused(tmp_path):
    run = interrupted(tmp_path / "run")
    with pytest.raises(ValueError, match=r"train.learning_rate: the run that lies here has 0.002, now 0.001 is asked for"):
        train_settings(settings(steps=8, learning_rate=1e-3), run)


def test_a_second_process_is_refused_with_the_number_of_the_first(tmp_path):
    from breadth.experiments.runner import FolderLock

    with FolderLock(tmp_path), pytest.raises(RuntimeError, match=rf"in use by process {os.getpid()}"), FolderLock(tmp_path):
        pass
