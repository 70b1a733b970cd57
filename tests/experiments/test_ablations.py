"""Every study that comes with breadth can be loaded, and each of the published protocols stands beside one that runs here."""

from __future__ import annotations

import pytest

from breadth.config import StudySettings, build_settings, read_toml
from breadth.experiments.assemble import load_study
from breadth.studies import paths

ABLATIONS = [name for name in paths() if name.startswith("ablations/")]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_loads_and_differs_from_its_baseline(name):
    study = load_study(name, [])
    assert study.name == "ablation-" + name.removeprefix("ablations/") and len(study.objectives) >= 3
    made = [study.run_settings(label, 0).model_dump(exclude={"label"}) for label in study.objectives]
    assert all(one != other for i, one in enumerate(made) for other in made[:i])


def test_the_levers_of_the_issue_are_there():
    assert {"model-300k", "model-1m", "model-6m", "reward-transform", "learning-rate", "batch", "estimator"} <= {
        name.removeprefix("ablations/") for name in ABLATIONS
    }


@pytest.mark.parametrize("name", [name for name in paths() if name.startswith("paper/")])
def test_a_published_protocol_is_well_formed(name):
    """What it names (models, questions, pairs) is not here; its settings are checked without it."""
    study = build_settings(StudySettings, read_toml(paths()[name]), where=name, checks=())
    assert study.objectives and (study.study.baseline is None or study.study.baseline in study.objectives)


@pytest.mark.parametrize("name", ["law-circle", "law-line", "qempo-online", "qempo-offline"])
def test_the_twin_of_a_published_protocol_runs_here(name):
    published = build_settings(StudySettings, read_toml(paths()[f"paper/{name}"]), where=name, checks=())
    twin = load_study(f"paper/{name}-here", [])  # with every check: it can be started
    assert set(published.objectives) <= set(twin.objectives)
    for label in published.objectives:
        assert published.objectives[label] == twin.objectives[label], label
    assert f"paper/{name}-here" in paths()[f"paper/{name}"].read_text()
