"""Circles, diverse hits, scaffolds, novelty and neighbours, by hand and beside RDKit's leader picker."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rdkit")

from breadth.tasks.fingerprints import pack_fingerprints, tanimoto_distance_matrix
from breadth.tasks.molecule_sets import (
    diverse_hits,
    exclude_known,
    is_novel,
    murcko_scaffolds,
    n_circles,
    nearest_similarity,
    scaffold_counts,
    sphere_exclusion,
)


@pytest.fixture(scope="module")
def packed(chembl):
    return pack_fingerprints(chembl[:600])


@pytest.mark.parametrize("distance", [0.5, 0.7, 0.75, 0.85])
def test_circles_equal_rdkits_leader_picker(packed, distance):
    from rdkit import DataStructs
    from rdkit.SimDivFilters.rdSimDivPickers import LeaderPicker

    prints = [DataStructs.CreateFromBinaryText(row.tobytes()) for row in packed]
    expected = list(LeaderPicker().LazyBitVectorPick(prints, len(prints), distance))
    assert sphere_exclusion(packed, distance=distance).tolist() == expected
    assert n_circles(packed, distance=distance) == len(expected)


def test_a_packing_is_apart_and_maximal(packed):
    taken = sphere_exclusion(packed, distance=0.8)
    apart = tanimoto_distance_matrix(packed)
    inside = apart[np.ix_(taken, taken)][np.triu_indices(len(taken), 1)]
    assert inside.min() > 0.8
    others = np.setdiff1d(np.arange(len(packed)), taken)
    assert (apart[np.ix_(others, taken)].min(axis=1) <= 0.8).all()


def test_exactly_as_far_is_too_near():
    rows = np.array([[0b0111], [0b1110]], dtype=np.uint64)  # 2 of 4 shared: distance 1/2
    assert n_circles(rows, distance=0.5) == 1
    assert n_circles(rows, distance=0.5 - 1e-12) == 2


def test_greedy_is_a_lower_bound_and_more_orders_never_lose():
    # a path 0 - 1 - 2 of near neighbours whose ends are far apart: from the middle greedy finds 1, the packing has 2
    rows = np.array([[0b001111_00], [0b111100_00], [0b000011_11]], dtype=np.uint64)
    assert n_circles(rows, distance=0.7) == 1
    assert n_circles(rows, distance=0.7, n_orders=20) == 2
    with pytest.raises(ValueError, match=r"distance: expected a Tanimoto distance in \[0, 1\], got 3"):
        n_circles(rows, distance=3)
    with pytest.raises(ValueError, match="n_orders: expected at least 1, got 0"):
        n_circles(rows, n_orders=0)
    assert n_circles(rows[:0]) == 0


def test_diverse_hits_grow_with_calls_and_repeats_cost_none(chembl):
    smiles = chembl[:200] + chembl[:50]
    scores = np.random.default_rng(0).random(250)
    scores[::9] = np.nan
    curve = [diverse_hits(smiles, scores, calls=n).n for n in (1, 10, 50, 100, 200, 10_000)]
    assert curve == sorted(curve)
    found = diverse_hits(smiles, scores)
    assert found.n_calls == 200
    assert found.n_hits == int((scores[:200] >= 0.5).sum())
    apart = tanimoto_distance_matrix(pack_fingerprints([smiles[i] for i in found.places]))
    assert apart[np.triu_indices(found.n, 1)].min() > 0.7
    assert all(scores[i] >= 0.5 for i in found.places)
    assert diverse_hits(smiles, scores, n_orders=4).n >= found.n
    assert diverse_hits([], []).n == 0
    with pytest.raises(ValueError, match="scores: expected one for each of 2 molecules, got 1"):
        diverse_hits(["C", "CC"], [1.0])


def test_scaffolds():
    assert murcko_scaffolds(["CCc1ccccc1", "Oc1ccc2ccccc2c1", "CCO", "no"]) == ["c1ccccc1", "c1ccc2ccccc2c1", "", None]
    assert scaffold_counts(["Cc1ccccc1", "CCc1ccccc1", "CCO", "x("]) == {"c1ccccc1": 2, "": 1}


def test_novel_is_told_by_the_flat_form():
    assert is_novel(["OCC", "C[C@H](N)O", "CCN", "C(("], {"CCO", "CC(N)O"}).tolist() == [False, False, True, False]
    assert exclude_known(["CCO", "C[C@@H](N)O", "CCN", "C(("], ["OCC", "CC(N)O", "x("]) == ["CCN", "C(("]
    assert exclude_known(["CCO"], []) == ["CCO"]


def test_nearest_known(packed):
    similarity, place = nearest_similarity(packed[:40], packed[30:], block=17)
    expected = 1 - tanimoto_distance_matrix(packed)[:40, 30:]
    assert similarity == pytest.approx(expected.max(axis=1), abs=1e-15)
    assert place.tolist() == expected.argmax(axis=1).tolist()
    nothing, nowhere = nearest_similarity(packed[:2], packed[:0])
    assert all(map(math.isnan, nothing))
    assert nowhere.tolist() == [-1, -1]


def test_a_corpus_without_its_oracles_table(tmp_path, own_cache):
    from breadth.tasks.corpus_exclusion import EXCLUDED
    from breadth.tasks.molecule_corpus import load_corpus

    corpus, table = tmp_path / "corpus.smi", tmp_path / "table.csv"
    corpus.write_text("".join(f"{'C' * n}O\n{'C' * n}N\n" for n in range(1, 20)) + "C[C@H](N)CO\n")
    table.write_text("smiles,label\nOCCC,1\nNCCCC,0\nC[C@@H](N)CO,0\nnot one,1\n")
    settings = {"isomeric": True, "bad_share": 1.0}
    whole, less = load_corpus(corpus, **settings), load_corpus(corpus, exclude=table, **settings)
    gone = {*whole.train, *whole.valid} - {*less.train, *less.valid}
    assert gone == {"CCCO", "CCCCN", "C[C@H](N)CO"}
    assert less.report.dropped[EXCLUDED] == 3
    assert less.report.n_train == len(less.train)
    assert whole.tokens == less.tokens
    again = load_corpus(corpus, exclude=table, **settings)  # from the cache
    assert (again.train, again.valid, again.report) == (less.train, less.valid, less.report)
    table.write_text("smiles,label\nOCCC,1\n")  # another file is another corpus
    assert load_corpus(corpus, exclude=table, **settings).report.dropped[EXCLUDED] == 1
    with pytest.raises(FileNotFoundError, match="exclude 'nowhere.csv': no such file"):
        load_corpus(corpus, exclude="nowhere.csv")
    table.write_text("smiles,label\nnot one,1\n")
    with pytest.raises(ValueError, match="expected molecules, got no SMILES that RDKit can parse"):
        load_corpus(corpus, exclude=table)
