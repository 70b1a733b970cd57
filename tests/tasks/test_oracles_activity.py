"""Activity tables, their way to an oracle, and tables from the web."""

from __future__ import annotations

import functools
import gzip
import http.server
import threading

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

pytest.importorskip("rdkit")

import breadth
from breadth.tasks.corpus_store import file_sha256
from breadth.tasks.oracles import find_oracle, fitting
from breadth.tasks.oracles.activity import read_activity
from breadth.tasks.oracles.fitting import PUBLIC_TABLES, PublicTable, find_table, fit_table, oracle_place, public_table
from breadth.tasks.oracles.forest import Forest

ROWS = [("CCO", 1, "train"), ("CCN", 0, "train"), ("CCC", 0, "train"), ("CCCl", 1, "test"), ("CCBr", 0, "test")]


@pytest.fixture(autouse=True)
def _cache(own_cache):
    return own_cache


def write(path, rows, header="smiles,label,split", separator=","):
    text = "\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    """A table in which chlorine makes a molecule active."""
    rows = [
        ("C" * i + tail, int(tail == "Cl"), "test" if i % 4 == 0 else "train")
        for i in range(2, 40)
        for tail in ("Cl", "Br", "N")
    ]
    return write(tmp_path_factory.mktemp("table") / "chains.csv", rows)


def test_columns_labels_and_splits(tmp_path):
    found = read_activity(write(tmp_path / "a.csv", ROWS))
    assert found.smiles == ["CCO", "CCN", "CCC", "CCCl", "CCBr"]
    assert found.active.tolist() == [1, 0, 0, 1, 0] and found.test.tolist() == [False, False, False, True, True]
    assert found.split_by == "column" and found.sha256 == file_sha256(tmp_path / "a.csv")
    words = [(s, "Active" if a else "inactive", p.upper()) for s, a, p in ROWS]
    again = read_activity(write(tmp_path / "b.tsv.gz", words, "SMILES\tJNK3\tSplit", "\t"))
    assert (again.smiles, again.active.tolist(), again.test.tolist()) == (
        found.smiles,
        found.active.tolist(),
        found.test.tolist(),
    )
    measured = [(p, 7.1 if a else 5.0, s) for s, a, p in ROWS]
    named = read_activity(write(tmp_path / "c.csv", measured, "split,pIC50,mol"), active_at=6.5)
    assert named.active.tolist() == found.active.tolist()
    columns = dict(zip(("smiles", "label", "split"), zip(*ROWS, strict=True), strict=True))
    pyarrow.parquet.write_table(pyarrow.table({k: list(v) for k, v in columns.items()}), tmp_path / "d.parquet")
    assert read_activity(tmp_path / "d.parquet").active.tolist() == found.active.tolist()


def test_repeats_are_merged_and_conflicts_are_active_and_training(tmp_path):
    rows = [
        *ROWS,
        ("OCC", 1, "train"),
        ("C(C)N", 1, "test"),
        ("BrCC", 0, "train"),
        ("C((", 0, "train"),
        ("NCCO", 0, "test"),
    ]
    rows += [("C" * i, i % 2, "train") for i in range(4, 40)]
    found = read_activity(write(tmp_path / "a.csv", rows))
    by_name = {s: (a, t) for s, a, t in zip(found.smiles, found.active.tolist(), found.test.tolist(), strict=True)}
    assert by_name["CCN"] == (1, False) and by_name["CCBr"] == (0, False)
    assert (found.n_unparsable, found.n_duplicate, found.n_conflict) == (1, 3, 1)
    assert (
        "1 rows left out that RDKit cannot parse; 3 repeated rows merged; 1 molecules with both labels taken as active"
        in str(found)
    )


def test_splits_by_hash_and_scaffold(tmp_path, chembl):
    rows = [(s, i % 3 == 0) for i, s in enumerate(chembl[:800])]
    path = write(tmp_path / "a.csv", [(s, int(a)) for s, a in rows], "smiles,label")
    by_hash, by_scaffold = read_activity(path), read_activity(path, split="scaffold")
    assert by_hash.split_by == "hash" and 0.18 < by_hash.test.mean() < 0.32
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    scaffolds = np.array([MurckoScaffoldSmiles(s) or s for s in by_scaffold.smiles])
    assert not set(scaffolds[by_scaffold.test]) & set(scaffolds[~by_scaffold.test])
    with pytest.raises(ValueError, match="split='column', but there is no column 'split'"):
        read_activity(path, split="column")


@pytest.mark.parametrize(
    ("rows", "header", "settings", "message"),
    [
        (
            [("CCO", 1), ("CCN", 1)],
            "smiles,label",
            {},
            "expected actives and inactives in the table, got 2 active and 0 inactive",
        ),
        (ROWS[:4], "smiles,label,split", {}, "inactives in its test part, got 1 active and 0 inactive"),
        ([("CCO", 1), ("CCN", 6.3)], "smiles,label", {}, r"row 3: expected a label 0 or 1.*got '6.3'.*active_at"),
        (
            [("CCO", 1), ("CCN", "")],
            "smiles,label",
            {"active_at": 5.0},
            r"row 3: expected a number in the label column, got ''",
        ),
        ([("CCO", 1)], "name,label", {}, r"expected a column named like one of \['smiles'.*smiles_column"),
        ([("CCO", 1, 2)], "smiles,a,b", {}, r"expected a column named like one of \['label'.*label_column"),
        ([("CCO", 1)], "smiles,label", {"label_column": "pIC50"}, r"expected a column 'pIC50', got the columns"),
        ([("CCO",)], "smiles,label", {}, "row 2 has 1 cells, expected 2"),
        ([], "smiles,label", {}, "expected rows below the header, got none"),
        (
            [("C((", 1), ("CCN", 0)],
            "smiles,label",
            {},
            r"1 of 2 rows are not SMILES that RDKit can parse, more than 5%",
        ),
    ],
)
def test_tables_that_are_refused(tmp_path, rows, header, settings, message):
    with pytest.raises(ValueError, match=message):
        read_activity(write(tmp_path / "a.csv", rows, header), **settings)


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"table .*: no such file"):
        read_activity(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"smiles,label\n\x00\x01\x02")
    with pytest.raises(ValueError, match="line 2 holds a zero byte; is it a binary file"):
        read_activity(tmp_path / "a.csv")
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(ValueError, match="expected a file that ends in"):
        read_activity(tmp_path / "a.pkl")


def test_a_fit_is_judged_on_what_it_did_not_see(chains):
    pytest.importorskip("sklearn")
    fitted = fit_table(read_activity(chains), name="chains", n_trees=20)
    assert fitted.figures["auroc"] > 0.95 and fitted.figures["average_precision"] > 0.9
    assert fitted.figures["mean_score_active"] > 0.6 > 0.4 > fitted.figures["mean_score_inactive"]
    about = fitted.forest.about
    assert (about["n_molecules"], about["n_active"], about["split_by"], about["table_sha256"]) == (
        114,
        38,
        "column",
        file_sha256(chains),
    )
    assert fitted.forest.predict(np.zeros((1, 2048), bool))[0] < 0.5


def test_the_oracle_by_forest_by_table_and_by_name(chains, tmp_path, own_cache, monkeypatch):
    pytest.importorskip("sklearn")
    with pytest.raises(
        FileNotFoundError, match=r"oracle 'jnk3': no forest is there yet. `breadth oracle fit jnk3` fetches"
    ):
        find_oracle("jnk3")
    with pytest.raises(FileNotFoundError, match="table 'none.csv': no such file"):
        find_oracle("jnk3", table="none.csv")
    by_table = breadth.task("molecules", oracle="activity", table=str(chains))
    scores = by_table.score(["CCCCCl", "CCCCBr", "C(("])
    assert scores[0] > 0.7 > 0.3 > scores[1] and scores[2] == 0
    kept = list((own_cache / "oracles" / "tables").glob("*.npz"))
    assert len(kept) == 1
    monkeypatch.setattr(fitting, "fit_forest", lambda *a, **k: pytest.fail("it was fitted again"))
    assert breadth.task("molecules", oracle="jnk3", table=str(chains)).score(["CCCCCl"]).tolist() == [scores[0]]
    by_forest = breadth.task("molecules", oracle="jnk3", forest=str(kept[0]), table=str(chains))
    assert by_forest.score(["CCCCCl", "CCCCBr"]).tolist() == scores[:2].tolist()
    assert Forest.load(kept[0]).sha256[:16] in by_forest.describe().source
    Forest.load(kept[0]).save(oracle_place("Chlorine"))
    assert breadth.task("molecules", oracle="chlorine").score(["CCCCCl"]).tolist() == [scores[0]]
    with pytest.raises(ValueError, match="expected one of .*'chlorine'.* got 'clorine'. Did you mean 'chlorine'"):
        find_oracle("clorine")
    with pytest.raises(ValueError, match="expected a name of letters, digits"):
        oracle_place("../x")


def test_tables_that_are_not_found(tmp_path, chains):
    with pytest.raises(ValueError, match=r"no public table is known by that name \(there are \['gsk3b', 'jnk3'\]\)"):
        find_table(None, "drd2")
    with pytest.raises(ValueError, match=f"expected SHA-256 {'0' * 64}, got"):
        find_table(chains, "x", sha256="0" * 64)
    assert find_table(str(chains), "x", sha256=file_sha256(chains)) == chains


def test_the_content_of_a_table_is_pinned_however_it_is_written(tmp_path, chains, monkeypatch, caplog):
    pytest.importorskip("sklearn")
    from breadth.tasks.oracles.forest import ecfp4

    rows = [("CCO", 1, "train"), ("CCN", 0, "train"), ("c1ccccc1", 1, "test"), ("CCCl", 0, "test")]
    other = [("C1=CC=CC=C1", 1, "test"), ("ClCC", 0, "test"), ("OCC", 1, "train"), ("OCC", 1, "train"), ("NCC", 0, "train")]
    flipped = [(smiles, 1 - label, part) for smiles, label, part in rows]
    found = []
    for i, one in enumerate((rows, other, flipped, rows[:3] + [("CCBr", 0, "test")])):
        table = read_activity(write(tmp_path / f"{i}.csv", one))
        found.append(fitting.content_sha256(ecfp4(table.smiles), table.active))
    assert found[0] == found[1]
    assert len(set(found)) == 3
    fitted = fit_table(read_activity(chains), name="jnk3", n_trees=2)  # a file of one's own may have any content
    mine = fitted.forest.about["content_sha256"]
    with pytest.raises(ValueError, match=rf"expected content {PUBLIC_TABLES['jnk3'].content[:16]}… .*got {mine[:16]}…: it is another table"):
        fit_table(read_activity(chains), name="jnk3", n_trees=2, public=True)
    monkeypatch.setitem(PUBLIC_TABLES, "jnk3", PublicTable("x", 1, 1, 1, "here", content=mine))
    fitting.check_content(mine, "jnk3")
    monkeypatch.setitem(PUBLIC_TABLES, "jnk3", PublicTable("x", 1, 1, 1, "here", content="0" * 64, rdkit="2020.03.1"))
    fitting.check_content(mine, "jnk3")  # another RDKit may read a few molecules otherwise: said, not refused
    assert "made with RDKit 2020.03.1, read with" in caplog.text
    fitting.check_content(mine, "a name of one's own")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["jnk3", "gsk3b"])
def test_the_cleaned_copies_of_the_public_tables_have_the_pinned_content(name, shared_data):
    from breadth.tasks.oracles.forest import ecfp4

    table = read_activity(shared_data / f"{name}_activity.csv.gz")
    assert fitting.content_sha256(ecfp4(table.smiles), table.active) == PUBLIC_TABLES[name].content


def test_without_pooch_the_line_that_installs_it_is_said(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'needs pooch, which is not installed:\npip install "breadth\[oracles\]"'):
        find_table("builtin", "jnk3")


def test_tables_from_the_web(tmp_path, monkeypatch):
    pytest.importorskip("pooch", reason="pooch is not installed")
    write(tmp_path / "jnk3.csv", ROWS)
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    serve.log_message = lambda *a: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/jnk3.csv"
        size = (tmp_path / "jnk3.csv").stat().st_size
        assert (
            find_table(url, "x", sha256=file_sha256(tmp_path / "jnk3.csv")).read_bytes()
            == (tmp_path / "jnk3.csv").read_bytes()
        )
        with pytest.raises(ValueError, match="could not be fetched .*does not match"):
            find_table(url, "x", sha256="0" * 64)
        monkeypatch.setitem(PUBLIC_TABLES, "jnk3", PublicTable(url, size, 5, 2, "here"))
        assert read_activity(public_table("jnk3")).active.sum() == 2
        monkeypatch.setitem(PUBLIC_TABLES, "jnk3", PublicTable(url, size, 5, 3, "here"))
        with pytest.raises(
            ValueError, match="5 rows, 3 of them active, got .* 2 active: the download was no whole copy"
        ):
            public_table("jnk3")
    finally:
        server.shutdown()
    with pytest.raises(ValueError, match="could not be fetched.*copy the file here by other means"):
        find_table(f"http://127.0.0.1:{server.server_port}/gone.csv", "x")
