"""A corpus without the molecules of another file: what goes, what stays, what is said of it, and files that are no such thing."""

from __future__ import annotations

import gzip
import hashlib

import pytest

pytest.importorskip("rdkit")

import breadth
from breadth.tasks.corpus_exclusion import EXCLUDED
from breadth.tasks.molecule_corpus import load_corpus

CORPUS = [*(f"{'C' * n}O" for n in range(1, 9)), "CC(N)C(=O)O", "c1ccccc1", "N[C@@H](C)C(=O)OC", "CCN"]


@pytest.fixture
def files(tmp_path, own_cache):
    (tmp_path / "c.smi").write_text("\n".join(CORPUS))
    (tmp_path / "table.csv").write_text("smiles,label\nOCC,1\nC[C@H](N)C(=O)O,0\nC1=CC=CC=C1,1\n,0\nCCCCCCCCCCCBr,1\n")
    return tmp_path


def test_what_stands_in_the_file_goes_however_it_is_written_and_the_vocabulary_stays(files):
    whole, less = load_corpus(files / "c.smi"), load_corpus(files / "c.smi", exclude=files / "table.csv")
    everything, left = [*whole.train, *whole.valid], [*less.train, *less.valid]
    assert sorted(set(everything) - set(left)) == ["CC(N)C(=O)O", "CCO", "c1ccccc1"]
    assert less.tokens == whole.tokens  # both priors have the same tokens, so the same parameters
    assert less.report.dropped[EXCLUDED] == 3 and less.report.n_train + less.report.n_valid == len(left)
    assert f"dropped 3: {EXCLUDED}" in str(less.report)
    isomeric = load_corpus(files / "c.smi", isomeric=True, exclude=files / "table.csv")
    assert isomeric.report.dropped[EXCLUDED] == 3  # a stereo isomer of an excluded molecule goes too
    assert any("@" in smiles for smiles in [*isomeric.train, *isomeric.valid])


def test_a_changed_file_is_noticed_and_the_task_says_what_a_prior_learned_from(files):
    def task(**settings):
        return breadth.task("molecules", corpus=files / "c.smi", **settings)

    first = task(exclude=files / "table.csv")
    facts = first.corpus_facts()
    assert facts["exclude"] == {
        "source": str(files / "table.csv"), "sha256": hashlib.sha256((files / "table.csv").read_bytes()).hexdigest(), "n": 3,
    }  # fmt: skip
    assert facts["identity"] == first.corpus_identity() != task().corpus_identity()
    assert task().corpus_facts()["exclude"] is None
    (files / "table.csv").write_text("smiles,label\nCCN,1\n")
    again = task(exclude=files / "table.csv")
    assert again.corpus_facts()["exclude"]["n"] == 1
    assert again.corpus_identity() not in (first.corpus_identity(), task().corpus_identity())
    assert breadth.task("circle").corpus_facts() is None


def test_files_that_are_no_list_of_molecules(files):
    (files / "binary.smi").write_bytes(bytes(range(256)) * 40)
    (files / "empty.csv").write_text("smiles,label\n")
    (files / "words.smi").write_text("not\nmolecules\n")
    (files / "long.smi").write_text("C" * 10_000_000)
    (files / "chain.smi").write_text("C" * 60_000 + "\nOCC\n")  # a chain that would overflow RDKit's stack
    assert load_corpus(files / "c.smi", exclude=files / "chain.smi").report.dropped[EXCLUDED] == 1
    (files / "all.smi").write_text("\n".join(CORPUS))
    (files / "table.csv.gz").write_bytes(gzip.compress(b"smiles,label\nOCC,1\n")[:-9])
    for name, words in (
        ("none.csv", "exclude .*none.csv.*: no such file"),
        ("binary.smi", "binary.smi"),
        ("long.smi", "line 1 is longer than 100,000 characters"),
        ("empty.csv", "expected molecules, got no SMILES"),
        ("words.smi", "expected molecules, got no SMILES that RDKit can parse"),
        ("all.smi", "nothing is left of the corpus"),
        ("table.csv.gz", "table.csv.gz"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            load_corpus(files / "c.smi", exclude=files / name)
