"""Sets of texts to rows: a tiny example by hand, scorers that fail, nothing to compare, and bad input."""

import subprocess
import sys

import numpy as np
import pytest

from breadth.metrics import measure_sets
from breadth.records import TaskDescription
from breadth.tasks.graphs import CircleTask
from breadth.tasks.protocol import Task

CIRCLE = CircleTask(vertices=4, edges=3)
A, A_AGAIN, B, LINE = "0 1 1 2 2 0", "1 2 2 0 0 1", "0 1 1 3 3 0", "0 1 1 2 2 3"
TEXT_ROWS = [
    "quality",
    "quality_parsable",
    "parsable_share",
    "valid_share",
    "correct_share",
    "unique_share",
    "diversity",
    "diversity_valid",
    "diversity_undirected",
    "diversity_undirected_valid",
    "diversity_pattern",
    "diversity_pattern_valid",
    "diversity_unique",
    "distinct_valid",
]
MODEL_ROWS = ["policy_entropy", "token_entropy", "sequence_entropy", "kl_prior", "length"]


def rows_of(*args, **kwargs):
    return {row.metric: row for row in measure_sets(*args, **kwargs)}


class Letters(Task):
    """Quality by table, NaN where the scorer failed; distance by the difference of letters."""

    name = "letters"
    quality = {"a": 0.2, "b": 0.6, "c": 1.0, "?": np.nan}

    def prompts(self, n, *, seed, split="train"):
        return [""] * n

    def score(self, texts, prompts=None):
        return np.array([self.quality.get(text, 0.0) for text in texts])

    def key(self, texts, prompts=None):
        return [text if text in self.quality else None for text in texts]

    def distance(self, texts, *, kind=None):
        x = np.array([ord(text) for text in texts], dtype=float)
        return np.abs(x[:, None] - x[None, :]) / 2

    def describe(self):
        return TaskDescription("letters", "", "", "", "", {"gap": "difference of letters"}, 0.5, 2, True)


def test_a_tiny_example_by_hand():
    sets = [[A, A_AGAIN, B, LINE], [A, LINE, "0 1 1", "x"]]
    rows = rows_of(CIRCLE, sets)
    assert list(rows) == TEXT_ROWS
    q = rows["quality"]
    assert (q.value, q.n, q.n_unscored, q.unit, q.sets) == (0.5, 8, 0, "quality", (0.75, 0.25))
    assert q.error == pytest.approx(np.std([1, 1, 1, 0, 1, 0, 0, 0], ddof=1) / np.sqrt(8))
    assert rows["quality_parsable"].value == pytest.approx(4 / 6) and rows["quality_parsable"].n == 6
    assert rows["parsable_share"].value == 0.75
    assert rows["valid_share"].value == rows["correct_share"].value == 0.5
    assert rows["unique_share"].sets == (3 / 4, 2 / 4)
    # directed edge sets: A and B share 0>1 (1 - 1/5); A and LINE share two (1 - 2/4); B and LINE share 0>1 (1 - 1/5)
    ab, al, bl = 0.8, 0.5, 0.8
    d = rows["diversity"]
    first, second = (0 + 2 * ab + 2 * al + bl) / 6, al
    assert d.sets == (pytest.approx(first), pytest.approx(second))
    assert d.value == pytest.approx((first + second) / 2) and d.n == 6
    assert d.error == pytest.approx(np.std([first, second], ddof=1) / np.sqrt(2))
    valid = rows["diversity_valid"]
    assert valid.sets == (pytest.approx(2 * ab / 3), None) and valid.value == pytest.approx(2 * ab / 3) and valid.n == 3
    assert valid.error == pytest.approx(np.sqrt(2 / 3 * ((ab / 3) ** 2 * 2 + (2 * ab / 3) ** 2)))  # one set: jackknife
    assert rows["diversity_unique"].sets == (pytest.approx((ab + al + bl) / 3), pytest.approx(al))
    assert rows["distinct_valid"].value == 2.0 and rows["distinct_valid"].sets == ()
    assert rows["distinct_valid"].error is None


def test_graded_quality_separates_parsable_valid_and_correct():
    rows = rows_of(Letters(), [["a", "b", "c", "-"]])
    assert rows["quality"].value == pytest.approx(1.8 / 4)
    assert rows["quality_parsable"].value == pytest.approx(1.8 / 3)
    assert rows["parsable_share"].value == rows["valid_share"].value == 0.75
    assert rows["correct_share"].value == 0.5
    assert rows["diversity"].value == rows["diversity_valid"].value == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert rows["diversity"].error is not None  # one set: jackknife over its texts
    assert rows["unique_share"].error is None


