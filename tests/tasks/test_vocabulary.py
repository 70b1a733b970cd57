"""Text to numbers and back; what is refused; agreement with the exported tokenizer.json."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadth.tasks.vocabulary import Vocabulary

NUMBERS = Vocabulary([str(i) for i in range(12)], pattern=r"\S+", joiner=" ")
ATOMS = r"(\[[^\]]+\]|Br|Cl|[A-Za-z0-9()=#])"  # with a capturing group, as such patterns are often published
SMILES = Vocabulary(["C", "Cl", "(", ")", "=", "[nH]", "N"], pattern=ATOMS, joiner="")


def test_special_tokens_come_first():
    assert NUMBERS.all_tokens[:4] == ["<pad>", "<bos>", "<eos>", "0"] and len(NUMBERS) == 15
    assert (NUMBERS.pad_id, NUMBERS.bos_id, NUMBERS.eos_id) == (0, 1, 2)


@given(st.lists(st.integers(0, 11)))
def test_round_trip_of_words(numbers):
    text = " ".join(map(str, numbers))
    assert NUMBERS.decode(NUMBERS.encode(text)) == text


@given(st.lists(st.sampled_from(SMILES.tokens)))
def test_round_trip_without_joiner(tokens):
    assert SMILES.decode(SMILES.encode("".join(tokens))) == "".join(tokens)


def test_longest_tokens_win_and_groups_in_the_pattern_do_no_harm():
    assert SMILES.split("ClC(=C)[nH]") == ["Cl", "C", "(", "=", "C", ")", "[nH]"]
    two_groups = Vocabulary(["C", "Cl"], pattern=r"(Cl)|(C)", joiner="")
    assert two_groups.encode("CClC") == [3, 4, 3]


def test_decode_stops_at_the_end_and_skips_padding_and_start():
    assert NUMBERS.decode([1, 3, 0, 4, 2, 5]) == "0 1"
    assert NUMBERS.decode([]) == "" and NUMBERS.encode("") == []
    assert NUMBERS.decode([3, 99, -1]) == "0 \ufffd \ufffd"


def test_unknown_token_is_named_with_the_remedy():
    with pytest.raises(ValueError, match="token '12' of '0 12' is not in the vocabulary of 12 tokens: drop or"):
        NUMBERS.encode("0 12")


def test_what_the_pattern_does_not_match_is_named():
    with pytest.raises(ValueError, match=r"cannot split 'C@C' into tokens: '@' does not match the token pattern"):
        SMILES.encode("C@C")
    with pytest.raises(ValueError, match=r"cannot split 'C C' into tokens: ' ' does not match"):
        SMILES.encode("C C")
    digits = Vocabulary(["1", "2"], pattern=r"\d", joiner=" ")
    with pytest.raises(ValueError, match="'12' does not match the token pattern"):  # else it would come back as "1 2"
        digits.encode("1 12")


@pytest.mark.parametrize(
    ("tokens", "joiner", "message"),
    [
        (["a", "b", "a"], " ", r"got more than once: \['a'\]"),
        (["a", "<eos>"], " ", r"got more than once: \['<eos>'\]"),
        (["a", ""], "", r"expected non-empty tokens, got \[''\]"),
        (["a b", "c"], " ", r"expected non-empty tokens without white space, got \['a b'\]"),
    ],
)
def test_tokens_that_cannot_work_are_refused(tokens, joiner, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens, pattern=r"\S+", joiner=joiner)


def test_dictionary_round_trip_and_equality():
    again = Vocabulary.from_dict(SMILES.to_dict())
    assert again == SMILES and hash(again) == hash(SMILES) and again != NUMBERS and SMILES != "x"


def test_from_texts_collects_and_sorts():
    assert Vocabulary.from_texts(["CCl", "C=C"], pattern=ATOMS, joiner="").tokens == ["=", "C", "Cl"]
    assert Vocabulary.from_texts(["b a", "c"], pattern=r"\S+", joiner=" ").tokens == ["a", "b", "c"]


@pytest.mark.parametrize(("vocabulary", "text"), [(NUMBERS, "3 11 0"), (SMILES, "ClC(=C)C[nH]")])
def test_exported_tokenizer_agrees(vocabulary, text):
    tokenizers = pytest.importorskip("tokenizers")
    exported = tokenizers.Tokenizer.from_str(vocabulary.to_tokenizers_json())
    assert exported.encode(text).ids == vocabulary.encode(text)
    assert exported.decode(vocabulary.encode(text)) == text
    assert exported.decode([*vocabulary.encode(text), vocabulary.eos_id, vocabulary.pad_id]) == text
    assert exported.get_vocab_size() == len(vocabulary)
