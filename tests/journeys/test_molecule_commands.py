"""`breadth sample`, `tilt` and `audit` from the command line, on runs that take seconds."""

from __future__ import annotations

import csv
import json
import os

import pytest
from typer.testing import CliRunner

from breadth.commands.app import app
from tests.small import SMALL

CORPUS = [f"{'C' * n}{tail}" for n in range(1, 12) for tail in ("O", "N", "F", "Cl", "C(=O)O", "c1ccccc1", "NC")]
MOLECULES = SMALL.replace(
    'kind = "circle"\nvertices = 8\nedges = 4',
    'kind = "molecules"\nmax_tokens = 24\ncorpus = "corpus.smi"\ncorrect_at = 0.4',
)


def run(folder, *words, code=0):
    """Run a command in this process, with its folder as the working one."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(app, list(map(str, words)))
    finally:
        os.chdir(before)
    assert (done.exit_code != 0) == bool(code), (done.output, done.exception)
    return str(done.exception) if code else done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("molecules")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREADTH_CACHE", str(place / "cache"))
        (place / "corpus.smi").write_text("\n".join(CORPUS) + "\n")
        (place / "circle.toml").write_text(
            SMALL.replace("steps = 150", "steps = 20").replace("steps = 12", "steps = 2")
        )
        run(place, "train", "circle.toml", "--out", "circle")
        yield place


@pytest.fixture(scope="module")
def molecules(folder):
    pytest.importorskip("rdkit")
    (folder / "mol.toml").write_text(MOLECULES.replace("steps = 12", "steps = 4"))
    run(folder, "train", "mol.toml", "--out", "mol")
    return folder


def test_any_task_is_sampled_into_tables(folder):
    run(folder, "sample", "circle", "-n", 30, "--csv", "out/a.csv", "--jsonl", "out/a.jsonl")
    with open(folder / "out/a.csv") as handle:
        rows = list(csv.DictReader(handle))
    lines = [json.loads(line) for line in (folder / "out/a.jsonl").read_text().splitlines()]
    assert len(rows) == len(lines) == 30
    assert (
        list(lines[0])
        == list(rows[0])
        == ["text", "prompt", "key", "quality", "parsable", "valid", "seq_logp", "length"]
    )
    assert [row["text"] for row in rows] == [line["text"] for line in lines]
    same = json.loads(run(folder, "sample", "circle@last", "-n", 30, "--json"))
    assert same["samples"]["text"] == [row["text"] for row in rows]
    other = json.loads(run(folder, "sample", "circle", "-n", 30, "--seed", 1, "--json"))
    assert other["samples"]["text"] != same["samples"]["text"]
    prior = json.loads(run(folder, "sample", "circle@prior", "-n", 5, "--json"))
    assert (prior["step"], len(prior["samples"]["text"])) == (0, 5)


def test_what_sample_refuses(folder):
    assert "the task 'circle' writes no molecules: use --csv or --jsonl" in run(
        folder, "sample", "circle", "--sdf", "a.sdf", code=1
    )
    assert "no checkpoint at step 7; there are [0, 2]" in run(folder, "sample", "circle@7", code=1)
    assert "not a run folder" in run(folder, "sample", "nowhere@7", code=1)
    assert "got a folder" in run(folder, "sample", "circle", "--csv", ".", code=1)


def test_molecules_for_the_chemist(molecules):
    from rdkit import Chem

    said = json.loads(
        run(
            molecules,
            "sample",
            "mol",
            "-n",
            25,
            "--unique",
            "--sdf",
            "a.sdf",
            "--smi",
            "a.smi",
            "--csv",
            "a.csv",
            "--json",
        )
    )
    found = list(Chem.SDMolSupplier(str(molecules / "a.sdf")))
    smi = [line.split("\t") for line in (molecules / "a.smi").read_text().splitlines()]
    with open(molecules / "a.csv") as handle:
        rows = list(csv.DictReader(handle))
    assert len(found) == len(smi) == len(rows) == said["kept"] == said["distinct"] > 0
    for molecule, (smiles, name), row in zip(found, smi, rows, strict=True):
        assert Chem.MolToSmiles(molecule) == Chem.CanonSmiles(smiles) == row["key"]
        assert molecule.GetProp("_Name") == name
        assert float(molecule.GetProp("quality")) == float(row["quality"]) == pytest.approx(float(row["qed"]), abs=1e-4)
        assert int(molecule.GetProp("heavy_atoms")) == molecule.GetNumHeavyAtoms()
    none = json.loads(run(molecules, "sample", "mol", "-n", 5, "--at-least", 2, "--sdf", "b.sdf", "--json"))
    assert none["written"] == 0
    assert (molecules / "b.sdf").read_text() == ""


def test_a_corpus_is_tilted(molecules):
    found = json.loads(
        run(molecules, "tilt", "mol", "--target", 0.5, "--target", 0.99, "--scores", "s.csv.gz", "--json")
    )
    assert found["n"] == len({*CORPUS}) - found_valid(molecules)
    assert [t["quality"] for t in found["targets"]] == [0.5, 0.99]
    assert found["targets"][1]["reason"].startswith("not reached: the best molecule of the corpus has 0.")
    at = {round(point["quality"], 6): point for point in found["points"]}
    assert at[0.5]["method"] == "sum"
    assert at[0.5]["diversity"] < found["points"][0]["diversity"]
    again = json.loads(
        run(molecules, "tilt", "mol", "--target", 0.5, "--target", 0.99, "--scores", "s.csv.gz", "--json")
    )
    assert again == found  # from the scores that were kept
    (molecules / "known.csv").write_text("smiles\nOCC\nNCC\n")
    less = json.loads(run(molecules, "tilt", "mol", "--exclude", "known.csv", "--target", 0.5, "--json"))
    assert less["n_excluded"] == 2
    assert less["n"] <= found["n"]
    assert "Corpus tilt" in run(molecules, "tilt", "mol", "--target", 0.5, "--out", "tilt.json")
    assert json.loads((molecules / "tilt.json").read_text())["points"]
    (molecules / "bad.csv").write_text("smiles,value\nCCO,1\n")
    assert "expected the columns smiles,score" in run(molecules, "tilt", "mol", "--scores", "bad.csv", code=1)
    assert "expected the settings of a molecules task, got kind 'circle'" in run(molecules, "tilt", "circle", code=1)


def found_valid(folder):
    from breadth.tasks.molecule_corpus import load_corpus

    return len(load_corpus(folder / "corpus.smi", max_tokens=23).valid)


def test_a_checkpoint_and_a_file_are_audited(molecules):
    found = json.loads(run(molecules, "audit", "mol", "-n", 40, "--json", "--out", "audit.json"))
    parts = {part["name"]: part for part in found["parts"]}
    assert (found["step"], parts["all"]["n"], found["second_opinion"]) == (4, 40, None)
    assert parts["in_corpus"]["n"] + parts["novel"]["n"] == parts["parsable"]["n"]
    assert json.loads((molecules / "audit.json").read_text()) == found
    with open(molecules / "gen.jsonl", "w") as handle:
        for text in ("OCC", "CCCCCCCCCCCCCCCCO", "C((", "c1ccccc1CC"):
            handle.write(json.dumps({"prompt": "", "response": text, "reward": 0.5}) + "\n")
    read = json.loads(run(molecules, "audit", "gen.jsonl", "--task", "mol", "--hit", 0.5, "--json"))
    parts = {part["name"]: part for part in read["parts"]}
    assert read["scores"] == "rewards of the file"
    assert (parts["in_corpus"]["n"], parts["novel"]["n"], parts["novel"]["hits"]) == (2, 1, 1)
    text = run(molecules, "audit", "gen.jsonl", "--task", "mol")
    assert "of the parsable samples are known molecules" in text
    said = json.loads(run(molecules, "sample", "mol", "-n", 40, "--csv", "s.csv", "--smi", "s.smi", "--json"))
    from_csv, from_smi = (
        json.loads(run(molecules, "audit", f"s.{kind}", "--task", "mol", "--json")) for kind in ("csv", "smi")
    )
    assert from_csv["parts"] == found["parts"]  # the same seed drew the same samples
    assert from_smi["n"] == said["parsable"]
    (molecules / "table.csv").write_text("smiles,label\nCCO,1\nCCN,1\n")
    assert "expected actives and inactives in the table" in run(
        molecules, "audit", "mol", "--table", "table.csv", code=1
    )
