"""Countdown and game24: an exact verifier, a split that holds, a corpus of the share it promises, coverage with a true denominator."""

import gzip
import json

import numpy as np
import pytest

import breadth
from breadth.metrics import measure_sets
from breadth.tasks.puzzles import Puzzle, solutions, split_of

ASKED = "3 7 12 -> 120 :"
RIGHT = ["12 * ( 3 + 7 )", "(7+3)*12", "((3 + 7)) * 12"]
WRONG = [
    "12 * 10", "12 * ( 3 + 7 ) * 1", "12 * 7 + 3", "120", "3 + 7 + 12", "12 * ( 3 + 7", "12 * ( 7 + 7 ) - 48", "12 * (3 + 7) = 120", "",
    "12 * ( 3 + 7 ) 12 * ( 3 + 7 )", "import os", "12 * ( 3 + 7 ) / 0",
]  # fmt: skip


@pytest.fixture(scope="module")
def task():
    return breadth.task("countdown", numbers=3, max_number=12, max_target=50)


def test_verifier(task):
    assert task.score(RIGHT, [ASKED] * 3).tolist() == [1.0] * 3
    assert task.score(WRONG, [ASKED] * len(WRONG)).tolist() == [0.0] * len(WRONG)
    assert task.score(["8 / ( 3 - 8 / 3 )"], ["3 3 8 8 -> 24 :"]).tolist() == [1.0]
    assert task.score(["12 * ( 3 + 7 )"], ["3 7 12 -> 119 :"]).tolist() == [0.0]
    assert len(set(task.key(RIGHT))) == 1 and task.key(["3 +"]) == [None]


def test_right_and_wrong_by_an_independent_reading(task):
    from fractions import Fraction

    asked, said = zip(*task.corpus(3000, seed=5), strict=True)
    scores = task.score(said, asked)
    for prompt, text, score in list(zip(asked, said, scores, strict=True))[:600]:
        puzzle = task.puzzle_of(prompt)
        try:
            value = eval(
                "".join(f"F({w})" if w.isdigit() else w for w in text.split()), {"__builtins__": {}, "F": Fraction}
            )
        except ZeroDivisionError:
            value = None
        uses = tuple(sorted(int(w) for w in text.split() if w.isdigit()))
        assert score == float(value == puzzle.target and uses == puzzle.numbers)


def test_corpus_has_the_promised_share_of_right_answers_and_only_training_numbers(task):
    for corruption in (0.0, 0.7):
        pairs = breadth.task("countdown", corruption=corruption).corpus(4000, seed=1)
        share = task.score([text for _, text in pairs], [prompt for prompt, _ in pairs]).mean()
        assert share == pytest.approx(1 - corruption, abs=0.025)  # three standard errors
        assert {split_of(task.puzzle_of(prompt).numbers, 0.1) for prompt, _ in pairs} == {"train"}
    assert task.corpus(50, seed=1) == task.corpus(50, seed=1) != task.corpus(50, seed=2)
    vocabulary = task.vocabulary()
    for prompt, text in task.corpus(200, seed=3):
        assert (
            vocabulary.decode(vocabulary.encode(text)) == text
            and len(vocabulary.encode(text)) < task.describe().max_tokens
        )
        assert len(vocabulary.encode(prompt)) == task.describe().max_prompt_tokens


def test_splits_share_no_numbers_and_held_out_prompts_stay(task):
    found = {
        s: {task.puzzle_of(p).numbers for p in task.prompts(150, seed=0, split=s)} for s in ("train", "valid", "test")
    }
    assert (
        not found["train"] & found["valid"]
        and not found["train"] & found["test"]
        and not found["valid"] & found["test"]
    )
    assert task.prompts(20, seed=0, split="valid") == task.prompts(40, seed=9, split="valid")[:20]
    assert len(set(task.prompts(40, seed=9, split="valid"))) == 40
    assert task.prompts(20, seed=0) == task.prompts(20, seed=0) != task.prompts(20, seed=1)
    wide = breadth.task("countdown", min_solutions=3)
    assert min(len(wide.solutions(p)) for p in wide.prompts(10, seed=0, split="valid")) >= 3
    with pytest.raises(ValueError, match="split: expected one of train, valid, test, got 'dev'"):
        task.prompts(1, seed=0, split="dev")


