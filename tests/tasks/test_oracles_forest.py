"""Forests: the same scores as scikit-learn, from files that are refused where they are wrong."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rdkit")

from breadth.tasks.fingerprints import pack_fingerprints
from breadth.tasks.oracles import forest_walk
from breadth.tasks.oracles.forest import Forest, ecfp4, fit_forest

# bit 3? yes: 0.75; no: bit 7? yes: 0.5, no: 0. The second tree is one leaf.
HAND = {
    "feature": np.array([3, 7, -1, -1, -1, -1], np.int16),
    "right": np.array([4, 2, 0, 0, 0, 0], np.uint16),
    "leaf": np.array([0, 0, 0, 0.5, 0.75, 0.25], np.float32),
    "roots": np.array([0, 5], np.int32),
}


def bits(*on: int) -> np.ndarray:
    row = np.zeros(2048, bool)
    row[list(on)] = True
    return row


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Random sparse bits, and labels that depend on three of them."""
    generator = np.random.default_rng(0)
    rows = generator.random((600, 2048)) < 0.03
    rows[:, :3] = generator.random((600, 3)) < 0.5
    return rows, ((rows[:, 0] & rows[:, 1]) | (rows[:, 2] & (generator.random(600) < 0.7))).astype(int)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_a_forest_of_two_trees_by_hand(engine):
    if engine == "numba":
        pytest.importorskip("numba")
    forest = Forest(**HAND)
    rows = np.stack([bits(), bits(7), bits(3), bits(3, 7)])
    expected = [(0 + 0.25) / 2, (0.5 + 0.25) / 2, (0.75 + 0.25) / 2, (0.75 + 0.25) / 2]
    assert forest.predict(rows, engine=engine).tolist() == expected
    flipped = Forest(**{**HAND, "leaf": HAND["leaf"][[0, 1, 3, 2, 4, 5]]})  # the golden values' twin must differ
    assert flipped.predict(rows, engine=engine).tolist() != expected
    assert forest.n_trees == 2 and forest.n_nodes == 6


def test_scores_are_those_of_scikit_learn(drawn):
    ensemble = pytest.importorskip("sklearn.ensemble")
    rows, labels = drawn
    forest = fit_forest(rows[:400], labels[:400], n_trees=30, seed=3)
    peer = ensemble.RandomForestClassifier(30, random_state=3).fit(rows[:400].astype(np.float32), labels[:400])
    expected = peer.predict_proba(rows.astype(np.float32))[:, 1]
    assert np.abs(forest.predict(rows) - expected).max() < 1e-6
    other = fit_forest(rows[:400], labels[:400], n_trees=30, seed=4)
    assert np.abs(other.predict(rows) - expected).max() > 0.05  # another seed is another forest
    assert fit_forest(rows[:400], labels[:400], n_trees=30, seed=3, n_jobs=2).sha256 == forest.sha256


def test_engines_blocks_and_packings_give_the_same_bits(drawn):
    pytest.importorskip("sklearn")
    rows, labels = drawn
    forest = fit_forest(rows, labels, n_trees=7)
    expected = forest.predict(rows, engine="numpy")
    one_by_one = np.concatenate([forest.predict(rows[i : i + 1], engine="numpy") for i in range(300)])
    assert (one_by_one == expected[:300]).all()
    packed = np.packbits(rows, axis=1, bitorder="little")
    for form in (rows.astype(np.uint8), rows.astype(np.float64), packed, packed.view(np.uint64)):
        assert (forest.predict(form, engine="numpy") == expected).all()
    assert forest.predict(rows[:0]).shape == (0,)
    pytest.importorskip("numba")
    assert (forest.predict(rows, engine="numba") == expected).all()


def test_the_published_size_of_forest_is_made_again_bit_for_bit_and_scores_known_molecules(shared_data):
    forest = Forest.load(shared_data / "jnk3_forest.npz")
    assert (forest.n_trees, forest.n_nodes) == (100, 163_020)
    with gzip.open(shared_data / "jnk3_activity.csv.gz", "rt") as handle:
        rows = [line.strip().split(",") for line in handle][1:]
    actives = [r[0] for r in rows if r[1] == "1"][:200]
    inactives = [r[0] for r in rows if r[1] == "0"][:200]
    assert forest.predict(ecfp4(actives)).mean() == pytest.approx(0.863, abs=0.05)
    assert forest.predict(ecfp4(inactives)).mean() < 0.02
    votes = forest.predict(ecfp4(actives)) * 100
    assert np.abs(votes - votes.round()).max() < 0.51  # leaves are nearly pure: votes of a hundred trees


def test_packed_bytes_are_rdkits_bits():
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    packed = ecfp4(["CC(=O)Oc1ccccc1C(=O)O", "CCO"])
    assert packed.shape == (2, 256) and packed.dtype == np.uint8
    on = (
        rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
        .GetFingerprint(Chem.MolFromSmiles("CCO"))
        .GetOnBits()
    )
    assert np.flatnonzero(forest_walk.as_bits(packed)[1]).tolist() == list(on)
    assert (packed.view(np.uint64) == pack_fingerprints(["CC(=O)Oc1ccccc1C(=O)O", "CCO"])).all()
    assert ecfp4([]).shape == (0, 256)
    with pytest.raises(ValueError, match=r"smiles\[1\]: expected a SMILES"):
        ecfp4(["CCO", "C(("])


