"""Choices that a published protocol leaves open, as settings: a reward that fades, and whose entropy is measured."""

from __future__ import annotations

import tomllib

import pytest

from breadth.config import RunSettings, build_settings
from breadth.experiments.front import train_settings
from breadth.ledger.rows import read_rows
from tests.small import SMALL


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train the small circle with changed settings, from one prior; return its folder."""
    root = tmp_path_factory.mktemp("runs")
    cache = pytest.MonkeyPatch()
    cache.setenv("BREADTH_CACHE", str(root / "cache"))

    def train(name, reward=None, **sections):
        data = tomllib.loads(SMALL)
        for section, changes in sections.items():
            data[section] = {**data.get(section, {}), **changes}
        train_settings(build_settings(RunSettings, data, where=name), root / name, reward=reward)
        return root / name

    yield train
    cache.undo()


def length(texts, prompts):
    """A reward that no text goes without."""
    return [0.5 + len(text) / 100 for text in texts]


REINVENT = {"kind": "reinvent", "sigma": 5.0}


def rows(folder, file):
    return read_rows(folder / file, on_repair=lambda text: None)


def test_a_linear_schedule_multiplies_the_reward_and_leaves_the_log_alone(run):
    train = {"steps": 4, "group_size": 16}
    plain = run("plain", length, objective=REINVENT, train=train)
    fading = run("fading", length, objective=REINVENT, train={**train, "reward_schedule": "linear"})
    said = run("said", length, objective=REINVENT, train={**train, "reward_schedule": "constant"})
    assert (plain / "steps.jsonl").read_bytes() == (said / "steps.jsonl").read_bytes()
    a, b = rows(plain, "steps.jsonl"), rows(fading, "steps.jsonl")
    assert a[0] == b[0]  # the first factor is 1
    assert a[1]["reward"] == b[1]["reward"] > 0.5  # rewards are logged as they were given
    assert a[1]["loss"] != b[1]["loss"]


def test_a_reward_that_has_faded_is_a_smaller_sigma(run):
    # two steps: the second has the factor 1/2
    fading = run("half", length, objective=REINVENT, train={"steps": 2, "group_size": 16, "reward_schedule": "linear"})
    whole = run("whole", length, objective=REINVENT, train={"steps": 2, "group_size": 16})
    assert rows(fading, "steps.jsonl")[0] == rows(whole, "steps.jsonl")[0]
    assert rows(fading, "steps.jsonl")[1]["loss"] < rows(whole, "steps.jsonl")[1]["loss"]


def test_entropy_before_and_after_the_cut(run):
    measure = {"every": 2, "sets": 2, "samples_per_set": 10, "top_k": 1}
    found = {}
    for which in (None, "full", "truncated"):
        changes = measure if which is None else {**measure, "entropy_of": which}
        folder = run(f"entropy-{which}", train={"steps": 2, "group_size": 8}, measure=changes)
        found[which] = {r["metric"]: r["value"] for r in rows(folder, "ledger.jsonl") if r["step"] == 0}
    assert found[None] == found["full"]
    assert found["full"]["policy_entropy"] > 0.01
    assert found["truncated"]["policy_entropy"] == pytest.approx(0.0, abs=1e-12)  # the likeliest token alone: no choice
    rest = {k: v for k, v in found["full"].items() if k != "policy_entropy"}
    assert rest == {k: v for k, v in found["truncated"].items() if k != "policy_entropy"}