def test_coverage_counts_against_all_solutions(task):
    prompt = next(p for p in task.prompts(200, seed=0, split="valid") if len(task.solutions(p)) == 4)
    every = task.solutions(prompt)
    texts = [*every[:2], every[0], "1 + 1", "no"]
    rows = {
        r.metric: r for r in measure_sets(task, [texts, ["1", "2", "3", "4", "5"]], prompts=[[prompt] * 5, [ASKED] * 5])
    }
    assert rows["solution_coverage"].sets == (0.5, 0.0) and rows["solution_coverage"].value == 0.25
    assert rows["pass_at_1"].sets == (0.6, 0.0) and rows["pass_at_5"].sets == (1.0, 0.0)
    # two of one class, one of another, of five: 1 - C(3,2)/C(5,2) and 1 - C(4,2)/C(5,2)
    assert rows["distinct_correct_at_2"].sets == (pytest.approx(0.7 + 0.4), 0.0)
    assert rows["diversity_valid"].sets[0] == pytest.approx(2 / 3)
    assert "solution_coverage" not in {
        r.metric for r in measure_sets(task, [["1", "2"]], prompts=[["1 2 3 4 5 -> 15 :"] * 2])
    }, "five numbers: their solutions are not listed"


def test_distances(task):
    texts = ["12 * ( 3 + 7 )", "( 3 + 7 ) * 12", "12 / ( 3 + 7 )", "3 * 7 * 12", "no"]
    solution, structure = task.distance(texts), task.distance(texts, kind="structure")
    for d in (solution, structure):
        assert np.array_equal(d, d.T) and not d.diagonal().any() and d[0, 1] == 0 and (d[4, :4] == 1).all()
    assert solution[0, 2] == 1 and structure[0, 2] == pytest.approx(2 / 3) and structure[0, 3] == 1
    with pytest.raises(ValueError, match="kind: expected one of solution, structure"):
        task.distance(texts, kind="edit")


def test_words_for_language_models():
    task = breadth.task("game24", form="words")
    (prompt,) = task.prompts(1, seed=0)
    assert task.puzzle_of(prompt).target == 24 and task.prompt_of(task.puzzle_of(prompt)) == prompt
    prompt = task.prompt_of(Puzzle((3, 3, 8, 8), 24))
    assert "3, 3, 8 and 8" in prompt and task.puzzle_of(prompt) == Puzzle((3, 3, 8, 8), 24)
    said = [
        r"We try 8/3 ... so \boxed{8 \div \left(3 - 8 \div 3\right) = 24}.",
        "I say <answer> 8/(3-8/3) </answer>",
        r"\boxed{24}",
        "no",
    ]
    assert task.score(said, [prompt] * 4).tolist() == [1, 1, 0, 0]
    with pytest.raises(NotImplementedError, match="start from a model folder"):
        task.vocabulary()


def test_puzzle_file(tmp_path, shared_data):
    path = shared_data / "game24.jsonl.gz"
    task = breadth.task("game24", puzzles=str(path))
    with gzip.open(path, "rt") as lines:
        known = {tuple(sorted(json.loads(line)["numbers"])) for line in lines}
    for split in ("train", "valid"):
        assert {task.puzzle_of(p).numbers for p in task.prompts(30, seed=0, split=split)} <= known
    with pytest.raises(ValueError, match=r"has \d+ such puzzles in the split 'valid', 5000 prompts were asked for"):
        task.prompts(5000, seed=0, split="valid")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"numbers": 1}, "numbers: expected 2 to 6 numbers in a puzzle, got 1"),
        ({"max_number": 0}, "max_number: expected 2 to 1000"),
        ({"target": 0}, "target: expected 1 to 100000, got 0"),
        ({"held_out": 0.5}, "held_out: expected a share above 0 and below 0.5"),
        ({"corruption": 1.0}, r"corruption: expected a probability in \[0, 1\), got 1.0"),
        ({"form": "latex"}, "form: expected 'tokens' or 'words'"),
        ({"numbers": 5, "min_solutions": 2}, "min_solutions: expected at least 1, and 1 for more than 4 numbers"),
        ({"puzzles": "nowhere.jsonl"}, "puzzles: no such file"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        breadth.task("countdown", **settings)


def test_bad_prompts(task):
    with pytest.raises(ValueError, match="expected the prompts beside the texts"):
        task.score(["1"])
    with pytest.raises(ValueError, match="expected a prompt such as '3 7 12 -> 120 :', got 'hello'"):
        task.score(["1"], ["hello"])
    assert solutions(Puzzle((1, 1), 9)) == ()
