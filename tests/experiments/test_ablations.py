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


def test_every_lever_has_its_study():
    assert {"model-300k", "model-1m", "model-6m", "reward-transform", "learning-rate", "batch", "estimator"} <= {
        name.removeprefix("ablations/") for name in ABLATIONS
    }


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("molecules-reward", lambda study: [entry.train.get("reward_transform") for entry in study.objectives.values()] == [None, "half", "square"]),
        ("molecules-model-200k", lambda study: study.model.n_embd == 64),
        ("molecules-model-3m", lambda study: study.model.n_embd == 256),
        ("molecules-randomised", lambda study: study.task.numbers.get("randomise") == 1),
        ("molecules-seeds", lambda study: len(study.study.seeds) == 8),
    ],
)
def test_an_ablation_on_molecules_changes_one_setting_of_the_study_that_it_belongs_to(name, setting):
    pytest.importorskip("rdkit")
    study, plain = load_study(f"ablations/{name}", []), load_study("molecules-qed", [])
    assert setting(study) and not setting(plain)
    for part in ("sample", "measure", "prior", "train"):
        assert getattr(study, part) == getattr(plain, part), part


def test_which_metric_is_read_as_diversity_is_a_setting_that_is_checked_at_the_door():
    assert load_study("circle", ["study.diversity=diversity_unique"]).study.diversity == "diversity_unique"
    assert load_study("circle", []).study.frontier_diversity == "diversity_valid"
    with pytest.raises(ValueError, match=r"study.diversity: expected a ledger's metric of diversity such as diversity, .*got 'quality'"):
        load_study("circle", ["study.diversity=quality"])


@pytest.mark.parametrize("name", ["jnk3", "gsk3b", "qed"])
def test_every_undocumented_choice_of_the_law_on_molecules_is_named_in_its_file(name):
    """Each is a key of its own in the file, marked as a guess, and the settings hold it."""
    path = paths()[f"paper/molecules-{name}"]
    study = build_settings(StudySettings, read_toml(path), where=name, checks=())
    guessed = [line.split("=")[0].strip() for line in path.read_text().splitlines() if line.endswith("# guess")]
    for key in ("invalid_reward", "reward_schedule", "padded_likelihood", "entropy_of", "diversity", "sigma", "replay_size", "replay_samples"):
        assert key in guessed, key
    assert study.task.numbers["invalid_reward"] == -1.0 and study.train.padded_likelihood is False
    assert (study.measure.entropy_of, study.study.diversity, study.train.reward_schedule) == ("truncated", "diversity", "linear")
    assert study.objectives["reinvent"].numbers == {"sigma": 100, "replay_size": 25, "replay_samples": 5}


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
