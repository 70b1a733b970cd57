"""Named oracles, transforms, several properties in one, and what the task makes of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")
from rdkit import Chem
from rdkit.Chem import Crippen, Descriptors

import breadth
from breadth.tasks.oracles import ORACLES, find_oracle
from breadth.tasks.oracles.sa import sa_score
from breadth.tasks.oracles.table import oracle_rows
from breadth.tasks.oracles.transforms import TRANSFORMS, build_transform

ASPIRIN, ETHANOL, BENZENE = "CC(=O)Oc1ccccc1C(=O)O", "CCO", "c1ccccc1"
OSIMERTINIB = "C=CC(=O)Nc1cc(Nc2nccc(-c3cn(C)c4ccccc34)n2)c(OC)cc1N(C)CCN(C)C"
FEXOFENADINE = "CC(C)(C(=O)O)c1ccc(C(O)CCCN2CCC(C(O)(c3ccccc3)c3ccccc3)CC2)cc1"


def test_synthetic_accessibility_is_rdkits(chembl):
    # values of RDKit 2026.09's own script, to its last printed digit
    known = {
        "C": 7.328415, "[H][H]": 7.027664, "C1CCCCCCCCCCC1": 1.0, "CC(C)(C)C": 1.764998, "C12C3C4C1C5C2C3C45": 3.169396,
        "OCC1OC(OC2C(CO)OC(O)C(O)C2O)C(O)C(O)C1O": 4.282025, "CCCCCCCCCCCCCCCCCCCCCCCCCCCCCC": 1.095822,
    }  # fmt: skip
    assert sa_score(list(known)) == pytest.approx(list(known.values()), abs=1e-6)
    assert sa_score(["C12C3C4C1C5C2C3C45"]) != pytest.approx([4.282025], abs=1e-3)  # a swapped pair would fail
    found = sa_score(chembl[:100])
    assert min(found) >= 1 and max(found) < 7 and np.mean(found) == pytest.approx(2.9, abs=0.4)


def test_the_fragment_table_is_read_not_run(tmp_path, monkeypatch):
    import gzip
    import os
    import pickle

    import rdkit

    from breadth.tasks.oracles import sa

    class Bad:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "it was run"),))

    place = tmp_path / "rdkit" / sa.TABLE
    place.parent.mkdir(parents=True)
    place.write_bytes(gzip.compress(pickle.dumps([[0.5, 1, Bad()]], protocol=0)))
    monkeypatch.setattr(rdkit, "__file__", str(tmp_path / "rdkit" / "__init__.py"))
    with pytest.raises(ValueError, match="expected lists of numbers, got the instruction"):
        sa._fragments.__wrapped__()  # past the cache
    assert not (tmp_path / "it was run").exists()
    place.unlink()
    with pytest.raises(ImportError, match="needs Contrib/SA_Score/fpscores.pkl.gz of the RDKit package"):
        sa._fragments.__wrapped__()


def test_properties_are_rdkits(chembl):
    molecules = [Chem.MolFromSmiles(text) for text in chembl[:50]]
    assert find_oracle("logp").score(chembl[:50]) == [Crippen.MolLogP(m) for m in molecules]
    assert find_oracle("mw").score(chembl[:50]) == pytest.approx([Descriptors.MolWt(m) for m in molecules])
    assert math.isnan(find_oracle("rings").score(["C(("])[0])
    assert find_oracle("atoms", element="H").score([ETHANOL]) == [6.0]


# from the benchmark's own package (0.5.5) on RDKit 2026.09
@pytest.mark.parametrize(
    ("goal", "smiles", "value"),
    [
        ("osimertinib_mpo", "CCCOCCn1c(=O)c(N2CCN(CC(C)O)CC2)nc2cnc(-c3ccc(OC)nc3)cc21", 0.733135785411698),
        ("fexofenadine_mpo", OSIMERTINIB, 0.5258035404995104),
        ("ranolazine_mpo", "Cc1ccc(S(=O)(=O)NCCCCCCCCCCCCn2c3c(c4ccccc4c2=O)C(=O)c2ccccc2-3)cc1", 0.6629421994053317),
        ("perindopril_mpo", "CCN1CCN(C(N=O)c2cncc(C#CC3(CN4Cc5ccc(OC)cc5C4=O)NC(=O)NC3=O)c2)CC1", 0.3104602102825332),
        ("amlodipine_mpo", "C=CCn1c(=O)c2c(nc(-c3ccccc3)n2CCCl)n(C)c1=O", 0.43598468393752),
        ("sitagliptin_mpo", "Cc1nn(-c2nnc(=NCc3ccccc3)[nH]n2)c(C)c1Br", 0.1772378385242664),
        ("zaleplon_mpo", "NC(=O)Cn1nc(-c2ccccc2)n(CCc2ccccc2)c1=O", 0.3869274803874596),
        ("median1", OSIMERTINIB, 0.03002402883845384),
        ("median2", OSIMERTINIB, 0.14078076568157546),
        ("celecoxib_rediscovery", "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1", 1.0),
    ],
)
def test_published_goals_have_their_published_values(goal, smiles, value):
    assert find_oracle(goal).score([smiles]) == pytest.approx([value], abs=1e-8)
    assert find_oracle(goal).score([ETHANOL]) != pytest.approx([value], abs=1e-3)


def test_similarity_by_hand():
    # CCO and CCN: six bits each, three in common
    assert find_oracle("similarity", target="CCO").score(["CCN", "OCC"]) == pytest.approx([1 / 3, 1.0])
    to_the_other = find_oracle("rediscovery", target="CCN").score(["CCO"])[0]
    assert find_oracle("median", targets=["CCO", "CCN"]).score(["CCO"]) == pytest.approx([to_the_other**0.5])
    with pytest.raises(ValueError, match=r"target: expected a SMILES that RDKit can parse, got 'C\(\('"):
        find_oracle("similarity", target="C((")
    with pytest.raises(ValueError, match="fingerprint: expected one of .*, got 'maccs'"):
        find_oracle("similarity", target="C", fingerprint="maccs")
    with pytest.raises(ValueError, match="expected a molecular formula like C16H15F6N5O, got 'water'"):
        find_oracle("isomer", formula="water")
    with pytest.raises(ValueError, match="targets: expected a list of SMILES"):
        find_oracle("median", targets="CCO")


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-100, 100), st.floats(0.01, 100))
def test_curves_stay_in_their_range_and_rise_or_fall(x, middle, width):
    low, high = middle - width, middle + width
    for kind in ("sigmoid", "reverse_sigmoid", "clip"):
        f = build_transform({"kind": kind, "low": low, "high": high})
        a, b = f(np.array([x, x + width]))
        assert 0 <= a <= 1 and (a >= b if kind == "reverse_sigmoid" else a <= b)
    for side in ("both", "below", "above"):
        value = build_transform({"kind": "gaussian", "mu": middle, "sigma": width, "side": side})(np.array([x]))[0]
        assert 0 <= value <= 1
    assert build_transform({"kind": "step", "low": middle})(np.array([x]))[0] == float(x >= middle)


def test_curves_by_hand_and_missing_stays_missing():
    f = build_transform({"kind": "sigmoid", "low": 0, "high": 5, "k": 0.25})
    assert f(np.array([0.0, 2.5, 5.0])) == pytest.approx([1 / (1 + 10**1.25), 0.5, 1 / (1 + 10**-1.25)])
    both = build_transform([{"kind": "affine", "scale": 2.0, "shift": -1.0}, {"kind": "power", "exponent": 2}])
    assert both(np.array([1.0, 0.25]))[0] == 1.0 and math.isnan(both(np.array([0.25]))[0])
    numbers = {
        "sigmoid": {"low": 0, "high": 1}, "reverse_sigmoid": {"low": 0, "high": 1}, "step": {"low": 0},
        "gaussian": {"mu": 0, "sigma": 1}, "power": {"exponent": 2},
    }  # fmt: skip
    for kind in TRANSFORMS:
        assert math.isnan(build_transform({"kind": kind, **numbers.get(kind, {})})(np.array([np.nan]))[0])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "sigmod"}, r"expected a kind among .*, got 'sigmod', did you mean 'sigmoid'\?"),
        ({"kind": "sigmoid", "low": 0}, "transform sigmoid: missing high"),
        ({"kind": "sigmoid", "low": 0, "hihg": 1}, r"unknown number 'hihg', did you mean 'high'\?"),
        ({"kind": "sigmoid", "low": 2, "high": 1}, "transform sigmoid: expected low < high, got low 2 and high 1"),
        ({"kind": "gaussian", "mu": 0, "sigma": 0}, "expected sigma > 0, got 0"),
        ({"kind": "step"}, "expected low <= high and one of them given"),
        ({"kind": "clip", "high": "much"}, "transform clip: "),
    ],
)
def test_curves_that_are_refused(spec, message):
    with pytest.raises(ValueError, match=message):
        build_transform(spec)


def parts(*rows):
    return [{"oracle": "heavy_atoms", "name": f"n{i}", **row} for i, row in enumerate(rows)]


def test_means_by_hand():
    tenth, fifth = (
        {"transform": {"kind": "affine", "scale": 0.1}},
        {"transform": {"kind": "affine", "scale": 0.2}, "weight": 3},
    )
    geometric = breadth.task("molecules", components=parts(tenth, fifth))
    assert geometric.score([ETHANOL]) == pytest.approx([(0.3 * 0.6**3) ** 0.25])
    arithmetic = breadth.task("molecules", components=parts(tenth, fifth), mean="arithmetic")
    assert arithmetic.score([ETHANOL]) == pytest.approx([(0.3 + 3 * 0.6) / 4])
    assert arithmetic.score([ETHANOL]) != pytest.approx(geometric.score([ETHANOL]))
    assert geometric.reward_names() == ("n0", "n1")
    assert geometric.reward_vector([ETHANOL, "C((", BENZENE]) == pytest.approx(
        np.array([[0.3, 0.6], [0, 0], [0.6, 1.2]])
    )
    assert breadth.task("molecules").reward_names() == ()
    assert "arithmetic mean of n0, n1 (weight 3)" in arithmetic.describe().quality


def test_one_component_that_fails_leaves_the_molecule_unscored():
    task = breadth.task("molecules", components=[{"oracle": "logp"}, {"oracle": "qed"}])
    scores = task.score([ETHANOL, ASPIRIN])
    assert np.isnan(scores[0]) and scores[1] > 0
    assert task.molecules.failures.reasons == [
        "component logp: -0.0014 is below 0, which a geometric mean cannot take: give it a transform (sigmoid, clip) or use the arithmetic mean"
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"components": []}, "components: expected at least one, got none"),
        ({"components": {"oracle": "qed"}}, "expected a list of tables"),
        ({"components": [{"weight": 2}]}, r"component 1 \(None\): expected oracle = ..., got none"),
        ({"components": [{"oracle": "qed"}, {"oracle": "qed"}]}, "two are called 'qed'"),
        ({"components": [{"oracle": "qed", "weight": 0}]}, "'qed' has weight 0.0: expected a number > 0"),
        ({"components": [{"oracle": "qde"}]}, r"component 1 \(qde\): oracle: expected one of .*Did you mean 'qed'\?"),
        ({"components": [{"oracle": "qed", "transform": "sigmoid"}]}, "transform sigmoid: missing low, high"),
        (
            {"components": [{"oracle": "qed"}], "mean": "harmonic"},
            r"mean: expected one of \('geometric', 'arithmetic'\), got 'harmonic'",
        ),
        ({"oracle": "qed", "target": "CCO"}, "oracle 'qed': unknown setting 'target'; settings: none"),
        ({"oracle": "similarity"}, "oracle 'similarity': missing target"),
        ({"invalid_reward": math.inf}, "invalid_reward: expected a finite number"),
        ({"randomise": -1}, "randomise: expected a number of spellings >= 0, got -1"),
    ],
)
def test_settings_that_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        breadth.task("molecules", **given)


def test_every_named_oracle_is_listed_and_scores_a_molecule():
    rows = {row["name"]: row for row in oracle_rows()}
    assert set(rows) == set(ORACLES) and all(row["summary"] for row in rows.values())
    needs = {"target": "CCO", "targets": ["CCO"], "formula": "C2H6O", "element": "C"}
    for name, row in rows.items():
        if name not in ("jnk3", "gsk3b", "activity", "command", "components"):
            given = {k: needs[k] for k in row["settings"] if k in needs}
            assert math.isfinite(find_oracle(name, **given).score([ASPIRIN])[0]), name


def test_what_a_text_that_cannot_be_parsed_is_worth_in_training():
    task = breadth.task("molecules", invalid_reward=-1.0)
    assert task.reward(["C((", ETHANOL])[0] == -1.0 and task.score(["C((", ETHANOL])[0] == 0.0
    assert task.reward([ETHANOL]) == task.score([ETHANOL])
    assert "is worth -1" in " ".join(task.describe().notes)


def test_rdkits_warnings_are_silenced_and_counted(capfd):
    task = breadth.task("molecules")
    task.score(["C(("] * 3 + [f"C{'(' * i}" for i in range(3, 1000)])
    assert task.molecules.n_rdkit_messages > 900
    assert capfd.readouterr().err == ""


def test_random_spellings_are_the_same_molecules_in_the_same_tokens(tmp_path, own_cache, chembl):
    path = tmp_path / "a.smi"
    path.write_text("\n".join(chembl[:300]))
    plain, spelled = breadth.task("molecules", corpus=path), breadth.task("molecules", corpus=path, randomise=2)
    texts = spelled.corpus(900, seed=1)
    keys = spelled.key(texts)
    train = plain.load_corpus().train
    assert None not in keys and set(keys) <= set(train)
    share = sum(t == k for t, k in zip(texts, keys, strict=True)) / len(texts)
    assert 0.3 < share < 0.45  # one spelling in three is the canonical one, and a few random ones are it by chance
    vocabulary = spelled.vocabulary()
    assert vocabulary == plain.vocabulary()
    assert max(len(vocabulary.encode(text)) for text in texts) <= 99  # encode refuses a token that it does not know
    assert (
        texts == breadth.task("molecules", corpus=path, randomise=2).corpus(900, seed=1) != spelled.corpus(900, seed=2)
    )
    valid = spelled.corpus(5, seed=0, split="valid")
    assert valid == spelled.key(valid)
    assert spelled.corpus_identity() != plain.corpus_identity()


def test_a_token_outside_the_vocabulary_names_itself_its_molecule_and_the_remedy(tmp_path, own_cache):
    path = tmp_path / "a.smi"
    path.write_text("\n".join(["CCO", "CCN", "CCC", "CCCC"]))
    vocabulary = breadth.task("molecules", corpus=path).vocabulary()
    with pytest.raises(
        ValueError,
        match=r"token 'Br' of 'CCBr' is not in the vocabulary of 3 tokens: drop or rewrite this text, or build",
    ):
        vocabulary.encode("CCBr")
