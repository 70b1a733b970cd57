"""Word overlap against plain definitions, and the traps of short answers."""

import random
from collections import Counter

import numpy as np
import pytest

import breadth
from breadth.partitions.overlap import MEASURES, Overlap
from breadth.partitions.overlap_counts import common_subsequences
from breadth.partitions.protocol import Answers
from breadth.partitions.words import number_words, split_words

# each pair: answers to the prompt, and whether they are the same
TRAPS = [
    ("Pick a number from 1 to 100", "I picked 53", "I picked 67", False),  # two of three words are equal
    ("Name an animal", "Quokka", "Quokka!", True),  # punctuation
    ("Name a river", "Amazon.", "Amazon", True),
    ("Name an animal", "A Quokka", "the quokka.", True),
    ("Blue or red?", "I would choose blue", "I would choose red", False),
    ("What is your favourite city?", "My favourite city is Rome", "My favourite city is Oslo", False),
    ("Is it true?", "It is true", "It is not true", False),
    ("Pick an emoji", "🎵", "🌲", False),
    ("Pick an emoji", "🎵", " 🎵 ", True),
    ("Name a city in Japan", "東京", "京都", False),
    ("Name a first phone", "iPhone SE", "iPhone SE (3rd Generation)", True),
    ("Say something", "", "", True),
]


@pytest.mark.parametrize("backend", ["rouge1", "rougeL", "jaccard", "tfidf", "classifier"])
@pytest.mark.parametrize(("prompt", "a", "b", "same"), TRAPS)
def test_short_answers(backend, prompt, a, b, same):
    kinds = breadth.partition(backend)([a, b], prompts=[prompt, prompt])
    assert (kinds[0] == kinds[1]) == same


def test_the_rule_can_be_turned_off():
    alike = breadth.partition("rouge1", short_words=0).probability(a="I picked 53", b="I picked 67")
    assert alike == pytest.approx(2 / 3)


def slow_overlap(a: list[str], b: list[str], measure: str) -> float:
    if measure == "jaccard":
        return len(set(a) & set(b)) / len(set(a) | set(b))
    if measure == "rouge1":
        return 2 * sum((Counter(a) & Counter(b)).values()) / (len(a) + len(b))
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b):
            before, row[j + 1] = row[j + 1], before + 1 if x == y else max(row[j + 1], row[j])
    return 2 * row[-1] / (len(a) + len(b))


@pytest.mark.parametrize("measure", MEASURES)
def test_overlap_is_its_definition(measure):
    draw = random.Random(0)
    groups = [
        Answers("", tuple(" ".join(draw.choices("abcdefghij", k=draw.choice([6, 63, 64, 65, 130]))) for _ in range(n)))
        for n in (2, 5, 13, 1)
    ]
    for group, block in zip(groups, Overlap(measure).blocks(groups), strict=True):
        words = [text.split() for text in group.texts]
        expected = [[slow_overlap(a, b, measure) for b in words] for a in words]
        np.testing.assert_allclose(block, expected, atol=1e-6)  # the matrix product counts in float32


@pytest.mark.parametrize("few", [0, 10**9])
def test_both_ways_to_common_subsequences_agree(monkeypatch, few):
    monkeypatch.setattr("breadth.partitions.overlap_counts.FEW_PAIRS", few)
    draw = random.Random(1)
    texts = [" ".join(draw.choices("abcdefgh", k=n)) for n in (0, 1, 64, 65, 200, 3)]
    numbered = number_words(texts)
    i, j = np.triu_indices(6, k=1)
    found = common_subsequences(numbered.ids, numbered.start, i, j)
    words = [text.split() for text in texts]
    expected = [slow_overlap(words[a], words[b], "rougeL") * (len(words[a]) + len(words[b])) / 2 if words[a] else 0
                for a, b in zip(i, j, strict=True)]  # fmt: skip
    np.testing.assert_allclose(found, expected)


def test_sparse_and_dense_counts_agree(monkeypatch):
    group = [Answers("", ("a b c a b c", "a a b d e f", "f e d c b a x"))]
    dense = Overlap("rouge1").blocks(group)[0]
    monkeypatch.setattr("breadth.partitions.overlap_counts.DENSE_CELLS", 0)
    np.testing.assert_allclose(Overlap("rouge1").blocks(group)[0], dense)


def test_words_of_every_alphabet():
    assert split_words("Größe_ÉTÉ 東京 it's") == ["grösse", "été", "東", "京", "it", "s"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Overlap("rouge2"), "measure: expected one of rouge1, rougeL, jaccard, got 'rouge2'"),
        (lambda: Overlap(short_words=-1), "short_words: expected 0 or more, got -1"),
    ],
)
def test_bad_settings(call, text):
    with pytest.raises(ValueError, match=text):
        call()
