"""Oracles and priors from the command line, as a user types it; and the switches of the molecule studies."""

from __future__ import annotations

import json
import tomllib

import pytest
from typer.testing import CliRunner

pytest.importorskip("rdkit")

from breadth.commands.app import app
from breadth.experiments.assemble import load_study
from breadth.studies import paths

CHAINS = "smiles,label\n" + "".join(
    f"{'C' * i}{tail},{int(tail == 'Cl')}\n" for i in range(2, 30) for tail in ("Cl", "Br", "N")
)


@pytest.fixture
def home(tmp_path, own_cache, monkeypatch):
    """An empty folder to work in, a wide enough screen, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def breadth(*words, text=None):
    done = CliRunner().invoke(app, words, input=text)
    if done.exception is not None:
        raise done.exception
    return done


def test_from_a_table_to_a_run(home):
    pytest.importorskip("sklearn")
    (home / "chains.csv").write_text(CHAINS)
    done = breadth("oracle", "fit", "chlorine", "--table", "chains.csv", "--trees", "10")
    assert "84 molecules, 28 active" in done.stdout and "AUROC" in done.stdout and 'oracle = "chlorine"' in done.stdout
    score = breadth("oracle", "score", "-", "--oracle", "chlorine", text="CCCCl\nC((\nCCCBr\n").stdout.splitlines()
    assert [line.split("\t")[0] for line in score] == ["CCCCl", "C((", "CCCBr"]
    assert float(score[0].split("\t")[1]) > 0.5 > float(score[2].split("\t")[1]) and score[1] == "C((\t"
    listed = {row["name"]: row for row in json.loads(breadth("oracle", "list", "--json").stdout)}
    assert listed["chlorine"]["auroc"] > 0.8 and listed["qed"]["settings"] == []
    (home / "molecules.smi").write_text("\n".join(line.split(",")[0] for line in CHAINS.splitlines()[1:]))
    (home / "prior.toml").write_text(
        '[task]\nkind = "molecules"\nmax_tokens = 40\n[model]\nn_layer = 1\nn_head = 2\nn_embd = 32\n'
        "[prior]\nsteps = 40\nbatch_size = 16\n[check]\nevery = 20\ncurve_samples = 20\nsamples = 20\n"
    )
    words = ["pretrain", "prior.toml", "--corpus", "molecules.smi", "--out", "p"]
    done = breadth(*words)
    assert "valid loss" in done.stdout and "scaffolds" in done.stdout and "parameters (tied head" in done.stdout
    assert {"model", "report.json", "report.html", "config.json"} <= {p.name for p in (home / "p").iterdir()}
    report = json.loads(breadth(*words, "--json").stdout)
    assert report["path"] == "p/model" and len(report["curve"]) == 3
    (home / "run.toml").write_text(
        '[task]\nkind = "molecules"\noracle = "chlorine"\nmax_tokens = 40\ninvalid_reward = -1.0\n[prior]\npath = "p/model"\n'
        '[objective]\nkind = "reinvent"\nreplay_size = 5\nreplay_samples = 2\n[train]\nsteps = 4\ngroup_size = 8\nreward_schedule = "linear"\n'
        '[sample]\ntop_k = 3\n[measure]\nevery = 2\nsets = 2\nsamples_per_set = 10\ntop_k = 3\nentropy_of = "truncated"\n'
    )
    ran = json.loads(breadth("train", "run.toml", "--json").stdout)
    assert ran["step"] == 4 and ran["metrics"]["quality"]["value"] is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["oracle", "fit", "mine"], "no public table is known by that name"),
        (["oracle", "fit", "jnk3", "--table", "none.csv"], "table 'none.csv': no such file"),
        (["oracle", "score", "x.smi", "--oracle", "qde"], r"Did you mean 'qed'\?"),
        (["pretrain"], "expected either a TOML file or --preset small, base or large"),
        (["pretrain", "--preset", "smal"], r"unknown preset 'smal'; did you mean 'small'\?"),
        (["study", "molecules-jnk3"], "breadth oracle fit jnk3"),
    ],
)
def test_what_a_user_gets_wrong_is_a_sentence(home, words, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):  # `main` prints these as they are
        breadth(*words)


def test_the_published_protocol_stands_in_its_studies():
    for name in ("jnk3", "gsk3b", "qed"):
        data = tomllib.loads(paths()[f"paper/molecules-{name}"].read_text())
        assert data["train"]["steps"] == 1000 and data["train"]["group_size"] == 128
        measure = data["measure"]
        assert data["train"]["steps"] // measure["every"] == 100 and (measure["sets"], measure["samples_per_set"]) == (
            10,
            100,
        )
        assert data["sample"] == {"temperature": 1.0, "top_k": 10} and (measure["temperature"], measure["top_k"]) == (
            1.0,
            10,
        )
        assert data["task"]["oracle"] == name
        twin = tomllib.loads(paths()[f"molecules-{name}"].read_text())
        assert (twin["model"]["n_layer"], twin["model"]["n_embd"], twin["train"]["steps"]) == (4, 128, 400)
        assert twin["train"]["steps"] // twin["measure"]["every"] == 20 and twin["study"]["baseline"] == "reinvent"


def test_the_studies_are_well_formed(shared_data):
    for name in ("jnk3", "gsk3b"):
        for study in (f"paper/molecules-{name}", f"molecules-{name}"):
            settings = load_study(study, [f"task.forest={shared_data / f'{name}_forest.npz'}"])
            assert "reinvent" in settings.objectives
    assert load_study("paper/molecules-qed.toml").name == "paper-molecules-qed"
    assert len(load_study("molecules-qed").objectives) == 7