def test_files_come_back_equal_and_hold_no_pickle(tmp_path):
    forest = Forest(**HAND, about={"name": "by hand", "figures": {"auroc": 0.5}})
    forest.save(tmp_path / "deep" / "a.npz")
    again = Forest.load(tmp_path / "deep" / "a.npz")
    assert again.about == forest.about and again.sha256 == forest.sha256
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.npz"]
    with zipfile.ZipFile(tmp_path / "deep" / "a.npz") as archive:
        assert all(b"O" not in archive.read(n)[:128].split(b"'descr': '")[1][:3] for n in archive.namelist())


def test_other_peoples_files_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match="no such file: `breadth oracle fit NAME"):
        Forest.load(path)
    np.savez(path, feature=HAND["feature"])
    with pytest.raises(
        ValueError, match=r"expected the arrays \['feature', 'right', 'leaf', 'roots'\], got \['feature'\]"
    ):
        Forest.load(path)
    np.savez(path, **{**HAND, "feature": np.array([object()] * 6, dtype=object)})
    with pytest.raises(ValueError, match="not a forest that can be read .*pickle"):
        Forest.load(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="not a forest that can be read"):
        Forest.load(path)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **HAND)
    path.write_bytes(buffer.getvalue()[:-300])
    with pytest.raises(ValueError, match="not a forest that can be read"):
        Forest.load(path)
    np.savez(path, **HAND, format=np.int32(99))
    with pytest.raises(ValueError, match="expected format 1 or older, got 99"):
        Forest.load(path)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("right", 0, 5, "right: node 0 leads outside its tree"),
        ("right", 1, 0, "right: node 1 leads outside its tree"),
        ("right", 2, 1, "right: node 2 leads outside its tree"),
        ("feature", 5, 1, "right: node 5 leads outside its tree"),
        ("feature", 0, 2048, r"feature: expected bits 0 \.\. 2047"),
        ("roots", 1, 0, "roots: expected rising node numbers"),
        ("leaf", 3, 1.5, r"leaf: expected shares in \[0, 1\]"),
        ("leaf", 3, np.nan, r"leaf: expected shares in \[0, 1\]"),
    ],
)
def test_arrays_that_would_lead_a_walk_astray_are_refused(name, place, value, message):
    arrays = {key: array.copy() for key, array in HAND.items()}
    arrays[name][place] = value
    with pytest.raises(ValueError, match=f"forest: {message}"):
        Forest(**arrays)


def test_what_is_no_fingerprint_and_no_label(drawn):
    forest = Forest(**HAND)
    with pytest.raises(ValueError, match=r"expected \(n, 2048\) bits, or packed .* got float64 \(2, 5\)"):
        forest.predict(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="expected bits 0 and 1, got other numbers: counts"):
        forest.predict(np.full((1, 2048), 2))
    with pytest.raises(ValueError, match="engine: expected 'auto', 'numpy' or 'numba', got 'cuda'"):
        forest.predict(bits()[None], engine="cuda")
    with pytest.raises(ValueError, match="arrays of one length"):
        replace(forest, leaf=forest.leaf[:3])
    pytest.importorskip("sklearn")
    rows, labels = drawn
    with pytest.raises(ValueError, match=r"labels: expected both classes, 0 \(inactive\) and 1 \(active\), got \[0\]"):
        fit_forest(rows, labels * 0)
    with pytest.raises(ValueError, match=r"labels: expected one for each of 600 fingerprints, got shape \(5,\)"):
        fit_forest(rows, labels[:5])


def test_without_the_extras(monkeypatch, drawn):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(
        ImportError, match=r'needs scikit-learn, which is not installed:\npip install "breadth\[oracles\]"'
    ):
        fit_forest(*drawn)
    monkeypatch.setitem(sys.modules, "numba", None)
    forest_walk._compiled.cache_clear()
    try:
        assert Forest(**HAND).predict(bits(3)[None]).tolist() == [0.5]  # numpy steps in
        with pytest.raises(ImportError, match=r'pip install "breadth\[numba\]"'):
            Forest(**HAND).predict(bits(3)[None], engine="numba")
    finally:
        forest_walk._compiled.cache_clear()


@pytest.mark.nightly
def test_the_whole_tables_give_the_forests_that_are_known(shared_data):
    pytest.importorskip("sklearn")
    from breadth.tasks.oracles.activity import read_activity

    for name in ("jnk3", "gsk3b"):
        table = read_activity(shared_data / f"{name}_activity.csv.gz")
        made = fit_forest(ecfp4(table.smiles), table.active)
        known = Forest.load(shared_data / f"{name}_forest.npz")
        some = ecfp4(table.smiles[:5_000])
        assert np.abs(made.predict(some) - known.predict(some)).max() < 0.15  # another release may draw other trees
        assert made.sha256 == known.sha256 or made.n_nodes == pytest.approx(known.n_nodes, rel=0.05)
