"""Fingerprints and the mean pairwise Tanimoto distance, beside RDKit's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")
from rdkit import Chem, DataStructs
from rdkit.Chem import AllChem

from breadth.tasks import packed_bits
from breadth.tasks.fingerprints import (
    bit_counts,
    mean_pairwise_tanimoto,
    mean_tanimoto_distance,
    pack_fingerprints,
    tanimoto_distance_matrix,
)


def rdkit_distance(smiles):
    """Eq. 5 by RDKit's bulk similarities, without de-duplication."""
    prints = [AllChem.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(s), 2, nBits=2048) for s in smiles]
    similarity = sum(sum(DataStructs.BulkTanimotoSimilarity(prints[i], prints[:i])) for i in range(1, len(prints)))
    return 1 - similarity / (len(prints) * (len(prints) - 1) / 2)


def packed_rows(rows):
    """Rows of bit numbers as packed fingerprints."""
    bits = np.zeros((len(rows), 2048), dtype=np.uint8)
    for i, row in enumerate(rows):
        bits[i, sorted(row)] = 1
    return np.packbits(bits, axis=1).view(np.uint64)


def test_by_hand():
    # {1,2,3} and {2,3,4}: 2 of 4 shared, distance 1/2; {9} shares nothing: distance 1; the mean of (1/2, 1, 1)
    packed = packed_rows([{1, 2, 3}, {2, 3, 4}, {9}])
    assert tanimoto_distance_matrix(packed).tolist() == [[0, 0.5, 1], [0.5, 0, 1], [1, 1, 0]]
    assert mean_tanimoto_distance(packed) == pytest.approx(2.5 / 3, abs=1e-15)
    assert bit_counts(packed).tolist() == [3, 3, 1]


def test_ethanol_and_ethylamine_by_hand():
    # Three atoms, each alone and with its neighbours: six bits each. The CH3 alone, the CH2 alone and the CH3 beside a
    # CH2 are the same in both: 3 of 9.
    packed = pack_fingerprints(["CCO", "CCN"])
    assert bit_counts(packed).tolist() == [6, 6]
    assert tanimoto_distance_matrix(packed)[0, 1] == 1 - 3 / 9
    assert mean_pairwise_tanimoto(["CCO", "CCN"]) == 1 - 3 / 9


def test_equals_rdkit(chembl):
    for n in (2, 3, 100, 700):
        assert mean_pairwise_tanimoto(chembl[:n]) == pytest.approx(rdkit_distance(chembl[:n]), abs=1e-12)


def test_the_blocks_equal_the_matrix(chembl):
    packed = pack_fingerprints(chembl[:300])
    weight = np.random.default_rng(0).integers(1, 5, 300)
    repeated = tanimoto_distance_matrix(np.repeat(packed, weight, axis=0))
    n = len(repeated)
    expected = repeated.sum() / (n * (n - 1))
    for block in (7, 64, 299, 300, 1_000):
        assert mean_tanimoto_distance(packed, weight, block=block) == pytest.approx(expected, abs=1e-12)


def test_repeats_are_counted_not_removed(chembl):
    many = [chembl[0]] * 50 + chembl[1:51]
    assert mean_pairwise_tanimoto(many) == pytest.approx(rdkit_distance(many), abs=1e-12)
    assert mean_pairwise_tanimoto(many) < 0.8 * mean_pairwise_tanimoto(chembl[:51])
    assert mean_pairwise_tanimoto(["CCO"] * 10) == 0.0


def test_the_order_does_not_matter(chembl):
    some = chembl[:60] + chembl[:10]
    assert mean_pairwise_tanimoto(some) == pytest.approx(mean_pairwise_tanimoto(some[::-1]), abs=1e-12)


def test_fewer_than_two_have_no_distance():
    assert math.isnan(mean_pairwise_tanimoto([]))
    assert math.isnan(mean_pairwise_tanimoto(["CCO"]))
    assert tanimoto_distance_matrix(pack_fingerprints([])).shape == (0, 0)


def test_what_cannot_be_parsed_is_named():
    with pytest.raises(ValueError, match=r"smiles\[1\]: expected a SMILES that RDKit can parse, got 'C\(\('"):
        mean_pairwise_tanimoto(["CCO", "C(("])
    with pytest.raises(TypeError, match="expected a list of SMILES, got the single text 'CCO'"):
        mean_pairwise_tanimoto("CCO")


def test_rows_without_bits_are_equal():
    packed = packed_rows([set(), set(), {1}])
    assert tanimoto_distance_matrix(packed).tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    for block in (1, 2, 10):
        assert mean_tanimoto_distance(packed, block=block) == pytest.approx(2 / 3, abs=1e-15)


def test_random_molecules_of_chembl_have_the_published_spread(chembl):
    # .885 ± .0025 over draws of 100: the D_pre .88 of the source paper
    values = [mean_pairwise_tanimoto(chembl[i : i + 100]) for i in range(0, 2_000, 100)]
    assert np.mean(values) == pytest.approx(0.885, abs=0.0025)


def test_numpy_one_counts_the_same_bits(chembl, monkeypatch):
    packed = pack_fingerprints(chembl[:50])
    table = np.array([bin(i).count("1") for i in range(1 << 16)], dtype=np.uint8)
    expected = table[packed.view(np.uint16)].sum(axis=1)
    assert (bit_counts(packed) == expected).all()
    assert (packed_bits.popcount_by_table(packed).sum(axis=1, dtype=np.int64) == expected).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 2047), max_size=12), min_size=2, max_size=12), st.integers(1, 12))
def test_bounds_symmetry_and_blocks(rows, block):
    packed = packed_rows(rows)
    distance = tanimoto_distance_matrix(packed)
    assert (distance == distance.T).all()
    assert (np.diagonal(distance) == 0).all()
    assert ((distance >= 0) & (distance <= 1)).all()
    n = len(rows)
    expected = distance.sum() / (n * (n - 1))
    assert mean_tanimoto_distance(packed, block=block) == pytest.approx(expected, abs=1e-12)
