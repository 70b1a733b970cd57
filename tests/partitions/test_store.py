"""What is kept on disk: bounded, found again by another process, told apart by the judge that said it."""

import sqlite3

import numpy as np
import pytest

import breadth
from breadth.partitions.store import Store, open_store
from tests.partitions.counting_judge import CountingJudge

TEXTS = ["red 1", "blue 1", "red 2", "green 1"]


class Named(CountingJudge):
    fingerprint = "counting 1"


class Other(CountingJudge):
    fingerprint = "counting 2"


class Encoder:
    def __init__(self):
        self.n = 0

    def __call__(self, texts):
        self.n += len(texts)
        return np.array([[len(text), text.count("e") + 1.0] for text in texts])


def test_verdicts_are_found_again(tmp_path):
    first = Named()
    kinds = breadth.partition(first, clustering="components", disk_cache=tmp_path)(TEXTS).tolist()
    again = Named()
    same = breadth.partition(again, clustering="components", disk_cache=tmp_path)
    assert same(TEXTS).tolist() == kinds == [0, 1, 0, 2]
    assert len(first.asked) == 6 and again.asked == [] and same.cost.n_cached == 6
    other = Other()
    breadth.partition(other, clustering="components", disk_cache=tmp_path)(TEXTS)
    assert len(other.asked) == 6, "what another judge said is not its verdict"


def test_what_was_said_before_a_failure_is_kept(tmp_path):
    with pytest.raises(ConnectionError):
        breadth.partition(Named(fail_after=2), clustering="components", disk_cache=tmp_path)(TEXTS)
    judge = Named()
    breadth.partition(judge, clustering="components", disk_cache=tmp_path)(TEXTS)
    assert len(judge.asked) == 4


def test_the_users_cache_folder_is_the_default_place(own_cache):
    breadth.partition(Named(), disk_cache=True)(TEXTS)
    assert (own_cache / "partitions" / "verdicts.sqlite").is_file()


def test_the_longest_unused_are_forgotten(tmp_path):
    store = open_store("verdicts", tmp_path, size=3)
    for name in (b"a", b"b", b"c"):
        store.put({name: name})
    store.get([b"a"])
    store.put({b"d": b"d"})
    assert set(store.get([b"a", b"b", b"c", b"d"])) == {b"a", b"c", b"d"}
    store.close()
    assert len(Store(store.path, size=3)) == 3
    many = {str(i).encode(): b"x" for i in range(1200)}
    wide = Store(tmp_path / "wide.sqlite", size=2000)
    wide.put(many)
    assert wide.get(list(many)) == many


def test_vectors_are_found_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        "breadth.partitions.vector_cache.load_encoder", lambda name, device=None: made.append(Encoder()) or made[-1]
    )
    one = breadth.partition("embedding", model="some/model", disk_cache=tmp_path)
    other = breadth.partition("embedding", model="some/model", disk_cache=tmp_path)
    np.testing.assert_allclose(other.distance(TEXTS), one.distance(TEXTS), atol=1e-6)  # kept as float32
    assert made[0].n == 4 and len(made) == 1
    breadth.partition("embedding", model="other/model", disk_cache=tmp_path)(TEXTS)
    assert len(made) == 2


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda p: breadth.partition(CountingJudge(), disk_cache=p), "disk_cache: counting has no fingerprint"),
        (
            lambda p: breadth.partition("rouge1", disk_cache=p),
            "disk_cache: rouge1 scores whole groups and keeps no verdicts",
        ),
        (lambda p: breadth.partition("classifier", disk_cache=p), "a classifier without an encoder keeps nothing"),
        (
            lambda p: breadth.partition("embedding", encode=Encoder(), disk_cache=p),
            "vectors of a function could not be told",
        ),
        (lambda p: Store(p / "x.sqlite", size=0), "expected a size of 1 or more, got 0"),
    ],
)
def test_what_cannot_be_kept(tmp_path, call, text):
    with pytest.raises(ValueError, match=text):
        call(tmp_path)


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "verdicts.sqlite").write_text("hello " * 1000)
    with pytest.raises(ValueError, match=r"not a cache of breadth .* delete the file"):
        breadth.partition(Named(), disk_cache=tmp_path)
    connection = sqlite3.connect(tmp_path / "verdicts.sqlite")
    connection.close()
