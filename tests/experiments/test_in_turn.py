"""Agents in turn: what one run alone would do, a kill at any checkpoint, the memory between them, and what is refused."""

from __future__ import annotations

import json
import shutil
import tomllib

import pytest

import breadth
from breadth.config import RunSettings, build_settings
from breadth.engine.run_frame import RunFrame
from breadth.experiments.assemble import CHECKS
from breadth.experiments.front import train_settings
from breadth.experiments.in_turn import train_agents_in_turn
from tests.small import SMALL

FILES = (
    "ledger.jsonl",
    "steps.jsonl",
    "checkpoints/step-000006/model.safetensors",
    "checkpoints/step-000006/optimizer.safetensors",
)


def settings(seed=0, steps=6, **objective):
    data = tomllib.loads(SMALL)
    data["train"] |= {"steps": steps, "reward_schedule": "linear", "learning_rate": 1e-3}
    data["train"]["group_size"] = 12
    data["prior"]["steps"] = 30
    data["measure"] |= {"every": 2, "samples_per_set": 6}
    data["task"]["reward_form"] = "graded"  # so that every answer has a reward for the push to weigh
    data["seed"] = seed
    data["objective"] = {"kind": "molrl_mgpt", "sigma": 5.0, **objective}
    return build_settings(RunSettings, data, where="test", checks=CHECKS)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREADTH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    out = tmp_path_factory.mktemp("agents") / "three"
    train_agents_in_turn(settings(), out, agents=3)
    return out


def same(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in FILES)


def test_without_push_and_memory_each_agent_is_a_run_of_its_own(tmp_path):
    alone = settings(steps=2, repulsion=0.0, replay_size=0, replay_top=0)
    train_agents_in_turn(alone, tmp_path / "out", agents=2)
    for i in range(2):
        train_settings(settings(seed=i, steps=2, repulsion=0.0, replay_size=0, replay_top=0), tmp_path / f"run-{i}")
        assert (tmp_path / f"out/agent-{i}/ledger.jsonl").read_bytes() == (
            tmp_path / f"run-{i}/ledger.jsonl"
        ).read_bytes()
    pushed = settings(steps=2, repulsion=50.0, replay_size=0, replay_top=0)
    first, second = train_agents_in_turn(pushed, tmp_path / "pushed", agents=2)
    assert (first.path / "ledger.jsonl").read_bytes() == (
        tmp_path / "run-0/ledger.jsonl"
    ).read_bytes()  # nobody is before it
    assert (second.path / "ledger.jsonl").read_bytes() != (tmp_path / "run-1/ledger.jsonl").read_bytes()
    gaps = [[row.get("agents_gap") for row in run.training()] for run in (first, second)]
    assert set(gaps[0]) == {None} and gaps[1][0] > 0


def test_the_memory_is_one_and_is_written_down(three):
    rows = [json.loads(line) for line in (three / "memory.jsonl").read_text().splitlines()]
    states = [
        json.loads((three / f"agent-{i}/checkpoints/step-000006/state.json").read_text())["objective"] for i in range(3)
    ]
    assert states[0] == states[1] == states[2]
    assert [row["key"] for row in rows] == list(next(iter(states[0]["replay"]["stored"].values())))
    assert [row["reward"] for row in rows] == sorted((row["reward"] for row in rows), reverse=True)
    replayed = [[row["n_replayed"] for row in breadth.load_run(three / f"agent-{i}").training()] for i in range(3)]
    assert (
        replayed[0][0] == 0 and replayed[1][0] > 0
    )  # the second agent learns from what the first found in the same step


@pytest.mark.parametrize(
    "call", [5, pytest.param(9, marks=pytest.mark.nightly), pytest.param(11, marks=pytest.mark.nightly)]
)
def test_killed_between_the_checkpoints_of_two_agents_all_go_on_together(tmp_path, monkeypatch, three, call):
    """5, 9: one agent, or two, are a checkpoint ahead of the others; 11: one is done already."""
    made, save = [0], RunFrame._checkpoint

    def dying(self, step, *, fresh):
        made[0] += 1
        if made[0] == call:
            raise KeyboardInterrupt
        save(self, step, fresh=fresh)

    monkeypatch.setattr(RunFrame, "_checkpoint", dying)
    with pytest.raises(KeyboardInterrupt):
        train_agents_in_turn(settings(), tmp_path / "out", agents=3)
    monkeypatch.undo()
    assert len({len(list((tmp_path / f"out/agent-{i}/checkpoints").iterdir())) for i in range(3)}) == 2
    runs = train_agents_in_turn(settings(), tmp_path / "out", agents=3)
    assert all(run.complete and same(run.path, three / run.path.name) for run in runs)
    assert (tmp_path / "out/memory.jsonl").read_bytes() == (three / "memory.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "out")


def test_what_is_done_is_kept_and_more_steps_or_other_agents_are_told_apart(three):
    before = (three / "agent-2/events.jsonl").read_bytes()
    assert [run.path.name for run in train_agents_in_turn(settings(), three, agents=3)] == [
        "agent-0",
        "agent-1",
        "agent-2",
    ]
    assert (three / "agent-2/events.jsonl").read_bytes() == before
    with pytest.raises(ValueError, match="3 agents were trained here in turn, now 4 are asked for"):
        train_agents_in_turn(settings(), three, agents=4)
    with pytest.raises(ValueError, match=r"train.steps: the run that lies here has 6, now 8 is asked for"):
        train_agents_in_turn(
            settings(steps=8), three, agents=3
        )  # a falling σ₁ of 8 steps is another one from the start
    with pytest.raises(ValueError, match="expected 2 or more, got 1"):
        train_agents_in_turn(settings(), three, agents=1)


def test_other_objectives_are_sent_to_the_other_way(tmp_path):
    data = tomllib.loads(SMALL)
    plain = build_settings(RunSettings, data, where="test", checks=CHECKS)
    with pytest.raises(ValueError, match="'darling' does not read other agents: use molrl_mgpt"):
        train_agents_in_turn(plain, tmp_path, agents=2)
