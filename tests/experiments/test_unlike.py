"""Agents that are unlike each other: what the reward says, and that an ensemble of them can be trained, kept and mixed."""

from __future__ import annotations

import numpy as np
import pytest

from breadth import task as make_task
from breadth.config import RunSettings, build_settings
from breadth.experiments.assemble import CHECKS
from breadth.experiments.unlike import UnlikeReward, train_unlike
from tests.small import SMALL

ONE, TURNED, OTHER = "0 1 1 2 2 0", "1 2 2 0 0 1", "3 4 4 5 5 3"


def test_an_answer_that_is_known_is_worth_less_however_it_is_written():
    task = make_task("circle", vertices=8, edges=3)
    reward = UnlikeReward(task, (ONE,), 0.75)
    assert reward.similarity([ONE, TURNED, OTHER]).tolist() == [1.0, 1.0, 0.0]
    assert reward([ONE, TURNED, OTHER, "0 0"]).tolist() == [0.25, 0.25, 1.0, 0.0]
    assert UnlikeReward(task, (), 1.0)([ONE, OTHER]).tolist() == [1.0, 1.0]
    assert np.array_equal(reward([ONE, OTHER]), reward([ONE, OTHER]))  # remembered similarities are the same
    with pytest.raises(ValueError, match="from 0 to 1, got 1.5"):
        UnlikeReward(task, (), 1.5)


def test_agents_are_trained_one_after_another_and_kept(own_cache, tmp_path):
    import tomllib

    data = tomllib.loads(SMALL)
    data["train"]["steps"] = 4
    settings = build_settings(RunSettings, data, where="test", checks=CHECKS)
    runs = train_unlike(settings, tmp_path / "out", agents=2, weight=1.0)
    assert [run.seed for run in runs] == [0, 1] and all(run.complete for run in runs)
    ledger = (runs[1].path / "ledger.jsonl").read_bytes()
    assert [r.path for r in train_unlike(settings, tmp_path / "out", agents=2, weight=1.0)] == [r.path for r in runs]
    assert (runs[1].path / "ledger.jsonl").read_bytes() == ledger
    with pytest.raises(ValueError, match="was trained with weight 1.0"):
        train_unlike(settings, tmp_path / "out", agents=2, weight=0.5)
