"""The pre-training corpus: reproducible, uniform, and broken at the share that was asked for."""

from collections import Counter

import numpy as np
import pytest

from breadth.tasks.graphs import CircleTask, LineTask

EVERY = [
    task(encoding=encoding, min_edges=low)
    for task in (CircleTask, LineTask)
    for encoding in ("edge_list", "walk")
    for low in (None, 3)
]


@pytest.mark.parametrize("task", EVERY, ids=lambda t: f"{t.name}-{t.encoding}-{t.min_edges}")
def test_share_of_valid_texts(task):
    n = 20_000
    expected = np.mean([0.9**edges for edges in range(task.min_edges or 6, 7)])
    share = task.score(task.corpus(n, seed=0)).mean()
    # five standard errors below; 0.005 more above, because several breaks can mend each other
    error = np.sqrt(expected * (1 - expected) / n)
    assert expected - 5 * error < share < expected + 5 * error + 0.005


@pytest.mark.parametrize("task", EVERY, ids=lambda t: f"{t.name}-{t.encoding}-{t.min_edges}")
def test_texts_and_token_numbers_agree(task):
    texts, ids, vocabulary = task.corpus(500, seed=4), task.corpus_ids(500, seed=4), task.vocabulary()
    end = [vocabulary.eos_id] if task.describe().end_token else []
    assert ids.shape == (500, task.describe().max_tokens) and ids.dtype == np.int64
    for text, row in zip(texts, ids.tolist(), strict=True):
        words = vocabulary.encode(text) + end
        assert row == words + [vocabulary.pad_id] * (len(row) - len(words))
        assert vocabulary.decode(row) == text


@pytest.mark.parametrize("task", [CircleTask, LineTask])
@pytest.mark.parametrize("encoding", ["edge_list", "walk"])
def test_without_corruption_all_are_valid_and_with_certain_corruption_almost_none(task, encoding):
    whole, broken = (task(encoding=encoding, corruption=corruption) for corruption in (0.0, 1.0))
    assert whole.score(whole.corpus(500, seed=0)).all()
    assert broken.score(broken.corpus(500, seed=0)).mean() < 0.05


@pytest.mark.parametrize("task", [CircleTask, LineTask])
@pytest.mark.parametrize("encoding", ["edge_list", "walk"])
def test_a_single_break_never_leaves_a_valid_text(task, encoding):
    whole = task(encoding=encoding, corruption=0.0, vertices=9)
    broken = task(encoding=encoding, corruption=0.02, vertices=9)  # the same stream up to the breaks
    valid, texts = whole.corpus(5000, seed=1), broken.corpus(5000, seed=1)
    single = np.array(
        [
            sum(a != b for a, b in zip(before.split(), after.split(), strict=True)) == 1
            for before, after in zip(valid, texts, strict=True)
        ]
    )
    assert single.sum() > 300
    assert not broken.score([text for text, one in zip(texts, single, strict=True) if one]).any()


def test_the_seed_and_the_split_decide_everything():
    task = CircleTask()
    assert task.corpus(50, seed=1) == task.corpus(50, seed=1)
    assert task.corpus(50, seed=1) != task.corpus(50, seed=2)
    assert task.corpus(50, seed=1) != task.corpus(50, seed=1, split="test")
    assert task.corpus(0, seed=1) == [] and task.corpus_ids(0, seed=1).shape == (0, 12)


def test_valid_texts_are_uniform():
    task = CircleTask(vertices=4, edges=3, corruption=0.0)
    counts = Counter(task.corpus(9600, seed=0))
    assert len(counts) == 8 * 6  # 8 labelled cycles in 3! orders of their edges
    chi_square = sum((n - 200) ** 2 / 200 for n in counts.values())
    assert chi_square < 82.7  # the 0.999 quantile at 47 degrees of freedom


def test_breaks_use_every_vertex():
    task = CircleTask(corruption=0.5)
    numbers = Counter(word for text in task.corpus(3000, seed=0) for word in text.split())
    assert set(numbers) == {str(v) for v in range(15)}
    assert max(numbers.values()) / min(numbers.values()) < 1.2
