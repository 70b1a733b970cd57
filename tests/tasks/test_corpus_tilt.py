"""The corpus tilt: its weights and β by hand, D beside all pairs, draws beside the sum, and the figure of ChEMBL."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")

from breadth.tasks.corpus_tilt import beta_for, tilt_point, tilt_quality, tilt_weights
from breadth.tasks.fingerprints import pack_fingerprints, tanimoto_distance_matrix


@pytest.fixture(scope="module")
def scored(chembl):
    smiles = chembl[:300]
    return pack_fingerprints(smiles), np.array([smiles[i].count("N") / 10 for i in range(300)])


def test_two_molecules_by_hand():
    # scores 0 and 1, β = ln 3: weights 1/4 and 3/4, R = 3/4; distance 1/2: D = 2 · 1/4 · 3/4 · 1/2 = 3/16
    rows = np.array([[0b0111], [0b1110]], dtype=np.uint64)
    point = tilt_point(np.array([0.0, 1.0]), math.log(3), lambda places: rows[places])
    assert (point.quality, point.diversity) == (pytest.approx(0.75), pytest.approx(3 / 16, abs=1e-15))
    assert point.entropy == pytest.approx(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    assert point.participation == pytest.approx(1 / (1 / 16 + 9 / 16))
    assert point.kl == pytest.approx(math.log(2) - point.entropy)
    assert tilt_point(np.array([0.0, 1.0]), -math.log(3), lambda places: rows[places]).quality == pytest.approx(0.25)


def test_the_sum_is_over_all_pairs_with_a_molecules_own(scored):
    packed, score = scored
    point = tilt_point(score, 8.0, lambda places: packed[places])
    weight = tilt_weights(score, 8.0)
    exact = float(weight @ tanimoto_distance_matrix(packed) @ weight)
    assert point.method == "sum"
    assert abs(point.diversity - exact) <= point.error + 1e-12
    assert point.error < 1e-4


def test_draws_agree_with_the_sum_within_their_error(scored):
    packed, score = scored
    whole = tilt_point(score, 3.0, lambda places: packed[places])
    drawn = [tilt_point(score, 3.0, lambda places: packed[places], most=10, seed=seed) for seed in range(3)]
    assert {point.method for point in drawn} == {"draws"}
    for point in drawn:
        assert abs(point.diversity - whole.diversity) < 5 * point.error + 1e-6
        assert point.quality == whole.quality  # R is exact in both
    assert drawn[0] == tilt_point(score, 3.0, lambda places: packed[places], most=10, seed=0)
    assert drawn[0].diversity != drawn[1].diversity


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0.01, 0.99))
def test_beta_gives_the_target_it_was_solved_for(scores, where):
    score = np.array(scores)
    target = score.mean() + where * (score.max() - score.mean())
    beta = beta_for(score, target)
    if score.max() - score.mean() < 1e-6 or beta is None:
        return
    assert tilt_quality(score, beta) == pytest.approx(target, abs=1e-7)
    assert tilt_quality(score, beta + 1) >= tilt_quality(score, beta) - 1e-12


def test_targets_out_of_reach_and_bad_scores(scored):
    packed, score = scored
    assert beta_for(score, score.mean() - 0.01) is None
    assert beta_for(score, score.max()) is None
    assert beta_for(score, 2.0) is None
    assert beta_for(score, float(score.mean())) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="expected finite numbers, got 1 others of 2"):
        tilt_point(np.array([0.0, np.nan]), 1.0, lambda places: packed[places])


def test_the_tilt_has_the_most_entropy_at_its_quality(scored):
    _, score = scored
    weight = tilt_weights(score, 5.0)
    entropy = -(weight * np.log(weight)).sum()
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = weight * np.exp(0.1 * rng.standard_normal(len(weight)))
        other /= other.sum()
        moved = other @ score - weight @ score  # mixed back to the tilt's quality by the best or the worst molecule
        end = int(score.argmin() if moved > 0 else score.argmax())
        share = moved / (other @ score - score[end])
        other *= 1 - share
        other[end] += share
        assert other @ score == pytest.approx(weight @ score)
        assert -(other * np.log(other)).sum() < entropy


@pytest.mark.nightly
def test_jnk3_in_chembl_is_wide_where_the_law_has_collapsed(shared_data):
    """R = 0.95 at D = 0.82 for the tilt; the published law of one policy has 0.38 there. Ten minutes: 485,000 molecules."""
    from breadth.experiments.tilt import tilt_frontier
    from breadth.tasks.molecules import MoleculesTask

    task = MoleculesTask(
        "jnk3", forest=shared_data / "jnk3_forest.npz", corpus=shared_data / "chembl_smiles.csv.gz", canonical=True
    )
    found = tilt_frontier(task, targets=(0.95,), betas=(15, 50))
    by_beta = {round(point["beta"]): point for point in found["points"] if point["beta"] in (15, 50)}
    assert by_beta[15]["quality"] == pytest.approx(0.947, abs=0.01)
    assert by_beta[15]["diversity"] == pytest.approx(0.82, abs=0.01)
    assert by_beta[50]["quality"] == pytest.approx(0.988, abs=0.005)
