"""Verbalized sampling: what models make of the request, read or counted."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadth.generation.verbalized import read_verbalized, verbalized_messages


@pytest.mark.parametrize(
    ("reply", "how", "texts", "probabilities"),
    [
        (
            '{"answers": [{"text": "a", "probability": 0.5}, {"text": "b", "probability": 0.1}]}',
            "json",
            ("a", "b"),
            (0.5, 0.1),
        ),
        (
            '```json\n[{"response": "a", "prob": "50%"}, {"response": "b", "p": ".25"}]\n```',
            "json",
            ("a", "b"),
            (0.5, 0.25),
        ),
        ('Here you are: {"responses": ["a", "b"]} Enjoy!', "json", ("a", "b"), (None, None)),
        ('{"answers": [{"text": "line one\nline two", "probability": 2}]}', "json", ("line one\nline two",), (None,)),
        ('{"answers": [{"text": "a", "probability": 0.5}, {"text": "b", "proba', "damaged json", ("a",), (0.5,)),
        (
            '{"text": "a", "probability": 0.5}\n{"text": "b", "probability": true}',
            "damaged json",
            ("a", "b"),
            (0.5, None),
        ),
        (
            "<response><text>a</text><probability>0.2</probability></response>\n<response><text>b</text>",
            "tags",
            ("a", "b"),
            (0.2, None),
        ),
        ("1. a (probability: 0.3)\n2) b - p = 20 %\nbye", "list", ("a", "b"), (0.3, 0.2)),
        ("- a\n- b, probability 1.5", "list", ("a", "b"), (None, None)),
        ("I cannot do that.", "nothing", (), ()),
        ("", "nothing", (), ()),
        ('{"answers": []}', "nothing", (), ()),
        ('{"answers": [{"text": "  "}, 3, null]}', "nothing", (), ()),
    ],
)
def test_what_models_return(reply, how, texts, probabilities):
    found = read_verbalized(reply, 2)
    assert (found.how, found.texts, found.probabilities) == (how, texts, probabilities)
    assert found.n_missing == 2 - len(texts) and found.n_extra == 0


def test_the_wrong_number_is_counted():
    reply = json.dumps({"answers": [{"text": str(i), "probability": 0.1} for i in range(5)]})
    found = read_verbalized(reply, 3)
    assert (found.texts, found.n_extra, found.n_missing) == (("0", "1", "2"), 2, 0)
    assert read_verbalized(reply, 8).n_missing == 3


@given(st.text(alphabet='{}[]"\\:,.0123456789 text<>/response%-\n', max_size=200), st.integers(1, 5))
def test_nothing_makes_it_fail(reply, n):
    found = read_verbalized(reply, n)
    assert len(found.texts) == len(found.probabilities) == n - found.n_missing <= n
    assert all(p is None or 0 <= p <= 1 for p in found.probabilities)


@given(st.lists(st.tuples(st.text(min_size=1).filter(str.strip), st.floats(0, 1)), min_size=1, max_size=4))
def test_json_comes_back_as_it_was(entries):
    reply = json.dumps({"answers": [{"text": text, "probability": p} for text, p in entries]})
    found = read_verbalized(f"Sure.\n{reply}", len(entries))
    assert list(found.texts) == [text.strip() for text, _ in entries] and list(found.probabilities) == [
        p for _, p in entries
    ]


def test_only_the_last_turn_is_changed():
    chat = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"})
    found = verbalized_messages(chat, 4)
    assert found[:2] == chat[:2] and found[2]["content"].startswith("c\n\nGive 4 answers")
