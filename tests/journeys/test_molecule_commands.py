"""`breadth sample`, `tilt` and `audit` from the command line, on runs that take seconds."""

from __future__ import annotations

import csv
import json
import os
import sys

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


def test_known_molecules_come_out_of_a_corpus_and_go_into_training(molecules):
    words = ("tilt", "mol", "--target", 0.5, "--molecules", "best.jsonl", "--at-least", 0.45)
    found = json.loads(run(molecules, *words, "--json"))["written"]
    rows = [json.loads(line) for line in (molecules / "best.jsonl").read_text().splitlines()]
    assert found == {"path": "best.jsonl", "at_least": 0.45, "n": len(rows)}
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    assert rows and rows[-1]["score"] >= 0.45 and {row["prompt"] for row in rows} == {""}
    assert f"best.jsonl: {len(rows)} molecules with a score of at least 0.45" in run(molecules, *words)
    sets = ("--set", "train.steps=2")
    run(molecules, "train", "mol.toml", "--out", "spread", *sets, "--set", "objective.kind=niching", "--set", "train.replay_from=best.jsonl")
    assert json.loads((molecules / "spread/steps.jsonl").read_text().splitlines()[0])["n_replayed"] > 0
    of_file = ("--set", "objective.kind=sft", "--set", "sft.source=file", "--set", "sft.path=best.jsonl")
    run(molecules, "train", "mol.toml", "--out", "taught", *sets, *of_file)
    assert (molecules / "taught/done.json").is_file()
    assert "no molecule has a score of 2 or more" in run(molecules, *words[:-1], 2, code=1)
    assert "--molecules and --at-least go together" in run(molecules, "tilt", "mol", "--at-least", 0.4, code=1)


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


def test_the_audit_says_whether_the_prior_has_seen_the_oracles_table(molecules):
    pytest.importorskip("sklearn")
    table = [f"{smiles},{i % 2}" for i, smiles in enumerate(CORPUS[::2])]
    (molecules / "t.csv").write_text("\n".join(["smiles,label", *table, "CCCCCCCCCCCCCCCCCCO,1"]) + "\n")

    def prior(*words):
        found = json.loads(run(molecules, "audit", *words, "--table", "t.csv", "-n", 20, "--split", "random", "--json"))
        return found["prior"]

    seen = prior("mol")
    assert (seen["is_its_corpus"], seen["excluded"]) == (True, None)
    assert seen["table_in_corpus"] == len(table)  # all but the one that is no molecule of the corpus
    assert f"of {len(table) // 2 + 1} actives: a prior without them is trained with task.exclude" in seen["sentence"]

    _prior_toml(molecules)
    report = run(molecules, "pretrain", "mol-prior.toml", "--exclude", "t.csv", "--out", "clean-prior")
    assert f"dropped {len(table)}: stands in the excluded file" in report
    recorded = json.loads((molecules / "clean-prior/model/breadth.json").read_text())["corpus"]
    assert recorded["exclude"]["n"] == len(table)
    run(molecules, "train", "mol.toml", "--set", "prior.path=clean-prior/model", "--out", "clean")
    wrong = prior("clean")  # the run's own settings name the whole corpus, which its prior has not seen
    assert wrong["is_its_corpus"] is False
    assert "is not the one that the prior learned from" in wrong["sentence"] and "t.csv" in wrong["sentence"]
    right = prior("clean", "--set", "task.exclude=t.csv")
    assert (right["is_its_corpus"], right["table_in_corpus"], right["actives_in_corpus"]) == (True, 0, 0)
    assert right["sentence"].startswith(f"The prior was trained without the molecules of t.csv ({len(table)} taken out). 0 of the")
    assert seen["sentence"] in " ".join(run(molecules, "audit", "mol", "--table", "t.csv", "-n", 20, "--split", "random").split())


def _prior_toml(folder):
    """Write the sections of `mol.toml` that a prior reads."""
    kept, on = [], False
    for line in (folder / "mol.toml").read_text().splitlines():
        if line.startswith("["):
            on = line.strip("[] ") in ("task", "model", "prior", "engine")
        if on:
            kept.append(line)
    (folder / "mol-prior.toml").write_text("\n".join([*kept, "[check]", "samples = 20", "curve_samples = 10", "every = 1000"]) + "\n")



