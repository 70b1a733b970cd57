"""A partition in training in the place of the task's own classes: named, or fitted on pairs that the prior wrote."""

from __future__ import annotations

import json
import tomllib

import pytest

from breadth.config import ConfigError, RunSettings, StudySettings, build_settings
from breadth.engine.run_frame import RunStopped
from breadth.experiments.assemble import CHECKS, settings_of_run
from breadth.experiments.front import train_settings
from breadth.ledger.rows import read_rows

COUNTDOWN = """
study = "small"
[task]
kind = "countdown"
numbers = 3
max_number = 6
corruption = 0.0
[model]
n_layer = 1
n_head = 2
n_embd = 32
[prior]
steps = 120
batch_size = 64
[objective]
kind = "darling"
[train]
steps = 2
prompts = 4
group_size = 8
[measure]
every = 1
sets = 2
samples_per_set = 4
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train the small countdown with changed settings, from one prior; return its folder."""
    root = tmp_path_factory.mktemp("runs")
    cache = pytest.MonkeyPatch()
    cache.setenv("BREADTH_CACHE", str(root / "cache"))

    def train(name, **sections):
        data = tomllib.loads(COUNTDOWN)
        for section, changes in sections.items():
            data[section] = {**data.get(section, {}), **changes}
        train_settings(build_settings(RunSettings, data, where=name, checks=CHECKS), root / name)
        return root / name

    yield train
    cache.undo()


def steps(folder):
    return read_rows(folder / "steps.jsonl", on_repair=lambda text: None)


def test_one_class_for_all_leaves_darling_its_floor_and_the_log_says_how_wrong_it_is(run):
    plain, merged = run("plain"), run("merged", partition={"backend": "jaccard", "threshold": 0.0})
    assert steps(plain)[0]["diversity_factor"] > 0.8 and "partition_false_merges" not in steps(plain)[0]
    row = steps(merged)[0]
    # answers to a prompt share its numbers, so that any overlap at all joins nearly all of them
    assert (
        row["diversity_factor"] < 0.5
        and row["partition_false_merges"] > 0.5
        and row["reward"] == steps(plain)[0]["reward"]
    )
    ledgers = [read_rows(folder / "ledger.jsonl", on_repair=lambda text: None) for folder in (plain, merged)]
    first = [[row for row in rows if row["step"] == 0] for rows in ledgers]
    assert first[0] == first[1], "what is measured stays the task's"


def test_a_classifier_is_fitted_on_the_priors_answers_once_and_a_longer_run_goes_on_with_it(run):
    folder = run("learned", partition={"learn_pairs": 60})
    said = [
        event for event in map(json.loads, (folder / "events.jsonl").open()) if event["event"] == "partition fitted"
    ]
    assert len(said) == 1 and said[0]["n"] == 60 and said[0]["n_same"] == 30 and 0.5 <= said[0]["auroc"] <= 1.0
    before, rows = (folder / "partition.json").read_bytes(), steps(folder)
    run("learned", partition={"learn_pairs": 60}, train={"steps": 3})
    assert steps(folder)[:2] == rows and (folder / "partition.json").read_bytes() == before
    assert settings_of_run(folder).partition.learn_pairs == 60
    assert (
        run("other seed", partition={"learn_pairs": 60}, train={"steps": 1})
        .joinpath("partition.json")
        .read_text()
        .split('"date"')[0]
        == (before.decode().split('"date"')[0])
    ), "all runs of a study train with the same one"


def test_what_cannot_be_learned_is_said(run, monkeypatch):
    monkeypatch.setattr("breadth.engine.training_partition.DRAWS", 1)
    with pytest.raises(
        RunStopped,
        match=r"expected 20000 pairs of one answer in other words, found \d+ among 1024 answers of the prior",
    ):
        run("too many", partition={"learn_pairs": 40000})
    one = {"task": {"kind": "circle", "vertices": 8, "edges": 4, "numbers": None}}
    del one["task"]["numbers"]
    data = tomllib.loads(COUNTDOWN) | one | {"partition": {"learn_pairs": 60}}
    with pytest.raises(RunStopped, match="the task 'circle' has 1 of them: expected at least 5. Fit one elsewhere"):
        train_settings(build_settings(RunSettings, data, where="circle"), run("plain").parent / "circle")


BAD = {
    "partition: unknown backend 'rouge2', did you mean": {"backend": "rouge2"},
    "partition: partition 'rouge1': unknown setting 'modell'": {"backend": "rouge1", "settings": {"modell": 1}},
    "partition.clustering: 'soft' makes no classes, and 'darling' reads kind": {"clustering": "soft"},
    "partition.learn_pairs fits the backend 'classifier', got 'rouge1'": {"backend": "rouge1", "learn_pairs": 100},
    "partition.learn_pairs fits a model of its own": {"learn_pairs": 100, "settings": {"model": "mine.json"}},
    "partition.treshold: unknown key; did you mean 'threshold'?": {"treshold": 0.5},
}


@pytest.mark.parametrize("text", BAD)
def test_bad_settings(text):
    data = tomllib.loads(COUNTDOWN) | {"partition": BAD[text]}
    with pytest.raises(ConfigError) as error:
        build_settings(RunSettings, data, where="test", checks=CHECKS)
    assert text in str(error.value)


def test_a_line_of_a_study_has_a_partition_of_its_own():
    data = tomllib.loads(COUNTDOWN)
    del data["objective"]
    data |= {
        "name": data.pop("study"),
        "objectives": {"darling": {}, "learned": {"kind": "darling", "partition": {"learn_pairs": 60}}},
    }
    study = build_settings(StudySettings, data, where="test", checks=CHECKS)
    assert (
        study.run_settings("darling", 0).partition is None
        and study.run_settings("learned", 0).partition.learn_pairs == 60
    )
    data["objectives"]["plain"] = {"kind": "dr_grpo", "partition": {"backend": "rouge1"}}
    with pytest.raises(
        ConfigError, match=r"objectives.plain.partition: 'dr_grpo' reads neither kind nor distance; remove it"
    ):
        build_settings(StudySettings, data, where="test", checks=CHECKS)
    data["objectives"]["plain"] = {"kind": "darling", "partition": {"treshold": 0.5}}
    with pytest.raises(ConfigError, match=r"objectives.plain.partition.treshold: unknown key; did you mean 'threshold'"):
        build_settings(StudySettings, data, where="test", checks=CHECKS)
    data["objectives"] = {"darling": {}, "plain": {"kind": "dr_grpo"}}
    data["partition"] = {"backend": "rouge1"}  # of all: who does not read it is left alone
    assert build_settings(StudySettings, data, where="test", checks=CHECKS)