def test_unscored_texts_take_no_part_and_are_counted():
    with_failures = rows_of(Letters(), [["a", "?", "c", "-"], ["?", "?", "?"]], lengths=np.arange(1, 8))
    without = rows_of(Letters(), [["a", "c", "-"]])
    for metric, row in without.items():
        assert with_failures[metric].value == row.value, metric
        assert with_failures[metric].n == row.n and with_failures[metric].n_unscored == 4, metric
    assert with_failures["quality"].sets[1] is None and with_failures["diversity"].sets[1] is None
    # lengths do not ask the scorer
    assert (with_failures["length"].value, with_failures["length"].n, with_failures["length"].n_unscored) == (4.0, 7, 0)


def test_all_unscored_is_unknown_never_zero():
    for row in measure_sets(Letters(), [["?", "?"]]):
        assert row.value is None and row.error is None, row.metric
        assert row.n == 0 and row.n_unscored == 2


def test_all_unparsable_has_quality_zero_and_unknown_diversity():
    rows = rows_of(CIRCLE, [["x", ""], ["0"]])
    assert rows["quality"].value == 0.0 and rows["quality"].n == 3
    assert rows["quality_parsable"].value is None and rows["quality_parsable"].sets == (None, None)
    assert rows["parsable_share"].value == rows["unique_share"].value == rows["distinct_valid"].value == 0.0
    for metric in TEXT_ROWS[6:13]:
        assert rows[metric].value is None and rows[metric].sets == (None, None) and rows[metric].n == 0


def test_entropies_by_hand():
    sets = [["a", "b"], ["c"]]
    logp, prior = np.array([-2.0, -6.0, -1.0]), np.array([-3.0, -5.0, -4.0])
    rows = rows_of(
        Letters(),
        sets,
        seq_logp=logp,
        seq_logp_prior=prior,
        lengths=np.array([2, 3, 1]),
        entropy_sum=np.array([1.0, 3.0, 2.0]),
    )
    assert list(rows)[-5:] == MODEL_ROWS
    assert rows["policy_entropy"].value == pytest.approx((1 + 2 + 1) / 3)
    assert rows["policy_entropy"].sets == (1.5, 1.0)
    assert rows["token_entropy"].value == pytest.approx(6 / 6)  # over positions, not over texts
    assert rows["token_entropy"].sets == (pytest.approx(4 / 5), 2.0)
    residual = np.array([1.0, 3.0, 2.0]) - np.array([2, 3, 1])
    assert rows["token_entropy"].error == pytest.approx(np.std(residual / 2, ddof=1) / np.sqrt(3))
    assert rows["sequence_entropy"].value == pytest.approx(3.0)
    assert rows["kl_prior"].value == pytest.approx((1 - 1 + 3) / 3)
    assert rows["kl_prior"].error == pytest.approx(np.std([1, -1, 3], ddof=1) / np.sqrt(3))
    assert rows["length"].value == 2.0


def test_only_what_the_arrays_allow():
    sets = [["a", "b"]]
    assert list(rows_of(Letters(), sets, seq_logp=np.zeros(2)))[-1] == "sequence_entropy"
    assert list(rows_of(Letters(), sets, lengths=np.ones(2)))[-1] == "length"
    assert "token_entropy" not in rows_of(Letters(), sets, entropy_sum=np.ones(2))
    empty = rows_of(Letters(), sets, seq_logp=np.zeros(2), lengths=np.zeros(2), entropy_sum=np.zeros(2))
    assert empty["policy_entropy"].value is None and empty["token_entropy"].value is None


def test_given_scores_replace_the_scorer():
    class Silent(Letters):
        def score(self, texts, prompts=None):
            raise AssertionError("not to be called")

    rows = rows_of(Silent(), [["a", "b"]], scores=np.array([1.0, np.nan]))
    assert rows["quality"].value == 1.0 and rows["quality"].n_unscored == 1


