"""Every objective that the loop can feed, trains; what it cannot feed is refused with the reason; micro-batches change nothing."""

from __future__ import annotations

import pytest

import breadth
from breadth import catalogue
from breadth.config import ConfigError, RunSettings, build_settings
from breadth.engine.streams import trainable
from breadth.experiments.assemble import CHECKS
from tests.journeys.test_bad_input import parsed, small

NAMES = [name for name in catalogue.entries("objective") if trainable(catalogue.objective(name)) is None]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("BREADTH_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def run(out, name, **train):
    tables = small(train={"steps": 2, **train}, measure={"every": 2})
    return breadth.train(task=breadth.task("circle", vertices=8, edges=4), objective=name, out=out, **tables)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_and_micro_batches_do_not_matter(tmp_path, name):
    whole, parts = run(tmp_path / "whole", name), run(tmp_path / "parts", name, micro_batch=7)
    assert whole.complete
    for a, b in zip(whole.training()[:1], parts.training()[:1], strict=True):
        for key in ("loss", "grad_norm", "reward"):
            assert a[key] == pytest.approx(b[key], rel=2e-3, abs=1e-5), key


@pytest.mark.parametrize(
    ("name", "settings"),
    [("ppo", {"beta": 0.05, "value_clip": None}), ("trajectory_balance", {"log_z": "learned"})],
)
def test_settings_that_need_more_train_too(tmp_path, name, settings):
    done = run(tmp_path / "run", breadth.objective(name, **settings))
    rows = done.training()
    assert done.complete
    assert all(row["n_refused"] == 0 for row in rows)
    assert name != "ppo" or rows[0]["kl_reward"] == pytest.approx(0, abs=1e-4)  # the policy starts at the reference
    assert (done.path / "checkpoints" / "step-000002" / "heads.safetensors").is_file()


def test_what_cannot_be_fed_is_refused_before_anything_runs(tmp_path):
    for kind, words in {"dpo": "family 'pair'", "vpo": "needs reward_vector"}.items():
        data = parsed()
        data["objective"] = {"kind": kind}
        with pytest.raises(ConfigError, match=f"objective: .*{words}"):
            build_settings(RunSettings, data, where="x.toml", checks=CHECKS)


@pytest.mark.parametrize("name", ["ucb", "ppo", "flowrl"])
def test_memories_and_heads_survive_an_interruption(tmp_path, name):
    straight = run(tmp_path / "a", name, steps=4)
    run(tmp_path / "b", name, steps=2)
    continued = run(tmp_path / "b", name, steps=4)
    assert (straight.path / "steps.jsonl").read_bytes() == (continued.path / "steps.jsonl").read_bytes()
    last = [sorted((r.path / "checkpoints" / "step-000004").iterdir()) for r in (straight, continued)]
    assert [p.name for p in last[0]] == [p.name for p in last[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*last, strict=True))
    assert ("heads.safetensors" in [p.name for p in last[0]]) == (name != "ucb")
