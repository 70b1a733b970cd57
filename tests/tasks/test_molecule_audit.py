"""The audit's questions one by one: memory, neighbours, halves, second forests, alerts."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from breadth.tasks.fingerprints import mean_pairwise_tanimoto
from breadth.tasks.molecule_audit import halves_of, looks, memory_parts, neighbours, second_opinion
from breadth.tasks.molecule_sets import flat_forms, murcko_scaffolds
from breadth.tasks.oracles.activity import ActivityTable

FORMS = ["CCO", "CCO", "CCN", "c1ccccc1", None, "CCCC"]
SCORES = np.array([0.9, 0.9, 0.2, 0.8, 0.0, np.nan])


def table_of(smiles, active):
    n = len(smiles)
    return ActivityTable("t", "0", list(smiles), np.array(active), np.zeros(n, dtype=bool), "hash", n, 0, 0, 0)


def test_memory_by_hand():
    parts = {p.name: p for p in memory_parts(FORMS, SCORES, corpus={"CCO", "CCCC"}, table={"CCO", "CCN"}, at_score=0.5)}
    assert {name: part.n for name, part in parts.items()} == {
        "all": 6, "parsable": 5, "in_corpus": 3, "in_table": 3, "in_both": 2, "novel": 1, "novel_makeable": 1,
    }  # fmt: skip
    assert parts["all"].quality == pytest.approx((0.9 + 0.9 + 0.2 + 0.8 + 0.0) / 5)  # the unscored one takes no part
    assert parts["parsable"].quality == pytest.approx(2.8 / 4)
    assert parts["parsable"].diversity == pytest.approx(mean_pairwise_tanimoto([f for f in FORMS if f]))
    assert parts["parsable"].diversity_unique > parts["parsable"].diversity
    assert (parts["parsable"].n_distinct, parts["parsable"].hits, parts["parsable"].diverse_hits) == (4, 2, 2)
    assert (parts["in_both"].quality, parts["in_both"].diversity, parts["in_both"].diversity_unique) == (0.9, 0.0, None)
    assert (parts["novel"].hits, parts["novel"].diversity) == (1, None)


def test_nothing_known_and_nothing_parsable():
    parts = {p.name: p for p in memory_parts([None, None], np.zeros(2), corpus=(), table=(), at_score=0.5)}
    assert (parts["all"].quality, parts["parsable"].quality, parts["novel"].n) == (0.0, None, 0)
    assert neighbours([], ["CCO"])["median"] is None
    assert neighbours(["CCO"], [])["histogram"] == [0] * 10


def test_neighbours_count_repeats_and_put_an_active_itself_into_the_last_bin():
    found = neighbours(["CCO", "CCO", "CCN"], ["CCO", "c1ccccc1"])
    assert (found["n"], found["same_share"], found["n_nearest"]) == (3, 2 / 3, 1)
    assert found["histogram"] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]  # CCN is 1/3 like CCO
    assert found["mean"] == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_no_scaffold_stands_in_both_halves(chembl):
    side = halves_of(chembl[:800])
    scaffolds = murcko_scaffolds(chembl[:800])
    first = {s for s, half in zip(scaffolds, side, strict=True) if half and s}
    second = {s for s, half in zip(scaffolds, side, strict=True) if not half and s}
    assert not first & second
    assert 0.4 < side.mean() < 0.6
    assert (halves_of(chembl[:800]) == side).all()
    assert (halves_of(chembl[:800], by="random") != side).any()
    with pytest.raises(ValueError, match=r"split: expected one of \['scaffold', 'random'\], got 'time'"):
        halves_of(chembl[:3], by="time")


def test_second_forests_agree_on_what_is_really_active_and_not_on_what_only_pleased(chembl):
    pytest.importorskip("sklearn")
    smiles = chembl[:1_200]
    active = np.array(["S(=O)(=O)N" in s or "NS(=O)(=O)" in s for s in smiles], dtype=int)
    table = table_of(smiles, active)
    fresh = [s for s in chembl[1_200:3_000] if "NS(=O)(=O)" in s][:40]
    dull = [s for s in chembl[1_200:3_000] if "S" not in s][:40]
    real = second_opinion(fresh, np.ones(len(fresh)), table, n_trees=20)
    feigned = second_opinion(dull, np.ones(len(dull)), table, n_trees=20)  # an oracle that gives 1 for nothing
    assert real["gap"] < feigned["gap"] - 0.15
    assert 1 - real["gap"] == pytest.approx(real["unseen_actives"], abs=0.12)  # they keep what unseen actives keep
    assert 1 - feigned["gap"] < real["unseen_actives"] - 0.15
    assert all(half["auroc_other_half"] > 0.9 for half in real["halves"])
    assert sum(half["n"] for half in real["halves"]) == 1_200
    assert second_opinion(fresh, np.ones(len(fresh)), table, n_trees=20) == real
    with pytest.raises(ValueError, match="it needs both classes"):
        second_opinion(fresh, np.ones(len(fresh)), table_of(smiles, np.zeros(1_200, dtype=int)), n_trees=5)


def test_hits_that_only_an_oracle_would_make_are_counted_apart():
    tail = "[C-]CPCO-CC[C-][C-]N[C-][S+]O[N+]-SPOB[C-]SP[C-]C-[N+]P[C-][S+]O[S+][S+]OO[N+]O[C-]BOPB"
    forms = flat_forms(["CCOc1ccccc1", "Clc1oc(-c2ccnc(Nc3cc[nH]c3)c2)cc1" + tail, "CCO"])
    parts = {p.name: p for p in memory_parts(forms, np.array([0.9, 0.9, 0.9]), corpus={"CCO"}, table=(), at_score=0.5)}
    assert (parts["novel"].hits, parts["novel"].diverse_hits) == (2, 2)
    assert (parts["novel_makeable"].n, parts["novel_makeable"].hits, parts["novel_makeable"].diverse_hits) == (1, 1, 1)


def test_what_a_chemist_would_object_to():
    found = looks(["CCO", "CC(=O)C=C", "O=C1C(=Cc2ccccc2)SC(=S)N1"])
    assert (found["pains_share"], found["brenk_share"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert found["pains_most"] == [("ene_rhod_A(235)", 1)]
    assert 1 < found["sa"] < 4
    assert looks([])["sa"] is None
