"""Families, cores and the map."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rdkit")

from breadth.tasks.fingerprints import pack_fingerprints, tanimoto_distance_matrix
from breadth.tasks.molecule_clusters import common_core, fingerprint_map, neighbour_clusters
from breadth.tasks.molecule_picture import draw_molecule


@pytest.fixture(scope="module")
def packed(chembl):
    return pack_fingerprints(chembl[:300])


def test_clusters_part_the_molecules_and_stay_near_their_centre(packed):
    clusters = neighbour_clusters(packed)
    assert sorted(np.concatenate(clusters).tolist()) == list(range(300))
    apart = tanimoto_distance_matrix(packed)
    for members in clusters:
        assert (apart[members[0], members] <= 0.6).all()
    sizes = [len(members) for members in clusters]
    assert sizes == sorted(sizes, reverse=True)
    centres = [members[0] for members in clusters]
    inside = apart[np.ix_(centres, centres)][np.triu_indices(len(centres), 1)]
    assert inside.min() > 0.6
    assert [m.tolist() for m in neighbour_clusters(packed)] == [m.tolist() for m in clusters]
    assert neighbour_clusters(packed[:0]) == []


def test_cores():
    core = common_core(["COc1ccc(NC(=O)c2ccccc2)cc1", "Clc1ccc(NC(=O)c2ccccc2)cc1"])
    assert (core.n_atoms, core.n_molecules) == (15, 2)
    assert common_core(["CCO", "c1ccccc1"]) is None
    assert common_core(["CCO"]) is None


def test_a_core_is_drawn_under_the_bonds():
    core = common_core(["COc1ccc(NC(=O)c2ccccc2)cc1", "Clc1ccc(NC(=O)c2ccccc2)cc1"])
    plain, lit = (draw_molecule("COc1ccc(NC(=O)c2ccccc2)cc1", core=c) for c in (None, core.smarts))
    assert "#BBDCFF" not in plain
    assert lit.count("fill='#BBDCFF'") == 1
    assert lit.index("#BBDCFF") < lit.index("<g fill='none'")
    assert "id=" not in lit
    assert len(lit) < 8_000
    assert draw_molecule("CCO", core=core.smarts) == draw_molecule("CCO")  # no match: nothing is lit
    assert draw_molecule("CCO", core="[not a pattern") == draw_molecule("CCO")


def test_the_map_is_the_leading_part_of_the_singular_vectors(packed):
    place, share = fingerprint_map(packed)
    bits = np.unpackbits(packed.view(np.uint8), axis=1).astype(float)
    size = np.linalg.svd(bits - bits.mean(axis=0), compute_uv=False)
    assert share == pytest.approx((size[:2] ** 2).sum() / (size**2).sum(), rel=1e-9)
    assert (place**2).sum(axis=0) == pytest.approx(size[:2] ** 2, rel=1e-9)
    assert (fingerprint_map(packed)[0] == place).all()
    assert abs(np.corrcoef(place.T)[0, 1]) < 1e-9
    with pytest.raises(ValueError, match="expected three molecules or more for a map, got 2"):
        fingerprint_map(packed[:2])
    assert fingerprint_map(np.repeat(packed[:1], 5, axis=0))[1] == 0.0