def test_each_method_is_called_as_often_as_promised():
    calls = {"score": 0, "key": 0, "distance": 0}

    class Counting(Letters):
        def score(self, texts, prompts=None):
            calls["score"] += 1
            return super().score(texts, prompts)

        def key(self, texts, prompts=None):
            calls["key"] += 1
            return super().key(texts, prompts)

        def distance(self, texts, *, kind=None):
            calls["distance"] += 1
            return super().distance(texts, kind=kind)

    measure_sets(Counting(), [["a", "b"], ["c", "b", "a"], ["c"]])
    assert calls == {"score": 1, "key": 1, "distance": 2}


def test_the_same_texts_give_the_same_rows_and_the_order_of_texts_in_a_set_does_not_matter():
    texts = CircleTask().corpus(60, seed=0)
    sets = [texts[:30], texts[30:]]
    assert measure_sets(CircleTask(), sets) == measure_sets(CircleTask(), sets)
    turned = [members[::-1] for members in sets]
    for row, other in zip(measure_sets(CircleTask(), sets), measure_sets(CircleTask(), turned), strict=True):
        assert row.value == pytest.approx(other.value, abs=1e-12)


def test_errors_are_the_spread_over_fresh_measurements():
    task = CircleTask()
    texts = task.corpus(40 * 200, seed=1)
    many = [rows_of(task, [texts[i + j : i + j + 20] for j in range(0, 200, 20)]) for i in range(0, len(texts), 200)]
    for metric in ("quality", "diversity", "diversity_valid", "diversity_pattern"):
        spread = np.std([rows[metric].value for rows in many], ddof=1)
        assert np.mean([rows[metric].error for rows in many]) == pytest.approx(spread, rel=0.35), metric


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"seq_logp": np.zeros(2)}, r"seq_logp: expected shape \(3,\), one number for each text, got \(2,\)"),
        ({"lengths": np.array([1, np.nan, 1])}, "lengths: expected finite numbers, got 1 of 3 that are not, .* at 1"),
        ({"seq_logp": np.array([-np.inf, 0, 0])}, "seq_logp: expected finite numbers, got 1 of 3"),
        ({"prompts": [["p", "p"]]}, r"prompts: expected one beside each text, in sets of \[2, 1\], got sets of \[2\]"),
        ({"prompts": [["p", "q"], ["p"]]}, "prompts: expected one prompt in each set, got 2 in set 0; put the answers"),
        ({"scores": np.zeros(4)}, r"a score and a key for each of 3 texts, got scores of shape \(4,\) and 3 keys"),
        ({"scores": np.array([0, np.inf, 1])}, "finite scores, or NaN where the scorer failed, got 1 infinite"),
    ],
)
def test_bad_input_is_named_with_numbers(kwargs, message):
    with pytest.raises(ValueError, match=message):
        measure_sets(Letters(), [["a", "b"], ["c"]], **kwargs)


def test_no_texts_at_all():
    for sets in ([], [[], []]):
        with pytest.raises(ValueError, match=f"expected at least one text, got {len(sets)} sets without any"):
            measure_sets(Letters(), sets)


def test_a_distance_of_the_wrong_shape():
    class Wrong(Letters):
        def distance(self, texts, *, kind=None):
            return np.zeros(len(texts))

    with pytest.raises(ValueError, match=r"distance 'gap': expected shape \(2, 2\) for 2 texts, got \(2,\)"):
        measure_sets(Wrong(), [["a", "b"]])


def test_an_empty_set_among_others_is_unknown():
    rows = rows_of(Letters(), [[], ["a", "b"]])
    assert rows["quality"].sets == (None, pytest.approx(0.4)) and rows["unique_share"].sets == (None, 1.0)


def test_prompts_reach_the_task_and_tell_equal_answers_apart():
    class Asked(Letters):
        def score(self, texts, prompts=None):
            return np.array([float(text == prompt) for text, prompt in zip(texts, prompts, strict=True)])

    rows = rows_of(Asked(), [["a", "a"], ["a", "b"]], prompts=[["a", "a"], ["b", "b"]])
    assert rows["quality"].sets == (1.0, 0.5)
    assert rows["distinct_valid"].value == 3.0  # "a" to prompt "a", "a" and "b" to prompt "b"


def test_these_rooms_load_no_torch():
    code = (
        "import sys, breadth, breadth.metrics, breadth.tasks.graphs, breadth.tasks.protocol, breadth.tasks.vocabulary, "
        "breadth.partitions.canonical, breadth.records, breadth.seeds\n"
        "heavy = {'torch', 'transformers', 'scipy', 'rdkit', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