def test_runs_stand_beside_the_tilted_corpus_and_a_law(molecules):
    run(molecules, "train", "mol.toml", "--set", "objective.kind=dr_grpo", "--out", "grpo")
    run(molecules, "tilt", "mol", "--target", 0.5, "--out", "saved.json")
    words = ("compare", "mol", "grpo", "--at", 0.5, "--at", 0.1)
    found = json.loads(run(molecules, *words, "--tilt", "saved.json", "--law", "0.01,1.0,4.0", "--json"))["beside"]
    at = {(row["label"], row["quality"]): row for row in found["rows"]}
    point = next(p for p in json.loads((molecules / "saved.json").read_text())["points"] if abs(p["quality"] - 0.5) < 1e-6)
    assert at["darling", 0.5]["tilt"] == pytest.approx(point["diversity"], abs=1e-6)
    assert at["dr_grpo", 0.5]["published"] == pytest.approx(0.978, abs=5e-4)  # ln(0.5/0.01)/4
    assert at["darling", 0.1]["policy"]["value"] is not None
    assert found["law"].startswith("given law") and found["tilt"] == "saved.json"
    shown = run(molecules, *words, "--tilt", "saved.json")
    assert "D at equal quality, beside laws and corpus" in shown
    assert "beside" not in json.loads(run(molecules, *words, "--json"))
    assert "expected a,b,c of R" in run(molecules, *words, "--law", "1,2", code=1)
    assert "no such file: `breadth tilt STUDY" in run(molecules, *words, "--tilt", "none.json", code=1)
    said = run(molecules, "report", "mol", "grpo", "--tilt", "saved.json", "--format", "md", "--out", "both.md")
    assert "both.md" in said
    text = (molecules / "both.md").read_text()
    assert "## At equal quality" in text and "distinct molecules a run" in text


def test_a_run_writes_the_calls_of_its_oracle_once_each_and_whole(molecules):
    rows = [json.loads(line) for line in (molecules / "mol/calls.jsonl").read_text().splitlines()]
    assert len({row["key"] for row in rows}) == len(rows) > 20
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows) and rows[0]["step"] == 1
    assert all(0 <= row["quality"] <= 1 for row in rows)
    run(molecules, "train", "mol.toml", "--set", "train.steps=2", "--set", "measure.every=2", "--out", "short")
    run(molecules, "train", "mol.toml", "--set", "train.steps=4", "--set", "measure.every=2", "--out", "short")
    run(molecules, "train", "mol.toml", "--set", "measure.every=2", "--out", "straight")
    calls = (molecules / "short/calls.jsonl").read_bytes()
    assert calls == (molecules / "straight/calls.jsonl").read_bytes() == (molecules / "mol/calls.jsonl").read_bytes()
    (molecules / "short/calls.jsonl").unlink()  # a log that is no longer whole is not gone on with
    run(molecules, "train", "mol.toml", "--set", "train.steps=6", "--set", "measure.every=2", "--out", "short")
    assert not (molecules / "short/calls.jsonl").exists()
    assert not (molecules / "circle/calls.jsonl").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("pretrain", "--preset", "small", "--corpus", "corpus.smi", "--out", "p"),
        ("study", "molecules-qed", "--out", "s"),
        ("agents", "mol.toml", "--out", "g"),
        ("tilt", "--corpus", "corpus.smi"),
        ("audit", "mol"),
        ("oracle", "score", "corpus.smi"),
    ],
    ids=lambda words: words[0],
)
def test_without_rdkit_every_command_says_which_line_installs_it(molecules, monkeypatch, words):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    assert 'pip install "breadth[molecules]"' in run(molecules, *words, code=1)
    assert not (molecules / "s").exists()


def test_a_study_says_which_diversity_its_laws_read(molecules):
    from breadth.ledger.run import load_run

    (molecules / "mol/study.json").write_text(json.dumps({"study": {"diversity": "diversity_unique"}}))
    try:
        made = json.loads(run(molecules, "report", "mol", "--format", "md", "--out", "u.md", "--json"))["summary"]
    finally:
        (molecules / "mol/study.json").unlink()
    plain = json.loads(run(molecules, "report", "mol", "--format", "md", "--out", "p.md", "--json"))["summary"]
    assert (made["metrics"]["diversity"], plain["metrics"]["diversity"]) == ("diversity_unique", "diversity")
    ledger = load_run(molecules / "mol")
    for summary, metric in ((made, "diversity_unique"), (plain, "diversity")):
        read = summary["objectives"]["darling"]["fits"]["R-D"]["x"]
        assert read and set(read) <= {row["value"] for row in ledger.series(metric)}
