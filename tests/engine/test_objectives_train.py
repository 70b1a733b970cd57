"""Every objective that the loop can feed, trains; what it cannot feed is refused with the reason; micro-batches change nothing."""

from __future__ import annotations

import pytest

import breadth
from breadth import catalogue
from breadth.config import ConfigError, RunSettings, build_settings
from breadth.engine.run_frame import RunStopped
from breadth.engine.streams import trainable
from breadth.experiments.assemble import CHECKS
from breadth.tasks.graphs import CircleTask
from tests.journeys.test_bad_input import parsed, small

FAMILIES = ("policy", "actor_critic", "group")  # what learns from examples or selects is trained in other files
NAMES = [name for name, entry in catalogue.entries("objective").items() if entry.family in FAMILIES]
REPLAY = {"replay_size": 12, "replay_samples": 6}


pytestmark = pytest.mark.usefixtures("module_cache")


def run(out, name, **train):
    tables = small(train={"steps": 2, **train}, measure={"every": 2})
    return breadth.train(task=breadth.task("circle", vertices=8, edges=4), objective=name, out=out, **tables)


def test_there_is_none_that_the_loop_does_not_train():
    assert [name for name in NAMES if trainable(catalogue.objective(name)) is not None] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "augmented_memory"])  # which needs molecules: test_augmentation.py
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
    data = parsed()
    data["objective"] = {"kind": "reinvent_filter", "bucket_by": "bucket_key"}
    with pytest.raises(ConfigError, match=r"objective: 'reinvent_filter' needs bucket_key, which the task 'circle' does not have"):
        build_settings(RunSettings, data, where="x.toml", checks=CHECKS)
    with pytest.raises(RunStopped, match=r"'vpo' needs reward_vector, and the task 'plain' has one reward"):
        breadth.train(task=Plain(vertices=8, edges=4), objective="vpo", out=tmp_path, **small(train={"steps": 1}))


class Plain(CircleTask):
    """Circles with one reward alone."""

    name = "plain"

    def reward_names(self):
        return ()


def two_ends(texts, prompts):
    """Two rewards that no text has both of: low digits first, high digits first."""
    high = [float("0." + text.replace(" ", "")) for text in texts]
    return [[1 - x, x] for x in high]


def test_a_reward_function_may_return_several_rewards(tmp_path):
    tables = small(train={"steps": 2}, measure={"every": 2})
    done = breadth.train(task=Plain(vertices=8, edges=4), objective="vpo", reward=two_ends, out=tmp_path / "a", **tables)
    row = done.training()[0]
    assert done.complete
    assert row["reward"] == pytest.approx(0.5)  # the mean of the two
    assert row["contribution"] > 0
    with pytest.raises(ValueError, match=r"returned one number per text, .* needs reward_vector: expected K numbers"):
        breadth.train(
            task=Plain(vertices=8, edges=4), objective="vpo", reward=lambda t, p: [0.0] * len(t), out=tmp_path / "b", **tables
        )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in ("ucb", "ppo", "flowrl", "reinvent_filter", "curiosity", "rnd")),
        ("reinvent", REPLAY),
        ("ahc", REPLAY),
        ("molrl_mgpt", {**REPLAY, "replay_top": 6}),
        ("reinvent_filter", {**REPLAY, "bucket": 2, "minscore": 0.0}),
    ],
)
def test_memories_and_heads_survive_an_interruption(tmp_path, name, settings):
    method = lambda: breadth.objective(name, **settings)  # noqa: E731
    straight = run(tmp_path / "a", method(), steps=4)
    run(tmp_path / "b", method(), steps=2)
    continued = run(tmp_path / "b", method(), steps=4)
    assert (straight.path / "steps.jsonl").read_bytes() == (continued.path / "steps.jsonl").read_bytes()
    last = [sorted((r.path / "checkpoints" / "step-000004").iterdir()) for r in (straight, continued)]
    assert [p.name for p in last[0]] == [p.name for p in last[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*last, strict=True))
    assert ("heads.safetensors" in [p.name for p in last[0]]) == (name in ("ppo", "flowrl"))
    replayed = [row.get("n_replayed") for row in straight.training()]
    if settings:
        assert replayed[0] == 0 and 0 < max(replayed[1:]) <= 6
    else:
        assert set(replayed) == {None}
