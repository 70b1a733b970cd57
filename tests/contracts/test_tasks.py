"""One list of promises over every task of the catalogue."""

import json

import numpy as np
import pytest

import breadth
from breadth import catalogue
from breadth.metrics import measure_sets
from breadth.partitions.canonical import kinds_from_keys
from breadth.tasks.protocol import Task

SETTINGS = {
    "circle": {"vertices": 6, "edges": 3},
    "line": {"vertices": 6, "edges": 3},
    "molecules": {},
    "countdown": {"numbers": 3},
    "game24": {},
    "math": {"held_out": 0.3},
    "prompts": {"held_out": 0.3, "quality": "breadth.tasks.open_prompts:word_count", "partition": "rouge1"},
}
ANSWERS = {
    "circle": ["0 1 1 2 2 0", "1 2 2 0 0 1", "0 1 1 2 2 3", "0 2 2 1 1 0"],
    "line": ["0 1 1 2 2 3", "2 3 0 1 1 2", "0 1 1 2 2 0", "3 2 2 1 1 0"],
    "molecules": ["CCO", "OCC", "c1ccccc1", "CCN"],
    "countdown": ["1 + 2 + 3", "3 + 2 + 1", "1 * 2 * 3", "2 * ( 3 - 1 )"],
    "game24": ["1 + 2 + 3 + 4", "4 + 3 + 2 + 1", "1 * 2 * 3 * 4", "( 1 + 3 ) * ( 2 + 4 )"],
    "math": [r"so \boxed{3}", "the answer is 3", r"\boxed{4}", r"\boxed{\frac{1}{2}}"],
    "prompts": ["a robin sings", "sings a robin", "penguins over blue ice", "an owl at night"],
}
UNREADABLE = {
    "circle": "0 x",
    "line": "0 x",
    "molecules": "C((",
    "countdown": "1 +",
    "game24": "1 +",
    "math": "none",
    "prompts": "  ",
}


@pytest.fixture(params=list(SETTINGS))
def task(request, tmp_path):
    settings = dict(SETTINGS[request.param])
    if request.param == "molecules":
        pytest.importorskip("rdkit", reason="needs breadth[molecules]")
    if request.param in ("math", "prompts"):
        path = tmp_path / "rows.jsonl"
        path.write_text(
            "".join(
                json.dumps({"question": f"question {i}", "prompt": f"prompt {i}", "answer": str(i % 5)}) + "\n"
                for i in range(40)
            )
        )
        settings["path"] = str(path)
        settings["question" if request.param == "math" else "prompt"] = (
            "question" if request.param == "math" else "prompt"
        )
    return breadth.task(request.param, **settings)


def test_every_task_is_on_the_list():
    built_in = {name for name, entry in catalogue.entries("task").items() if not entry.source.startswith("plug-in")}
    assert built_in == set(SETTINGS)


@pytest.fixture
def texts_given(request):
    """Return four answers to the task, and a text that is none."""
    name = request.node.callspec.params["task"]
    return ANSWERS[name], UNREADABLE[name]


def test_prompts_are_texts_and_repeat_with_their_seed(task):
    for split in ("train", "valid"):
        asked = task.prompts(5, seed=3, split=split)
        assert (
            len(asked) == 5 and all(isinstance(p, str) for p in asked) and asked == task.prompts(5, seed=3, split=split)
        )
    if any(task.prompts(1, seed=0)):
        assert not set(task.prompts(8, seed=0)) & set(task.prompts(8, seed=0, split="valid")), (
            "held-out prompts are not trained on"
        )
        assert task.prompts(8, seed=1, split="valid") == task.prompts(8, seed=2, split="valid")


def test_one_score_and_one_key_a_text_in_any_company(task, texts_given):
    answers, unreadable = texts_given
    asked = task.prompts(1, seed=0) * 5
    texts = [*answers, unreadable]
    scores, keys = task.score(texts, asked), task.key(texts, asked)
    assert scores.shape == (5,) and scores.dtype == np.float64 and len(keys) == 5
    assert scores[4] == 0 and keys[4] is None, "unreadable: quality 0, no key"
    assert all(key is not None for key in keys[:4])
    assert [task.score([t], asked[:1])[0] for t in texts] == scores.tolist()
    assert task.score(texts[::-1], asked).tolist() == scores[::-1].tolist()
    assert [task.key([t], asked[:1])[0] for t in texts] == keys
    assert task.score([], []).shape == (0,) and task.key([], []) == []
    assert task.reward(texts, asked).shape == (5,)
    valid = task.valid(texts, scores, keys=keys)
    assert valid.dtype == bool and valid.tolist() == task.valid(texts, scores).tolist() and not valid[4]


def test_distances(task, texts_given):
    answers, unreadable = texts_given
    for kind in (None, *task.describe().distances):
        d = task.distance(answers, kind=kind)
        assert (
            d.shape == (4, 4) and np.allclose(d, d.T) and not d.diagonal().any() and (d >= 0).all() and (d <= 1).all()
        )
        assert np.allclose(task.distance_within(answers, None, kind=kind), d)
        order = [2, 0, 3, 1]
        assert np.allclose(task.distance([answers[i] for i in order], kind=kind), d[np.ix_(order, order)])
        assert task.distance([], kind=kind).shape == (0, 0)


def test_kinds_are_classes_inside_a_group(task, texts_given):
    answers, unreadable = texts_given
    asked = [p for p in task.prompts(2, seed=0) for _ in range(5)]
    texts, group = [*answers, unreadable] * 2, [7] * 5 + [-1] * 5
    kinds = task.kinds(texts, asked, group=group)
    assert kinds.shape == (10,) and kinds.dtype == np.int64
    assert kinds[:5].tolist() == kinds[5:].tolist(), "a group does not look at another"
    assert kinds[0] == kinds[1] or task.name in ("molecules",) or task.key(answers)[0] != task.key(answers)[1]
    if type(task).kinds is Task.kinds:
        assert kinds.tolist() == kinds_from_keys(task.key(texts, asked), group).tolist()


def test_it_can_be_measured_and_its_rows_have_names_of_their_own(task, texts_given):
    answers, unreadable = texts_given
    asked = task.prompts(2, seed=0, split="valid")
    rows = measure_sets(task, [[*answers, unreadable], answers], prompts=[[asked[0]] * 5, [asked[1]] * 4])
    names = [row.metric for row in rows]
    assert len(set(names)) == len(names) and {"quality", "diversity", "diversity_valid"} <= set(names)
    assert all(row.value is None or np.isfinite(row.value) for row in rows)


def test_description_is_complete(task):
    about = task.describe()
    assert about.name == task.name and about.distances and about.max_tokens >= 1 and about.max_prompt_tokens >= 0
    assert all(isinstance(text, str) and text for text in (about.summary, about.quality, about.parsable, about.valid))


def test_a_corpus_is_in_its_vocabulary_and_fits(task):
    if task.name == "molecules":
        pytest.skip("its corpus takes half a minute to make; see tests/tasks/test_molecule_corpus.py")
    try:
        vocabulary = task.vocabulary()
    except NotImplementedError as error:
        assert "start from a model folder" in str(error)
        return
    about = task.describe()
    for text in task.corpus(50, seed=0):
        prompt, said = text if isinstance(text, tuple) else ("", text)
        assert (
            len(vocabulary.encode(said)) + about.end_token <= about.max_tokens
            and len(vocabulary.encode(prompt)) <= about.max_prompt_tokens
        )
