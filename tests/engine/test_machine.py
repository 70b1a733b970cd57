"""Precision, trackers and devices: what is asked for is done, or refused."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
import torch

import breadth
from breadth.config import ConfigError, EngineSettings
from breadth.engine.machine import Machine
from tests.journeys.test_bad_input import small
from tests.small import SMALL


def train(tmp_path, monkeypatch, **engine):
    monkeypatch.setenv("BREADTH_CACHE", str(tmp_path / "cache"))
    tables = small(train={"steps": 2}, measure={"every": 2}, engine=engine)
    return breadth.train(
        task=breadth.task("circle", vertices=8, edges=4), objective="ppo_clip", out=tmp_path / "run", **tables
    )


def test_bf16_trains_and_measures(tmp_path, monkeypatch):
    run = train(tmp_path, monkeypatch, precision="bf16")
    assert run.complete and all(row["loss"] is not None for row in run.training())


@pytest.mark.nightly
def test_a_compiled_forward_pass_gives_nearly_the_same_run(tmp_path, monkeypatch):
    plain = train(tmp_path / "plain", monkeypatch)
    compiled = train(tmp_path / "compiled", monkeypatch, compile=True)
    a, b = (r.training()[0] for r in (plain, compiled))
    assert a["loss"] == pytest.approx(b["loss"], abs=1e-4) and a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-3)


def test_trackers_get_the_numbers(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(tmp_path, monkeypatch, trackers=["tensorboard"])
    files = list(run.path.glob("**/events.out.tfevents*"))
    events = EventAccumulator(str(files[0].parent)).Reload()
    assert {"quality", "diversity", "reward", "loss"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("reward")] == [1, 2]


@pytest.mark.parametrize("tracker", ["wandb", "trackio"])
def test_trackers_name_a_run_and_keep_its_numbers(tmp_path, tracker):
    pytest.importorskip(tracker, reason=f"{tracker} is not installed")
    config = tmp_path / "config.toml"
    config.write_text(
        SMALL.replace("steps = 12", "steps = 2").replace("every = 4", "every = 2")
        + f'[engine]\ntrackers = ["{tracker}"]\n'
    )
    here = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio"), "BREADTH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "breadth", "train", str(config), "--out", str(tmp_path / "run")]
    subprocess.run(command, env={**os.environ, **here}, check=True, capture_output=True, cwd=tmp_path)
    if tracker == "wandb":  # its files lie in the run's own folder
        assert list((tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb"))
        return
    with sqlite3.connect(next((tmp_path / "trackio").glob("*.db"))) as base:
        rows = base.execute("select step, metrics from metrics").fetchall()
    found = {(step, name) for step, text in rows for name in json.loads(text)}
    assert {(1, "reward"), (2, "reward"), (2, "diversity"), (2, "quality")} <= found
    assert not any(name.startswith("__") for _, name in found)  # nothing it would have to rename


def test_what_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"unknown tracker 'tensorbord'; did you mean 'tensorboard'\?"):
        Machine(EngineSettings(trackers=("tensorbord",)))
    with pytest.raises(ImportError, match="'clearml' needs its package: pip install clearml"):
        Machine(EngineSettings(trackers=("clearml",)))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="'cuda' was asked for, but torch sees no CUDA device"):
            Machine(EngineSettings(device="cuda"))
