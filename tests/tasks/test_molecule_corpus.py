"""Corpora: every kind of file, every reason to drop a line, every way in which a file can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import logging
import sys
import types

import pyarrow
import pyarrow.parquet
import pytest

pytest.importorskip("rdkit")

from breadth.tasks import brics, molecule_corpus
from breadth.tasks.molecule_corpus import load_corpus
from breadth.tasks.smiles import split_smiles

GOOD = ["CCO", "CCN", "CCC", "c1ccccc1", "CC(=O)O", "CCCl", "CC#N", "C1CCCCC1", "CCCBr", "CC(C)=O"]


def write(path, lines, *, compress=False):
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


def kept(corpus):
    return sorted(corpus.train + corpus.valid)


def short(smiles, n):
    return [text for text in smiles if len(split_smiles(text)) < 100][:n]


@pytest.fixture(autouse=True)
def _cache(own_cache):
    return own_cache


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.smi", GOOD),
        ("a.smi", [f"{text} name-{i}" for i, text in enumerate(GOOD)]),
        ("a.smi", ["ID\tSMILES", *(f"{i}\t{text}" for i, text in enumerate(GOOD))]),
        ("a.txt", GOOD),
        ("a.csv", ["id,smiles", *(f"{i},{text}" for i, text in enumerate(GOOD))]),
        ("a.csv", ["Canonical_SMILES", *GOOD]),
        ("a.csv", [f'"{text}","name {i}"' for i, text in enumerate(GOOD)]),
        ("a.tsv", ["id\tSmiles", *(f"{i}\t{text}" for i, text in enumerate(GOOD))]),
        ("a.smi.gz", GOOD),
        ("a.CSV.gz", ["id,smiles", *(f"{i},{text}" for i, text in enumerate(GOOD))]),
    ],
)
def test_every_kind_of_text_file(tmp_path, name, lines):
    path = write(tmp_path / name, lines, compress=name.endswith(".gz"))
    assert kept(load_corpus(path)) == sorted(GOOD)


def test_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"n": list(range(10)), "SMILES": GOOD}), path)
    assert kept(load_corpus(path)) == sorted(GOOD)


def test_line_ends_and_byte_order_mark_of_windows(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["smiles", *GOOD]).encode())
    assert kept(load_corpus(path)) == sorted(GOOD)


def test_a_column_by_name(tmp_path):
    path = write(tmp_path / "a.csv", ["smiles,product", *(f"C,{text}" for text in GOOD)])
    assert kept(load_corpus(path, column="product")) == sorted(GOOD)
    with pytest.raises(ValueError, match=r"expected a column 'educt', got the columns \['smiles', 'product'\]"):
        load_corpus(path, column="educt")


def test_what_is_dropped_is_counted_with_its_line(tmp_path):
    lines = [
        *GOOD,
        "",
        "OCC",  # 12: another spelling of CCO
        "CCN.Cl",  # 13
        "[13CH3]CO",  # 14
        "C[Si](C)(C)C",  # 15
        "C" * 100,  # 16: 100 tokens and the end token
        "C" * 99,
        "CC*",  # 18
    ]
    report = load_corpus(write(tmp_path / "a.smi", lines)).report
    assert report.n_lines == 18
    assert report.n_train + report.n_valid == 11
    assert report.dropped == {
        "empty line": 1,
        "duplicate": 1,
        "several fragments": 1,
        "isotope label": 1,
        "element outside B C N O F P S Cl Br I": 2,
        "longer than the context": 1,
    }
    assert report.examples["several fragments"] == [(13, "CCN.Cl")]
    assert report.details == {"element outside B C N O F P S Cl Br I": {"Si": 1, "*": 1}}
    assert report.length_max == 99
    said = "dropped 2: element outside B C N O F P S Cl Br I: Si 1, * 1 (line 15: C[Si](C)(C)C, line 18: CC*)"
    assert said in str(report)
    assert report.checked == "every one of the 17 lines was parsed"


def test_salts_can_keep_their_largest_fragment(tmp_path):
    path = write(tmp_path / "a.smi", ["CCN.Cl", "O=C(O)C.[Na]"])
    assert kept(load_corpus(path, fragments="largest")) == ["CC(=O)O", "CCN"]
    with pytest.raises(ValueError, match="fragments: expected 'drop' or 'largest', got 'keep'"):
        load_corpus(path, fragments="keep")


def test_stereo_marks_stay_in_the_isomeric_form(tmp_path):
    path = write(tmp_path / "a.smi", ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"])
    assert kept(load_corpus(path)) == ["CC(N)C(=O)O"]
    assert kept(load_corpus(path, isomeric=True)) == ["C[C@@H](N)C(=O)O", "C[C@H](N)C(=O)O"]


def test_a_few_unparsable_lines_are_said_and_many_are_refused(tmp_path, caplog):
    lines = ["C" * n for n in range(1, 41)]
    with caplog.at_level(logging.WARNING):
        report = load_corpus(write(tmp_path / "few.smi", [*lines, "C1CC(", "oops"])).report
    assert report.dropped == {"not a SMILES that RDKit can parse": 2}
    assert report.n_rdkit_messages > 0
    assert "2 of 42 lines dropped, not a SMILES that RDKit can parse (line 41: 'C1CC('; line 42: 'oops')" in caplog.text
    path = write(tmp_path / "many.smi", [*lines, "C1CC(", "oops", "C(((", "zzz"])
    with pytest.raises(ValueError) as caught:
        load_corpus(path)
    assert "4 of 44 lines (9.1%) are not SMILES that RDKit can parse, more than bad_share=5.0%" in str(caught.value)
    assert "The first: line 41: 'C1CC('; line 42: 'oops'; line 43: 'C((('; line 44: 'zzz'" in str(caught.value)
    assert load_corpus(path, bad_share=0.2).report.n_train > 0


@pytest.mark.parametrize("lines", [[], ["", "  ", ""]])
def test_an_empty_corpus(tmp_path, lines):
    with pytest.raises(ValueError, match=r"expected molecules, got no line with text"):
        load_corpus(write(tmp_path / "a.smi", lines))


def test_a_corpus_with_nothing_left_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"no molecule is left of 2 lines \(several fragments: 2\)"):
        load_corpus(write(tmp_path / "a.smi", ["CCN.Cl", "CCO.Cl"]))


def test_binary_files(tmp_path):
    (tmp_path / "a.smi").write_bytes(b"CCO\n\x7fELF\0\0\0")
    with pytest.raises(ValueError, match=r"line 2 holds a zero byte; is it a binary file\?"):
        load_corpus(tmp_path / "a.smi")
    (tmp_path / "b.smi").write_bytes(b"CCO\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"line 2 is not UTF-8 text .*; is it a binary file\?"):
        load_corpus(tmp_path / "b.smi")


def test_a_line_of_ten_megabytes(tmp_path):
    for name in ("a.smi", "a.csv"):
        with pytest.raises(ValueError, match="line 2 is longer than 100,000 characters: expected a molecule"):
            load_corpus(write(tmp_path / name, ["C", "C" * 10_000_000]))


def test_damaged_files(tmp_path):
    data = gzip.compress("\n".join(GOOD * 50).encode())
    (tmp_path / "a.smi.gz").write_bytes(data[:-20])
    with pytest.raises(ValueError, match="damaged gzip file"):
        load_corpus(tmp_path / "a.smi.gz")
    (tmp_path / "b.smi.gz").write_bytes(b"CCO\n")
    with pytest.raises(ValueError, match="damaged gzip file"):
        load_corpus(tmp_path / "b.smi.gz")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="damaged, or not a Parquet file"):
        load_corpus(tmp_path / "a.parquet")


def test_files_that_are_not_there_or_not_readable(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_corpus(tmp_path / "none.smi")
    write(tmp_path / "a.sdf", GOOD)
    with pytest.raises(ValueError, match=r"expected a file that ends in \.smi, .* got 'a\.sdf'"):
        load_corpus(tmp_path / "a.sdf")
    with pytest.raises(ValueError, match="none of the columns .* is named like SMILES .* name it with column="):
        load_corpus(write(tmp_path / "a.csv", ["id,activity", "1,CCO"]))


def test_the_files_own_split_is_followed(tmp_path):
    rows = ["smiles,split", "CCO,train", "CCN,valid", "CCC,validation", "CCF,test", "CCCl,train"]
    corpus = load_corpus(write(tmp_path / "a.csv", rows))
    assert (corpus.train, corpus.valid) == (["CCO", "CCCl"], ["CCN", "CCC"])
    assert corpus.report.dropped == {"of the file's test split": 1}
    assert corpus.tokens == ["C", "Cl", "N", "O"]  # nothing of the test split


def test_one_molecule_in_fifty_is_valid_by_hash(tmp_path, chembl):
    some = short(chembl, 1_000)
    corpus = load_corpus(write(tmp_path / "a.smi", some))
    assert corpus.valid == [s for s in some if int(hashlib.sha1(s.encode()).hexdigest()[:8], 16) % 50 == 0]
    assert len(corpus.train) + len(corpus.valid) == 1_000
    tiny = load_corpus(write(tmp_path / "b.smi", GOOD[:2]))
    assert len(tiny.train) == len(tiny.valid) == 1


def test_rare_tokens_go_with_their_molecules(tmp_path, monkeypatch):
    monkeypatch.setattr("breadth.tasks.corpus_cleaning.RARE_SHARE", 0.2)
    report = load_corpus(write(tmp_path / "a.smi", ["CCO", "CCCO", "CO", "OCCO", "CCCCO", "CCOCl"])).report
    assert report.dropped == {"token in fewer than 1 molecules": 1}
    assert report.details == {"token in fewer than 1 molecules": {"Cl": 1}}
    assert report.tokens == ["C", "O"]


def test_canonical_is_trusted_but_checked(tmp_path, chembl, monkeypatch):
    monkeypatch.setattr("breadth.tasks.corpus_cleaning.N_SPOT_CHECKS", 100)
    report = load_corpus(write(tmp_path / "a.smi", short(chembl, 1_000)), canonical=True).report
    assert report.checked == "canonical=True: 100 of 1,000 lines were parsed, the others only split into tokens"
    assert report.n_train + report.n_valid == 1_000
    with pytest.raises(ValueError, match=r"but 1 of the 2 lines .* \(line 2: 'OCC'\); leave canonical out"):
        load_corpus(write(tmp_path / "b.smi", ["CCO", "OCC"]), canonical=True)
    with pytest.raises(ValueError, match="canonical=True, but 1 of the 2 lines"):
        load_corpus(write(tmp_path / "c.smi", ["CCO", "C1CC"]), canonical=True)


def test_limit_is_a_fair_sample_that_repeats(tmp_path, chembl):
    some = sorted(chembl[:500])
    first = load_corpus(write(tmp_path / "a.smi", some), limit=50)
    second = load_corpus(write(tmp_path / "b.smi", some[::-1]), limit=50)
    assert kept(first) == kept(second)
    assert len(kept(first)) == 50
    assert kept(first) != some[:50]
    with pytest.raises(ValueError, match="limit: expected at least 1 line, got 0"):
        load_corpus(tmp_path / "a.smi", limit=0)


def test_the_cleaned_corpus_is_kept_and_a_changed_file_is_read_again(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "a.smi", [*GOOD, "OCC"])
    first = load_corpus(path)
    monkeypatch.setattr(molecule_corpus, "clean_rows", lambda *a, **k: pytest.fail("cleaned again"))
    assert load_corpus(path) == first
    assert [p.suffix for p in (own_cache / "corpora").iterdir() if p.suffix != ".lock"] == [".parquet"]
    monkeypatch.undo()
    monkeypatch.setenv("BREADTH_CACHE", str(own_cache))
    write(path, GOOD[:5])
    assert len(kept(load_corpus(path))) == 5


def test_a_damaged_cache_is_made_again(tmp_path, own_cache):
    path = write(tmp_path / "a.smi", GOOD)
    first = load_corpus(path)
    for file in (own_cache / "corpora").glob("*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    assert load_corpus(path) == first


def test_a_hub_data_set(monkeypatch):
    class Table(list):
        column_names = ["id", "SMILES"]

    fake = types.ModuleType("datasets")
    fake.load_dataset = lambda name, split: Table({"id": i, "SMILES": text} for i, text in enumerate(GOOD))
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert kept(load_corpus("someone/molecules")) == sorted(GOOD)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"'someone/molecules' is no file here, .*\npip install datasets"):
        load_corpus("someone/molecules")


def test_the_default_needs_no_data_and_repeats():
    first = load_corpus(limit=150, n_grafts=100, cache=False)
    assert first == load_corpus(limit=150, n_grafts=100, cache=False)
    assert first == load_corpus("default", limit=150, n_grafts=100) == load_corpus(limit=150, n_grafts=100)
    assert 200 < len(kept(first)) <= 250
    assert first.report.source == "zero-data default (molecules of the RDKit wheel and 100 grafts)"


def test_the_wheel_has_molecules_and_a_fallback(monkeypatch):
    assert len(set(brics.wheel_molecules())) > 10_000
    monkeypatch.setattr(brics, "WHEEL_FILES", ("none.csv",))
    monkeypatch.setattr(brics, "WHEEL_EXAMPLES", "none.csv")
    assert brics.wheel_molecules() == list(brics.FALLBACK)
    corpus = load_corpus(n_grafts=200, cache=False)
    assert len(kept(corpus)) > 100


def test_grafts_are_whole_molecules_of_a_drugs_size():
    from rdkit import Chem

    pieces = brics.fragments(list(brics.FALLBACK))
    grown = brics.graft(pieces, 300, seed=3)
    assert len(set(grown)) > 150
    assert brics.graft(pieces, 300, seed=3) == grown != brics.graft(pieces, 300, seed=4)
    for text in grown:
        molecule = Chem.MolFromSmiles(text)
        assert 12 <= molecule.GetNumHeavyAtoms() <= 36
        assert "*" not in text and "." not in text
    assert brics.graft([], 5) == []


def test_a_full_disk_leaves_no_half_file(tmp_path, own_cache, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    path = write(tmp_path / "a.smi", GOOD)
    monkeypatch.setattr(pyarrow.parquet, "write_table", full)
    with pytest.raises(OSError, match="No space left on device"):
        load_corpus(path)
    assert [p for p in (own_cache / "corpora").iterdir() if p.suffix != ".lock"] == []


@pytest.mark.slow
def test_the_whole_of_chembl(shared_data):
    corpus = load_corpus(shared_data / "chembl_smiles.csv.gz", canonical=True)
    assert (len(corpus.train), len(corpus.valid)) == (484_755, 9_861)
    assert len(corpus.tokens) == 38
