"""Tokens, parsing and canonical forms of SMILES."""

from __future__ import annotations

import logging
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rdkit")
from rdkit import Chem, rdBase

from breadth.tasks.smiles import (
    MOST_CHARACTERS,
    canonical_smiles,
    parse_smiles,
    quiet_rdkit,
    require_rdkit,
    smiles_vocabulary,
    split_smiles,
)

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("BrCCl", ["Br", "C", "Cl"]),
        ("[13CH3][C@@H]", ["[13CH3]", "[C@@H]"]),
        ("C%10CC%10", ["C", "%10", "C", "C", "%10"]),
        ("F/C=C\\F", ["F", "/", "C", "=", "C", "\\", "F"]),
        ("", []),
        ("CX", None),
        ("C%1", None),
        ("[CH", None),
    ],
)
def test_tokens(text, tokens):
    assert split_smiles(text) == tokens


def test_vocabulary_equals_the_tokenizers_library(chembl):
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = smiles_vocabulary(chembl)
    theirs = tokenizers.Tokenizer.from_str(vocabulary.to_tokenizers_json())
    ours = [vocabulary.encode(text) for text in chembl]
    assert [encoding.ids for encoding in theirs.encode_batch(chembl)] == ours
    assert [vocabulary.decode(ids) for ids in ours] == chembl
    assert theirs.decode_batch(ours) == chembl


def test_a_token_outside_the_vocabulary_names_itself_the_molecule_and_the_remedy():
    vocabulary = smiles_vocabulary(["CCO"])
    with pytest.raises(ValueError, match=r"token 'N' of 'CCN' is not in the vocabulary of 2 tokens: drop or rewrite"):
        vocabulary.encode("CCN")


@pytest.mark.parametrize(
    "text", ["", " ", "C((", "c1ccccc", "CCO name", "CCO |$a$|", "C\0C", "é", "C\nC", "xyz", "C(C)(C)(C)(C)C"]
)
def test_what_is_no_smiles_is_none(text):
    assert parse_smiles(text) is None
    assert canonical_smiles(text) is None


def test_all_spellings_of_a_molecule_have_one_canonical_form():
    molecule = Chem.MolFromSmiles(ASPIRIN)
    spellings = [Chem.MolToSmiles(molecule, doRandom=True) for _ in range(30)]
    assert len(set(spellings)) > 5
    assert {canonical_smiles(text) for text in spellings} == {ASPIRIN}


def test_flat_and_isomeric_forms():
    left, right = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"
    assert canonical_smiles(left) == canonical_smiles(right) == "CC(N)C(=O)O"
    assert canonical_smiles(left, isomeric=True) != canonical_smiles(right, isomeric=True)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("CNOcno()[]=#123%@+-.*/\\H", max_size=60)))
def test_no_text_raises(text):
    canonical = canonical_smiles(text)
    tokens = split_smiles(text)
    assert tokens is None or "".join(tokens) == text
    if canonical is not None:
        assert parse_smiles(canonical) is not None


def test_messages_are_silenced_and_counted_and_the_log_is_put_back(capfd):
    before = rdBase.LogStatus()
    with quiet_rdkit(keep=2) as outer:
        Chem.MolFromSmiles("C1CC(")
        with quiet_rdkit() as inner:
            for _ in range(1_000):
                Chem.MolFromSmiles("C(C)(C)(C)(C)C")
        n = outer.n
        Chem.MolFromSmiles("C1CC(")
    assert inner.n >= 1_000
    assert outer.n > n > 0
    assert len(outer.first) == 2
    assert capfd.readouterr().err == ""
    assert rdBase.LogStatus() == before
    Chem.MolFromSmiles("C1CC(")
    assert "SMILES Parse Error" in capfd.readouterr().err


def test_a_log_that_was_switched_off_stays_off(capfd):
    rdBase.DisableLog("rdApp.error")
    try:
        with quiet_rdkit():
            pass
        assert "rdApp.error:disabled" in rdBase.LogStatus()
    finally:
        rdBase.EnableLog("rdApp.error")


def test_a_log_that_goes_to_python_keeps_its_handlers():
    rdBase.LogToPythonLogger()
    try:
        handlers = logging.getLogger("rdkit").handlers[:]
        with quiet_rdkit() as messages:
            Chem.MolFromSmiles("C1CC(")
        assert messages.n > 0
        assert logging.getLogger("rdkit").handlers == handlers
        assert "rdApp.debug:enabled" in rdBase.LogStatus()  # still Python's
    finally:
        rdBase.LogToCppStreams()


def test_without_rdkit_the_error_names_the_line_that_installs_it(monkeypatch):
    from breadth.tasks.fingerprints import mean_pairwise_tanimoto
    from breadth.tasks.molecules import MoleculesTask

    monkeypatch.setitem(sys.modules, "rdkit", None)
    for call in (require_rdkit, MoleculesTask, lambda: mean_pairwise_tanimoto(["CCO", "CCN"])):
        with pytest.raises(ImportError) as caught:
            call()
        assert 'pip install "breadth[molecules]"' in str(caught.value).splitlines()


def test_a_chain_that_would_end_the_process_is_not_parsed():
    from breadth import task

    assert parse_smiles("C" * MOST_CHARACTERS) is not None
    for n in (MOST_CHARACTERS + 1, 20_000, 1_000_000):
        assert parse_smiles("C" * n) is None
        assert task("molecules").score(["C" * n]).tolist() == [0.0]


def test_random_texts_of_tokens_never_raise():
    rng = random.Random(1)
    alphabet = ["C", "N", "O", "c", "n", "(", ")", "1", "2", "=", "#", "[nH]", "Cl", "[N+]", "[O-]"]
    for _ in range(500):
        canonical_smiles("".join(rng.choices(alphabet, k=rng.randrange(40))))
