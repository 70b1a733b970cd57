"""The molecules task: scores, keys, distances, failures, pictures."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")
from rdkit import Chem
from rdkit.Chem import QED

from breadth.tasks.fingerprints import mean_pairwise_tanimoto
from breadth.tasks.molecules import MoleculesTask
from breadth.tasks.oracles import find_oracle
from breadth.tasks.oracles.qed import qed

ASPIRIN, BENZENE, ETHANOL = "CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1", "CCO"


@pytest.fixture(scope="module")
def task() -> MoleculesTask:
    return MoleculesTask()


def test_quality_is_exactly_rdkits_qed(task, chembl):
    odd = ["C", "[H][H]", "[2H]C", "[Na+].[Cl-]", "C[N+](C)(C)C", "[13CH4]", "F.F.F.F", "[O-][N+](=O)c1ccccc1", "*CC"]
    some = [*chembl[:1_000], *odd]
    assert qed(some) == [QED.qed(Chem.MolFromSmiles(text)) for text in some]
    some = chembl[:100]
    assert task.score(some).tolist() == [QED.qed(Chem.MolFromSmiles(text)) for text in some]
    assert task.reward(some).tolist() == task.score(some).tolist()


def test_the_value_does_not_depend_on_what_was_scored_before(chembl):
    # another spelling visits the atoms in another order, and the last bits of a sum with it
    spellings = [Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) for text in chembl[:60]]
    first, second = MoleculesTask(), MoleculesTask()
    first.score(chembl[:60])
    assert first.score(spellings).tolist() == second.score(spellings).tolist()


def test_what_is_no_molecule_scores_zero_and_has_no_key(task):
    texts = [ASPIRIN, "C((", "", "not a molecule", " " + ETHANOL + " "]
    assert task.score(texts).tolist()[1:4] == [0.0, 0.0, 0.0]
    assert task.key(texts) == [ASPIRIN, None, None, None, ETHANOL]
    assert task.valid(texts, task.score(texts)).tolist() == [True, False, False, False, True]
    assert task.score([]).shape == (0,)
    assert task.distance([]).shape == (0, 0)


def test_distance_and_diversity_equal_the_law(task, chembl):
    some = chembl[:40] + chembl[:10]
    distance = task.distance(some)
    expected = mean_pairwise_tanimoto(some)
    n = len(some)
    assert distance.sum() / (n * (n - 1)) == pytest.approx(expected, abs=1e-12)
    measured = task.diversity([*some, "C(("])
    assert measured.value == pytest.approx(expected, abs=1e-12)
    assert measured.n == n
    assert measured.error > 0


def test_an_unparsable_text_is_at_distance_one(task):
    distance = task.distance([ETHANOL, "C((", "C((", "OCC"])
    assert distance.tolist() == [[0, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]]
    with pytest.raises(ValueError, match=r"kind: expected one of \['tanimoto'\], got 'euclid'"):
        task.distance([ETHANOL], kind="euclid")


def test_stereo_isomers_are_one_answer_unless_isomeric(task):
    left, right = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"
    assert len(set(task.key([left, right]))) == 1
    assert len(set(MoleculesTask(isomeric=True).key([left, right]))) == 2


def test_each_molecule_is_scored_once():
    asked = []

    def length(smiles):
        asked.extend(smiles)
        return [len(text) / 100 for text in smiles]

    task = MoleculesTask(length)
    assert task.score([ETHANOL, "OCC", BENZENE, "C((", ETHANOL]).tolist() == [0.03, 0.03, 0.08, 0.0, 0.03]
    task.score([BENZENE, "C1=CC=CC=C1"])
    assert asked == [ETHANOL, BENZENE]
    assert task.describe().quality.startswith("length: ")


def test_a_scorer_that_raises_costs_the_item_it_raised_on(caplog):
    def moody(smiles):
        if any("Br" in text for text in smiles):
            raise RuntimeError("no parameters for Br")
        return [0.5 for _ in smiles]

    task = MoleculesTask(moody)
    scores = task.score([ETHANOL, "CCBr", BENZENE, "CCBr", "C(("])
    assert np.isnan(scores[[1, 3]]).all()
    assert scores[[0, 2, 4]].tolist() == [0.5, 0.5, 0.0]
    assert task.molecules.failures.n == 1
    assert task.molecules.failures.reasons == ["RuntimeError: no parameters for Br"]
    assert "left molecules unscored (NaN): RuntimeError: no parameters for Br" in caplog.text


def test_nan_infinity_and_none_are_unscored_and_asked_again():
    answers = {"CCO": float("nan"), "CCN": float("inf"), "CCC": None}
    task = MoleculesTask(lambda smiles: [answers[text] for text in smiles])
    assert np.isnan(task.score(["CCO", "CCN", "CCC"])).all()
    answers.update(CCO=0.1, CCN=0.2, CCC=0.3)
    assert task.score(["CCO", "CCN", "CCC"]).tolist() == [0.1, 0.2, 0.3]


def test_a_scorer_that_returns_the_wrong_number_of_values_is_an_error():
    with pytest.raises(ValueError, match="1 values for 2 texts"):
        MoleculesTask(lambda smiles: [0.5]).score(["CCO", "CCN"])


def test_unknown_oracles_name_the_known_ones():
    message = r"oracle: expected one of \[.*'qed'.*\] or a callable .* got 'qde'. Did you mean 'qed'\?"
    with pytest.raises(ValueError, match=message):
        MoleculesTask("qde")
    with pytest.raises(TypeError, match="oracle: expected a name or a callable .* got int"):
        find_oracle(3)


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="max_tokens: expected at least 2"):
        MoleculesTask(max_tokens=1)
    with pytest.raises(ValueError, match="cache_size: expected at least 1, got 0"):
        MoleculesTask(cache_size=0)
    with pytest.raises(ValueError, match="correct_at: expected a finite number"):
        MoleculesTask(correct_at=float("nan"))


def test_the_memory_is_bounded_and_a_batch_may_be_larger(chembl):
    task = MoleculesTask(lambda smiles: [1.0 for _ in smiles], cache_size=10)
    assert task.score(chembl[:50]).tolist() == [1.0] * 50
    assert len(task.molecules) == 10
    assert task.distance(chembl[:50]).shape == (50, 50)
    assert len(task.molecules) == 10


def test_description(task):
    about = task.describe()
    assert (about.name, about.max_tokens, about.end_token, about.correct_at) == ("molecules", 100, True, 0.9)
    assert list(about.distances) == ["tanimoto"]
    assert "QED" in about.quality
    assert task.prompts(3, seed=0) == ["", "", ""]


def test_pictures_are_small_svg_documents_on_a_white_card(task, chembl):
    for text in chembl[:20]:
        svg = task.picture(text)
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert root[0].text == text
        assert root[1].get("fill") == "#ffffff"
        assert len(svg) < 8_000
        bonds = sum(path.get("d").count("M") for path in root[2])
        assert bonds >= Chem.MolFromSmiles(text).GetNumBonds()
    letters = "".join(node.text for node in ElementTree.fromstring(task.picture("CCBr"))[-1])
    assert letters == "Br"
    assert task.picture("C((") is None


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=30), st.text("CNOcno()[]=#12+-.", max_size=30)), max_size=6))
def test_no_text_raises(texts):
    task = MoleculesTask()
    scores, keys = task.score(texts), task.key(texts)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert all(score == 0 for score, key in zip(scores, keys, strict=True) if key is None)
    distance = task.distance(texts)
    assert (distance == distance.T).all()
    assert (np.diagonal(distance) == 0).all()


def test_corpus_draws_whole_shuffled_passes(tmp_path, own_cache, chembl):
    path = tmp_path / "some.smi"
    path.write_text("\n".join(chembl[:200]))
    task = MoleculesTask(corpus=path)
    train = task.load_corpus().train
    drawn = task.corpus(2 * len(train) + 5, seed=1)
    assert sorted(drawn[: len(train)]) == sorted(drawn[len(train) : 2 * len(train)]) == sorted(train)
    assert drawn[: len(train)] != drawn[len(train) : 2 * len(train)]
    assert drawn == task.corpus(2 * len(train) + 5, seed=1) != task.corpus(2 * len(train) + 5, seed=2)
    assert task.corpus(0, seed=1) == []
    assert not set(task.corpus(50, seed=0, split="valid")) & set(train)
    assert all(task.vocabulary().encode(text) for text in random.Random(0).sample(train, 20))
    with pytest.raises(ValueError, match="split: expected 'train' or 'valid', got 'test'"):
        task.corpus(1, seed=0, split="test")
