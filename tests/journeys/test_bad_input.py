"""What a user gets for bad input: where, what was expected, what came, what to do; nothing already written is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import breadth
from breadth.config import ConfigError, RunSettings, StudySettings, build_settings
from breadth.engine.run_frame import RunStopped
from breadth.experiments.assemble import CHECKS, load_study
from breadth.tasks.graphs import CircleTask
from tests.small import SMALL, SMALL_STUDY


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    old = os.environ.get("BREADTH_CACHE")
    os.environ["BREADTH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ.pop("BREADTH_CACHE") if old is None else os.environ.__setitem__("BREADTH_CACHE", old)


def parsed(text=SMALL):
    import tomllib

    return tomllib.loads(text)


def small(**tables):
    data = parsed()
    for name, table in tables.items():
        data.setdefault(name, {}).update(table)
    return {k: v for k, v in data.items() if k in ("model", "prior", "train", "measure", "sample", "engine")}


def train(tmp_path, task=None, objective="dr_grpo", reward=None, **tables):
    return breadth.train(
        task=task or CircleTask(vertices=8, edges=4), objective=objective, reward=reward, out=tmp_path / "run", **small(**tables)
    )


def test_unknown_keys_and_wrong_types_are_shown_all_at_once(tmp_path):
    text = SMALL.replace("steps = 12", 'stepz = 12\nlearning_rate = "fast"').replace("sets = 2", "sets = 0")
    with pytest.raises(ConfigError) as caught:
        build_settings(RunSettings, parsed(text), where="small.toml", checks=CHECKS)
    message = str(caught.value)
    assert message.startswith("small.toml: 3 problems")
    assert "train.stepz: unknown key; did you mean 'steps'?" in message
    assert "train.learning_rate: expected a valid number" in message and "got 'fast'" in message
    assert "measure.sets:" in message and "greater than or equal to 1, got 0" in message


def test_incompatible_settings_and_unknown_names_are_shown_all_at_once():
    data = parsed(SMALL_STUDY)
    data["model"]["n_embd"] = 33
    data["train"]["minibatches"] = 64
    data["study"]["baseline"] = "dr_grop"
    data["objectives"]["darlin"] = {}
    data["objectives"]["qempo"] = {"inv_lamda": 0.1}
    data["task"]["edges"] = 20
    with pytest.raises(ConfigError) as caught:
        build_settings(StudySettings, data, where="s.toml", checks=CHECKS)
    message = str(caught.value)
    for part in (
        "model.n_embd = 33 is not a multiple of model.n_head = 2",
        "train.minibatches = 64 exceeds the 32 rollouts of a step",
        "study.baseline = 'dr_grop' is not among the objectives; did you mean 'dr_grpo'?",
        "'darlin'",
        "'darling'",
        "inv_lamda",
        "inv_lambda",
        "20",
    ):
        assert part in message, message


def test_unknown_study_and_broken_toml(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown study 'circl'; did you mean 'circle'\?"):
        load_study("circl")
    (tmp_path / "x.toml").write_text("[task\n")
    with pytest.raises(ConfigError, match=r"not TOML: .*line 1"):
        load_study(str(tmp_path / "x.toml"))
    with pytest.raises(ConfigError, match="expected KEY=VALUE such as train.steps=100, got 'steps'"):
        load_study("circle", ["steps"])


def test_a_reward_that_raises_on_some_items_leaves_them_unscored(tmp_path):
    def reward(texts, prompts=None):
        if any(t.startswith("0") for t in texts):
            raise KeyError("vertex zero")
        return [float(len(set(t.split()))) for t in texts]

    run = train(tmp_path, reward=reward, train={"steps": 2})
    rows = run.training()
    assert all(0 < row["n_unscored"] < 32 and row["reward"] is not None for row in rows)
    events = (run.path / "events.jsonl").read_text()
    assert "KeyError: 'vertex zero'" in events


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_reward_that_is_no_number_stops_the_run_and_keeps_it(tmp_path, value):
    with pytest.raises(RunStopped, match=r"step 0: 32 of 32 rollouts could not be scored \(limit: 50%, train.max_unscored_share\)"):
        train(tmp_path, reward=lambda texts, prompts=None: [value] * len(texts))
    assert (tmp_path / "run/ledger.jsonl").stat().st_size > 0
    run = breadth.load_run(tmp_path / "run")
    assert run.steps == [0] and not run.complete


def test_a_reward_of_the_wrong_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the scorer returned 31 values for 32 texts: expected one each, in order"):
        train(tmp_path, reward=lambda texts, prompts=None: [1.0] * (len(texts) - 1))


class Odd(CircleTask):
    """A circle task with a corpus of one's choice."""

    def corpus(self, n, *, seed=0, split="train"):
        return self.texts


