"""The molecules section of a report: what its panels show, and that hostile or missing things cost only their panel."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest

pytest.importorskip("rdkit")

from breadth.experiments import molecule_panels
from breadth.experiments.embedding import unpack
from breadth.experiments.evidence import read_evidence
from breadth.experiments.examples import PictureBook
from breadth.experiments.molecule_samples import policy_sets, reference_set
from breadth.experiments.plots import frontier_figure, laws_figure
from breadth.experiments.report import build_report
from breadth.ledger.samples import write_samples
from breadth.tasks.molecules import MoleculesTask

FAMILY = [f"COc1ccc(NC(=O)c2ccc({x})cc2)cc1" for x in ("F", "Cl", "Br", "C", "CC", "O", "N", "C#N")]


def write(folder, step, texts):
    task = MoleculesTask()
    keys, n = task.key(texts), len(texts)
    write_samples(
        folder, step,
        {
            "set": [0] * n, "index": list(range(n)), "prompt": [""] * n, "text": texts,
            "quality": [0.5 if key else 0.0 for key in keys], "parsable": [key is not None for key in keys],
            "valid": [key is not None for key in keys], "key": keys, "seq_logp": [-1.0] * n, "length": [5] * n,
        },
    )  # fmt: skip


@pytest.fixture
def study(tmp_path, chembl, own_cache):
    """Two objectives, one collapsed to a family, with a corpus on disk."""
    corpus = tmp_path / "corpus.smi"
    corpus.write_text("".join(f"{text}\n" for text in chembl[:300]))
    for label, texts in (("wide", chembl[300:340] + ["<script>alert(1)</script>"]), ("narrow", FAMILY * 5)):
        run = tmp_path / "runs" / label / "seed-0"
        run.mkdir(parents=True)
        task = {"kind": "molecules", "oracle": "qed", "corpus": str(corpus)}
        settings = {"task": task, "objective": {"kind": "grpo"}, "seed": 0}
        (run / "config.json").write_text(json.dumps(settings))
        write(run, 0, chembl[:20])
        write(run, 250, texts)
    objectives = {
        label: {"runs": [{"seed": 0, "path": f"runs/{label}/seed-0", "complete": True}]} for label in ("wide", "narrow")
    }
    about = {
        "breadth": "0",
        "commit": None,
        "verdict": "none",
        "title": "test",
        "command": None,
        "machine": {},
        "settings": {},
    }
    return tmp_path, {
        **about,
        "task": dataclasses.asdict(MoleculesTask().describe()),
        "objectives": objectives,
        "comparisons": [],
    }


def test_sets_are_the_last_samples_and_the_corpus(study):
    evidence = read_evidence(*study)
    wide, narrow = policy_sets(evidence)
    assert (wide.name, wide.step, wide.n, len(wide.smiles)) == ("wide", 250, 40, 40)
    assert (narrow.n, len(narrow.smiles), set(narrow.counts)) == (40, 8, {5})
    reference, note = reference_set(evidence, n=50)
    assert (reference.name, len(reference.smiles), note) == ("corpus", 50, "")


def test_a_corpus_that_is_gone_is_said_and_the_prior_stands_in(study):
    folder, summary = study
    (folder / "corpus.smi").unlink()
    reference, note = reference_set(read_evidence(folder, summary))
    assert (reference.name, reference.step) == ("prior (step 0)", 0)
    assert "corpus.smi" in note
    assert note.startswith("The corpus is not at hand (")


def test_the_panels(study):
    evidence, book = read_evidence(*study), PictureBook(None)
    words = molecule_panels.molecules(evidence, book)
    wide, narrow = words["grids"]
    assert (narrow.n_families, narrow.families[0].share, narrow.families[0].n_core) == (1, 1.0, 17)
    assert wide.n_families > 20
    assert len(book.pictures) == sum(len(f.cards) for g in words["grids"] for f in g.families)
    assert any("#BBDCFF" in svg for svg in book.pictures.values())
    space, scaffolds, properties = words["figures"]
    assert [trace["name"] for trace in space.data] == ["corpus", "wide", "narrow"]
    assert [len(trace["x"]) for trace in space.data] == [300, 40, 8] or len(space.data[0]["x"]) <= 300
    tree = scaffolds.data[0]
    roots = {i: v for i, v, parent in zip(tree["ids"], tree["values"], tree["parents"], strict=True) if not parent}
    assert roots == {"o0": 40, "o1": 40}
    for root, value in roots.items():
        assert sum(v for v, parent in zip(tree["values"], tree["parents"], strict=True) if parent == root) == value
    assert len(tree["ids"]) == len(tree["marker"]["colors"]) == len(tree["customdata"])
    for trace in properties.data:
        assert np.sum(trace["y"]) == pytest.approx(1, abs=1e-3)
    again = molecule_panels.molecules(evidence, PictureBook(None))
    assert [f.data for f in again["figures"]] == [f.data for f in words["figures"]]  # deterministic


def test_the_page_holds_the_section_and_stays_small(study):
    folder, summary = study
    page = build_report(folder, summary, out=folder / "report.html", picture=MoleculesTask().picture)
    text = page.read_text()
    assert "The molecules: families, map, scaffolds, properties" in text
    assert "<script>alert(1)" not in text
    assert len(text) < 8e6
    pictures = unpack(*re.search(r'<script type="([^"]*)" id="pictures">(.*?)</script>', text, re.S).groups())
    assert set(re.findall(r'data-picture="(\w+)"', text)) <= set(pictures)


def test_studies_of_something_else_or_without_samples_have_no_section(study):
    folder, summary = study
    evidence = read_evidence(folder, {**summary, "task": {"name": "circle"}})
    assert molecule_panels.molecules(evidence, PictureBook(None)) is None
    for file in folder.glob("**/*.parquet"):
        file.unlink()
    assert molecule_panels.molecules(read_evidence(folder, summary), PictureBook(None)) is None


def test_the_corpus_tilt_stands_beside_the_policies(study):
    folder, summary = study
    assert all(trace["meta"]["role"] != "corpus tilt" for trace in frontier_figure(read_evidence(folder, summary)).data)
    points = [
        {"quality": 0.5, "diversity": 0.88, "beta": 0.0, "effective": 300.0},
        {"quality": 0.9, "diversity": 0.8, "beta": 9.0, "effective": 20.0},
    ]
    (folder / "tilt.json").write_text(json.dumps({"points": points}))
    evidence = read_evidence(folder, summary)
    frontier = [t for t in frontier_figure(evidence).data if t["meta"]["role"] == "corpus tilt"]
    laws = [t for t in laws_figure(evidence).data if t["meta"]["role"] == "corpus tilt"]
    assert (frontier[0]["x"], frontier[0]["y"]) == ([0.5, 0.9], [0.88, 0.8])
    assert (laws[0]["x"], laws[0]["y"]) == ([0.88, 0.8], [0.5, 0.9])
    (folder / "tilt.json").write_text("{}")
    with pytest.raises(ValueError, match="not what `breadth tilt` writes"):
        frontier_figure(evidence)
