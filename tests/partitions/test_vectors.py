"""TF-IDF and embeddings: n encodes, prompt direction, windows, cache."""

import sys
from types import ModuleType

import numpy as np
import pytest

import breadth
from breadth.partitions.protocol import Answers
from breadth.partitions.vectors import Embedding

AXES = {"red": [1, 0, 0], "blue": [0, 1, 0], "prompt": [0, 0, 1]}


class Encoder:
    def __init__(self):
        self.seen = []

    def __call__(self, texts):
        self.seen += texts
        return np.array(
            [sum((np.array(AXES.get(word, [0, 0, 0])) for word in text.split()), np.zeros(3)) for text in texts], float
        )


def test_n_answers_need_n_encodes_and_are_kept():
    encode = Encoder()
    same = breadth.partition("embedding", encode=encode, threshold=0.5)
    texts = ["red", "blue", "red red", "blue x", "red"]
    assert same(texts).tolist() == [0, 1, 0, 1, 0]
    assert sorted(encode.seen) == ["blue", "blue x", "red", "red red"]
    same(texts)
    assert len(encode.seen) == 4
    assert same.backend.n_encoded == 4


def test_the_direction_of_the_prompt_is_removed():
    group = [Answers("prompt", ("prompt prompt red", "prompt prompt blue"))]
    assert Embedding(encode=Encoder(), drop_prompt=False).blocks(group)[0][0, 1] == pytest.approx(0.8)
    assert Embedding(encode=Encoder()).blocks(group)[0][0, 1] == pytest.approx(0.0, abs=1e-12)


def test_long_texts_are_cut_into_windows():
    encode = Encoder()
    text = "red " * 10 + "blue " * 10
    block = Embedding(encode=encode, words_per_window=10).blocks([Answers("", (text, "red blue"))])[0]
    assert len(encode.seen) == 3 and block[0, 1] == pytest.approx(1.0)


def test_a_text_of_nothing_is_alike_only_to_itself():
    block = Embedding(encode=Encoder()).blocks([Answers("", ("", "red"))])[0]
    assert block.tolist() == [[1, 0], [0, 1]]


def test_the_cache_is_bounded():
    backend = Embedding(encode=Encoder(), cache_size=2)
    backend.blocks([Answers("", ("red", "blue", "prompt"))])
    assert len(backend.vectors._kept) == 2


@pytest.mark.parametrize("made", [np.zeros((1, 3)), np.zeros(2), np.full((2, 3), np.nan)])
def test_a_bad_encoder_is_refused(made):
    with pytest.raises(ValueError, match=r"encode: expected \(2, d\) finite numbers, got shape"):
        Embedding(encode=lambda texts: made).blocks([Answers("", ("a", "b"))])


def test_sentence_transformers_are_loaded_when_used(monkeypatch):
    module = ModuleType("sentence_transformers")

    class SentenceTransformer:
        def __init__(self, name, device=None):
            assert name == "some/model"

        def encode(self, texts, **_):
            return Encoder()(texts)

    module.SentenceTransformer = SentenceTransformer
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert breadth.partition("embedding", model="some/model")(["red", "blue"]).tolist() == [0, 1]
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match="pip install sentence-transformers, or pass encode="):
        breadth.partition("embedding", model="some/model")(["red", "blue"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "expected either model .* or encode"),
        ({"model": "m", "encode": Encoder()}, "and not both"),
        ({"encode": Encoder(), "batch_size": 0}, "words_per_window and batch_size: expected 1 or more, got 180 and 0"),
    ],
)
def test_bad_settings(settings, text):
    with pytest.raises(ValueError, match=text):
        breadth.partition("embedding", **settings)


def test_tfidf_can_leave_out_the_prompt():
    texts = ["the capital of France is certainly called Paris", "the capital of France is certainly called Lyon"]
    prompts = ["What is the capital of France called?"] * 2
    plain, own = (
        breadth.partition("tfidf", drop_prompt=drop).distance(texts, prompts=prompts)[0, 1] for drop in (False, True)
    )
    assert own > plain