def odd(texts):
    task = Odd(vertices=8, edges=4)
    object.__setattr__(task, "texts", texts)
    return task


def test_empty_corpus_unknown_token_and_too_long(tmp_path):
    with pytest.raises(ValueError, match="the corpus is empty: pre-training needs at least one text"):
        train(tmp_path / "a", task=odd([]), prior={"seed": 1})
    with pytest.raises(ValueError, match=r"token '9' of '9 0 0 1' is not in the vocabulary of 8 tokens: drop or rewrite this text"):
        train(tmp_path / "b", task=odd(["9 0 0 1"]), prior={"seed": 2})
    with pytest.raises(ValueError, match=r"has 20 tokens to predict, the model's context is 9: set model.n_positions higher"):
        train(tmp_path / "c", task=odd(["0 1 " * 10]), prior={"seed": 3})


def test_a_context_that_is_too_short_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"8 tokens to predict, the model's context is 4"):
        train(tmp_path, model={"n_positions": 4})


def test_exploding_learning_rates_refuse_updates_and_name_rollouts(tmp_path, monkeypatch):
    """The loss of two rollouts is made infinite: the update is refused and they are named."""
    from breadth.engine import update as room

    real = room.completion_logp

    def poisoned(model, rollouts, rows=None, **how):
        found = real(model, rollouts, rows, **how)
        if rows is not None and how.get("with_entropy") is False:
            hit = (rows == 3) | (rows == 7)
            return replace(found, logp=found.logp * hit.float().masked_fill(hit, float("nan")).masked_fill(~hit, 1.0)[:, None])
        return found

    monkeypatch.setattr(room, "completion_logp", poisoned)
    with pytest.raises(RunStopped, match=r"5 updates in a row were refused, the last because .* 2 of 32 rollouts \(rollout 3: "):
        train(tmp_path, train={"steps": 8})
    import json

    rows = [json.loads(line) for line in (tmp_path / "run/steps.jsonl").read_text().splitlines()]
    assert all(row["n_refused"] == 1 and row["loss"] is None for row in rows)


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/proc/mounts").exists(), reason="needs the right to mount a small file system")
def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(tmp_path):
    from tests.small import SMALL as text

    place = tmp_path / "tiny"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(place)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        (tmp_path / "run.toml").write_text(text)
        words = [sys.executable, "-m", "breadth.commands.app", "train", str(tmp_path / "run.toml"), "--out", str(place / "run"), "--json"]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 1 and "the disk is full" in done.stderr and "run the same command again" in done.stderr
        subprocess.run(["mount", "-o", "remount,size=100m", str(place)], check=True)
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert breadth.load_run(place / "run").complete
    finally:
        subprocess.run(["umount", str(place)])


def test_runs_from_different_priors_are_not_compared(tmp_path):
    from breadth.experiments.compare import compare_runs, load_runs

    train(tmp_path / "a", train={"steps": 1})
    train(tmp_path / "b", objective="grpo", prior={"seed": 5}, train={"steps": 1})
    with pytest.raises(ValueError, match=r"start from different priors and cannot be compared: .* from [0-9a-f]{16}, .* from [0-9a-f]{16}"):
        compare_runs(load_runs([tmp_path]))


def test_a_task_of_ones_own_and_a_reward_of_ones_own(tmp_path):
    run = train(tmp_path, reward=lambda texts, prompts=None: np.array([t.count("1") for t in texts], dtype=float), train={"steps": 3})
    assert run.complete and run.series("quality")[0]["n"] == 40


def test_two_tasks_of_one_name_do_not_share_a_prior(tmp_path):
    """Both are objects called "circle"; only their corpora tell them apart."""
    first = train(tmp_path / "a", train={"steps": 0})
    second = train(tmp_path / "b", task=CircleTask(vertices=9, edges=4), train={"steps": 0})
    again = train(tmp_path / "c", train={"steps": 0})
    assert first.prior_hash == again.prior_hash != second.prior_hash


def test_a_refused_second_process_leaves_the_settings_alone(tmp_path):
    from breadth.experiments.runner import FolderLock

    run = train(tmp_path, train={"steps": 1})
    before = (run.path / "config.json").read_bytes()
    with FolderLock(run.path), pytest.raises(RuntimeError, match="in use by process"):
        train(tmp_path, train={"steps": 2})
    assert (run.path / "config.json").read_bytes() == before
