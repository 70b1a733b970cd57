"""The published recipes that need GPUs are well-formed, say so, and agree with the run files that belong to them."""

from pathlib import Path

import pytest

import breadth
from breadth.config import RunSettings, StudySettings, build_settings, read_toml
from breadth.config_checks import cross_checks
from breadth.studies import paths

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = {
    "verifiable": {
        "prompts": 256,
        "group_size": 8,
        "minibatches": 4,
        "steps": 390,
        "max_tokens": 8192,
        "beta": 0.0,
        "threshold": 0.5,
    },
    "nonverifiable": {
        "prompts": 32,
        "group_size": 8,
        "minibatches": None,
        "steps": 3125,
        "max_tokens": 1024,
        "beta": 0.001,
        "threshold": 0.32,
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipe(name):
    path = paths()[f"paper/darling-{name}"]
    study = build_settings(StudySettings, read_toml(path), where=str(path), checks=[cross_checks])
    example = ROOT / "examples" / f"darling_{name}.toml"
    run = build_settings(RunSettings, read_toml(example), where=str(example), checks=[cross_checks])
    asked = PUBLISHED[name]
    for settings in (study, run):
        train, numbers = settings.train, settings.task.numbers
        assert (train.prompts, train.group_size, train.minibatches, train.steps) == tuple(
            asked[k] for k in ("prompts", "group_size", "minibatches", "steps")
        )
        assert (
            train.learning_rate == 1e-6
            and train.weight_decay == 0.01
            and train.clip_norm == 1.0
            and train.schedule == "constant"
        )
        assert (
            settings.sample.max_tokens == numbers["max_tokens"] == asked["max_tokens"]
            and settings.sample.temperature == 1.0
        )
        assert numbers["limit"] == 10_000 and numbers["partition_settings"]["threshold"] == asked["threshold"]
    assert study.task == run.task and study.prior == run.prior and study.train == run.train
    assert run.objective.numbers["beta"] == study.objectives["darling"].numbers["beta"] == asked["beta"]
    for label, entry in study.objectives.items():
        assert breadth.objective(entry.kind or label, **entry.numbers)
    for text in (path.read_text(), example.read_text()):
        assert "NOT RUN HERE" in text
