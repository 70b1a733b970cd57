"""The one interface: groups, prompts, duplicates, caches, screens, and messages."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import breadth
from breadth import catalogue
from breadth.partitions import front
from breadth.partitions.calibration import Calibration
from breadth.partitions.canonical import kinds_from_keys
from tests.partitions.counting_judge import CountingJudge

TEXTS = [
    "the red fox jumps over the lazy dog today", "over the lazy dog the red fox jumps today",
    "a completely different story about ships and the sea", "the red fox jumps over the lazy dog today",
    "ships and the sea, a story completely different",
]  # fmt: skip
CHEAP = ["rouge1", "rougeL", "jaccard", "tfidf", "classifier", "canonical"]


@pytest.mark.parametrize("backend", CHEAP)
@pytest.mark.parametrize("clustering", ["greedy", "components", "average", "correlation"])
def test_labels_stay_inside_groups(backend, clustering):
    same = breadth.partition(backend, clustering=clustering)
    group = [4, 4, 9, 9, 4]
    kinds = same(TEXTS, group=group)
    assert kinds.dtype == np.int64 and kinds.shape == (5,)
    for g in (4, 9):
        rows = [i for i in range(5) if group[i] == g]
        alone = same([TEXTS[i] for i in rows])
        assert kinds[rows].tolist() == alone.tolist()
    renamed = same(TEXTS, group=np.array([0, 0, -3, -3, 0]))
    assert renamed.tolist() == kinds.tolist()


@pytest.mark.parametrize("backend", CHEAP)
def test_distance_is_symmetric_and_nan_outside_groups(backend):
    distance = breadth.partition(backend).distance(TEXTS, group=[0, 0, 1, 0, 1])
    assert np.isnan(distance[0, 2]) and np.isnan(distance[4, 1])
    np.testing.assert_array_equal(distance, distance.T)
    assert distance[0, 3] == 0 and (np.diagonal(distance) == 0).all()
    inside = distance[~np.isnan(distance)]
    assert (inside >= 0).all() and (inside <= 1).all()


@pytest.mark.parametrize("backend", CHEAP)
def test_probability_is_blind_to_the_order(backend):
    same = breadth.partition(backend)
    for a, b in [(TEXTS[0], TEXTS[1]), (TEXTS[0], TEXTS[2]), ("", TEXTS[0])]:
        p = same.probability(prompt="Tell a story", a=a, b=b)
        assert isinstance(p, float) and p == pytest.approx(same.probability(prompt="Tell a story", a=b, b=a))


def test_nothing_and_one():
    same = breadth.partition("rouge1")
    assert same([]).tolist() == [] and same.distance([]).shape == (0, 0) and same.diversity([]).shape == (0,)
    assert same(["alone"]).tolist() == [0]
    assert np.isnan(same.diversity(["alone"])[0])


def test_diversity_hard_and_soft():
    hard = breadth.partition("canonical").diversity(["a", "b", "a", "c"])
    np.testing.assert_allclose(hard, [2 / 3, 1, 2 / 3, 1])
    soft = breadth.partition("rouge1", clustering="soft", short_words=0)
    np.testing.assert_allclose(soft.diversity(["a b", "a c", "a b"]), [0.25, 0.5, 0.25])
    with pytest.raises(ValueError, match="clustering='soft' makes no classes: use .distance"):
        soft(["a b", "a c"])


def test_canonical_is_the_exact_partition():
    texts = ["Oslo", "oslo!", "?", "?", "Rome"]
    keys = [text.strip("!").casefold() if text != "?" else None for text in texts]
    assert breadth.partition("canonical")(texts).tolist() == kinds_from_keys(keys, [0] * 5).tolist() == [0, 0, 1, 2, 3]
    by_answer = breadth.partition("canonical", key="final_answer")
    assert by_answer([r"thus \boxed{7}", "so it is 7.", "#### 8"]).tolist() == [0, 0, 1]
    assert breadth.partition("canonical", key=len)(["aa", "bb", "c"]).tolist() == [0, 0, 1]


def test_a_calibration_changes_probability_and_not_the_classes():
    half = Calibration("isotonic", (0.0, 1.0), (0.0, 0.5))
    plain, calibrated = breadth.partition("rouge1"), breadth.partition("rouge1", calibration=half)
    assert calibrated(TEXTS).tolist() == plain(TEXTS).tolist()
    np.testing.assert_allclose(
        calibrated.probability(a=TEXTS[0], b=TEXTS[2]), plain.probability(a=TEXTS[0], b=TEXTS[2]) / 2
    )
    assert calibrated.probability(a="x", b="x") == 1


def test_the_judge_is_asked_about_representatives_only():
    judge = CountingJudge()
    texts = [f"{word} {i}" for i in range(20) for word in ("red", "blue")]
    kinds = breadth.partition(judge)(texts)
    assert kinds.tolist() == [0, 1] * 20
    assert len(judge.asked) == 1 + 19 * (1 + 2)


def test_identical_texts_once_and_verdicts_are_kept():
    judge = CountingJudge()
    same = breadth.partition(judge, clustering="components")
    assert same(["red 1", "red 1 ", "blue 1", "red 2"] * 5).tolist() == [0, 0, 1, 0] * 5
    assert len(judge.asked) == 3 and judge.n_batches == 1
    assert same(["red 2", "blue 1", "red 1"]).tolist() == [0, 1, 0]
    assert len(judge.asked) == 3 and same.cost.n_cached == 3
    same(["red 2", "blue 1"], prompts=["another prompt"] * 2)
    assert len(judge.asked) == 4, "the same answers to another prompt are another question"


def test_the_cache_is_bounded():
    judge = CountingJudge()
    same = breadth.partition(judge, clustering="components", cache_size=1)
    for _ in range(2):
        assert same(["a", "b", "c"]).tolist() == [0, 1, 2]
    assert len(judge.asked) >= 5 and len(same._asker._kept) == 1


def test_groups_share_batches():
    judge = CountingJudge()
    texts = [f"{word} {g} {i}" for g in range(30) for i, word in enumerate(("x", "y", "x"))]
    group = np.repeat(np.arange(30), 3)
    assert breadth.partition(judge)(texts, group=group).tolist() == [0, 1, 0] * 30
    assert judge.n_batches == 2


def test_a_screen_spares_the_clear_pairs():
    judge = CountingJudge()
    texts = [
        "red fox runs through many forests",
        "blue ship sails on the open sea",
        "red forests full of one fox and many runs",
    ]
    same = breadth.partition(judge, screen="rouge1", screen_low=0.2)
    assert same(texts).tolist() == [0, 1, 0]
    assert len(judge.asked) == 1 and same.cost.n_screened == 1
    distance = same.distance(texts)
    assert len(judge.asked) == 1 and distance[0, 1] >= 0.5 and distance[0, 2] == 0


def test_only_the_nearest_representatives_are_asked_about():
    judge = CountingJudge()
    texts = [f"{name} {name} {name} with words that all share" for name in "abcdefghij"]
    again = [f"{name} with some words that all share" for name in "jihgfedcba"]
    same = breadth.partition(judge, screen="rouge1", screen_nearest=1)
    assert same(texts + again).tolist() == [*range(10), *range(9, -1, -1)]
    assert len(judge.asked) == 9 + 10
    with pytest.raises(ValueError, match="screen: expected nearest to be 1 or more, got 0"):
        breadth.partition(judge, screen="rouge1", screen_nearest=0)


def test_what_a_judge_said_before_it_failed_is_kept():
    judge = CountingJudge(fail_after=2)
    same = breadth.partition(judge, clustering="components")
    with pytest.raises(ConnectionError, match="judge: down"):
        same(["red 1", "red 2", "blue 1"])
    judge.fail_after = None
    assert same(["red 1", "red 2", "blue 1"]).tolist() == [0, 0, 1]
    assert len(judge.asked) == 3


def test_a_judge_that_leaves_pairs_out_or_lies_is_refused():
    class Silent(CountingJudge):
        def score_pairs(self, pairs):
            yield 0, 0.0

    with pytest.raises(ValueError, match="counting: expected 3 scores, got 1"):
        breadth.partition(Silent(), clustering="components")(["a", "b", "c"])
    with pytest.raises(ValueError, match=r"counting: expected probabilities in \[0, 1\], got nan"):
        breadth.partition(CountingJudge(same=lambda pair: np.nan))(["a", "b"])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: breadth.partition("rogue1"), ValueError, "unknown backend 'rogue1', did you mean 'rouge1'?; known: canon"),
        (lambda: breadth.partition("rouge1", clustering="gredy"), ValueError, "unknown 'gredy', did you mean 'greedy'?"),
        (lambda: breadth.partition("rouge1", threshold=1.0), ValueError, "threshold: expected a number in [0, 1), got 1.0"),
        (lambda: breadth.partition("rouge1", short_word=3), TypeError, "unknown setting 'short_word', did you mean 'short_words'?"),
        (lambda: breadth.partition("rouge1", measure="x"), TypeError, "unknown setting 'measure'"),
        (lambda: breadth.partition("rouge1", screen="jaccard"), ValueError, "there is nothing to screen"),
        (lambda: breadth.partition(CountingJudge(), screen="jaccard", screen_low=2), ValueError, "expected 0 <= low < high"),
        (lambda: breadth.partition(CountingJudge(), cache_size=-1), ValueError, "cache_size: expected 0 or more, got -1"),
        (lambda: breadth.partition(object()), TypeError, "expected a name, or an object with blocks or score_pairs, got object"),
        (lambda: breadth.partition("canonical", key="last"), ValueError, "key: expected one of words, final_answer, expression"),
        (lambda: breadth.partition("rouge1")("abc"), TypeError, "texts: expected a sequence of texts, got one text"),
        (lambda: breadth.partition("rouge1")(["a", None]), TypeError, "texts[1]: expected a str, got NoneType"),
        (lambda: breadth.partition("rouge1")(["a"], group=[0, 1]), ValueError, "group: expected 1 labels, one for each text"),
        (lambda: breadth.partition("rouge1")(["a"], prompts=[]), ValueError, "prompts: expected 1, one for each text, got 0"),
        (lambda: breadth.partition("rouge1")(["a", "b"], prompts=["p", "q"]), ValueError, "one prompt in a group, got 2 in group 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_the_catalogue_lists_the_backends():
    assert list(catalogue.entries("partition")) == list(front.BACKENDS)
    for entry in catalogue.entries("partition").values():
        assert catalogue.resolve(entry) is breadth.partition


def test_an_entry_point_adds_a_backend(monkeypatch):
    point = EntryPoint("counting", "tests.partitions.counting_judge:CountingJudge", "breadth.partitions")
    monkeypatch.setattr(front, "entry_points", lambda group: [point])
    assert breadth.partition("counting")(["red 1", "red 2"]).tolist() == [0, 0]
    taken = EntryPoint("rouge1", "other:make", "breadth.partitions")
    monkeypatch.setattr(front, "entry_points", lambda group: [taken])
    with pytest.raises(ValueError, match="two backends are called 'rouge1': breadth's and other:make"):
        breadth.partition("jaccard")


def test_word_backends_need_no_torch():
    code = (
        "import sys, breadth; breadth.partition('classifier')(['a b c d e f', 'g h i j k l']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_group_may_be_a_tensor():
    torch = pytest.importorskip("torch")
    assert breadth.partition("canonical")(["a", "a", "b"], group=torch.tensor([5, 6, 6])).tolist() == [0, 0, 1]
