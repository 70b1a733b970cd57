"""Sums over pairs: both engines beside the matrix and beside RDKit; the running mean; how far iSIM over-reads."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from breadth.tasks import pair_sums
from breadth.tasks.fingerprints import mean_tanimoto_distance, pack_fingerprints, tanimoto_distance_matrix
from breadth.tasks.live_diversity import RunningDiversity, tanimoto_isim
from breadth.tasks.packed_bits import bit_counts, column_counts, popcount_by_table, similarity_to_rows, unpack
from breadth.tasks.pair_sums import similarity_sum


def from_matrix(packed, weight):
    similarity = 1.0 - tanimoto_distance_matrix(packed)
    return float((np.triu(similarity, 1) * np.outer(weight, weight)).sum())


@pytest.fixture(scope="module")
def packed(chembl):
    return pack_fingerprints(chembl[:2_100])


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_both_engines_equal_the_matrix(packed, engine):
    if engine == "numba":
        pytest.importorskip("numba")
    weight = np.random.default_rng(0).random(len(packed))
    weight[::7] = 0
    expected = from_matrix(packed, weight)
    assert similarity_sum(packed, weight, engine=engine) == pytest.approx(expected, rel=1e-13)
    assert similarity_sum(packed, engine=engine) == pytest.approx(from_matrix(packed, np.ones(len(packed))), rel=1e-13)
    # the twin: one bit more in one row must be seen
    changed = packed.copy()
    changed[3, 0] ^= np.uint64(1)
    assert similarity_sum(changed, weight, engine=engine) != pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_the_mean_equals_rdkits_bulk_loop_to_1e_12(packed, engine):
    if engine == "numba":
        pytest.importorskip("numba")
    from rdkit import DataStructs

    prints = [DataStructs.CreateFromBinaryText(row.tobytes()) for row in packed[:1_500]]
    total = sum(sum(DataStructs.BulkTanimotoSimilarity(prints[i], prints[:i])) for i in range(1, len(prints)))
    expected = 1 - total / (len(prints) * (len(prints) - 1) / 2)
    assert mean_tanimoto_distance(packed[:1_500], engine=engine) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 127), max_size=9), min_size=1, max_size=9), st.integers(0, 2**31))
def test_engines_agree_on_any_bits_rows_without_bits_too(rows, seed):
    pytest.importorskip("numba")
    bits = np.zeros((len(rows), 128), dtype=np.uint8)
    for i, row in enumerate(rows):
        bits[i, sorted(row)] = 1
    small = np.packbits(bits, axis=1).view(np.uint64)
    weight = np.random.default_rng(seed).random(len(rows))
    assert similarity_sum(small, weight, engine="numba") == pytest.approx(
        similarity_sum(small, weight, engine="numpy"), abs=1e-12
    )


def test_without_numba_auto_counts_with_numpy_and_asking_says_what_to_install(packed, monkeypatch):
    monkeypatch.setattr(pair_sums, "_has_numba", lambda: False)
    monkeypatch.setitem(__import__("sys").modules, "breadth.tasks.pair_sums_compiled", None)
    assert similarity_sum(packed) == pytest.approx(similarity_sum(packed, engine="numpy"), abs=0)
    with pytest.raises(ImportError, match=r'pip install "breadth\[numba\]"'):
        similarity_sum(packed[:10], engine="numba")
    with pytest.raises(ValueError, match="engine: expected 'auto', 'numpy' or 'numba', got 'gpu'"):
        similarity_sum(packed[:10], engine="gpu")
    with pytest.raises(ValueError, match=r"weight: expected one number for each of 10 rows, got shape \(3,\)"):
        similarity_sum(packed[:10], np.ones(3))


def test_packed_bits(packed):
    bits = unpack(packed[:50])
    assert (column_counts(packed[:50], block=7) == bits.sum(axis=0)).all()
    assert (bit_counts(packed[:50]) == bits.sum(axis=1)).all()
    assert (popcount_by_table(packed[:50]).sum(axis=1, dtype=np.int64) == bits.sum(axis=1)).all()
    row = similarity_to_rows(packed[0], int(bits[0].sum()), packed[:50], bits.sum(axis=1, dtype=np.int64))
    assert row == pytest.approx(1 - tanimoto_distance_matrix(packed[:50])[0], abs=1e-15)


def test_the_running_mean_is_the_mean(packed):
    running = RunningDiversity()
    assert math.isnan(running.value)
    for low in range(0, 1_300, 130):
        running.add(packed[low : low + 130])
        assert running.value == pytest.approx(mean_tanimoto_distance(packed[: low + 130]), abs=1e-12)
    running.add(packed[:5])  # repeats count
    assert running.value == pytest.approx(mean_tanimoto_distance(np.vstack([packed[:1_300], packed[:5]])), abs=1e-12)


def test_a_window_forgets_the_oldest(packed):
    running = RunningDiversity(window=60)
    for i in range(0, 400, 9):
        running.add(packed[i : i + 9])
        end = i + 9
        assert running.n == min(end, 60)
        assert running.value == pytest.approx(mean_tanimoto_distance(packed[max(0, end - 60) : end]), abs=1e-12)
    with pytest.raises(ValueError, match="window: expected at least 2 molecules, got 1"):
        RunningDiversity(window=1)


def test_isim_is_exact_for_two_and_over_reads_where_a_policy_collapses(chembl):
    some = random.Random(3).sample(chembl, 100)
    packed = pack_fingerprints(some)
    assert tanimoto_isim(packed[:2]) == pytest.approx(mean_tanimoto_distance(packed[:2]), abs=1e-12)
    assert tanimoto_isim(packed) == pytest.approx(
        mean_tanimoto_distance(packed), abs=0.002
    )  # random molecules: no bias
    for n_copies, over in ((50, 0.06), (75, 0.08), (90, 0.06)):
        mixed = np.vstack([np.repeat(packed[:1], n_copies, axis=0), packed[1 : 101 - n_copies]])
        assert tanimoto_isim(mixed) - mean_tanimoto_distance(mixed) > over
    assert math.isnan(tanimoto_isim(packed[:1]))
    assert tanimoto_isim(np.zeros((3, 32), dtype=np.uint64)) == 0.0
