"""The defaults of a task, and the task of the documentation page, run as it is printed."""

import re
from pathlib import Path

import numpy as np
import pytest

from breadth.metrics import measure_sets
from breadth.records import TaskDescription
from breadth.tasks.protocol import Task

PAGE = Path(__file__).parents[2] / "docs" / "tasks" / "write-your-own.md"


class Words(Task):
    """The smallest task: prompts, score, describe; any text that is not blank is parsable."""

    name = "words"

    def prompts(self, n, *, seed, split="train"):
        return [""] * n

    def score(self, texts, prompts=None):
        return np.array([float("good" in text) for text in texts])

    def describe(self):
        return TaskDescription("words", "", "", "", "", {"other": "1 where the words differ"}, 1.0, 4, True)


def test_default_key_distance_valid_and_reward():
    task, texts = Words(), ["good", " good ", "bad", "", "  "]
    assert task.key(texts) == ["good", "good", "bad", None, None]
    distance = task.distance(texts)
    assert distance[0].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert distance[3, 4] == 1.0 and distance[3, 3] == 0.0  # two unreadable texts do not agree with each other
    assert task.valid(texts, task.score(texts)).tolist() == [True, True, True, False, False]
    assert task.valid(texts, task.score(texts), keys=["x", *[None] * 3, "y"]).tolist() == [True, *[False] * 3, True]
    assert task.reward(texts).tolist() == task.score(texts).tolist()
    assert task.picture("good") is None
    assert task.distance([]).shape == (0, 0)


def test_diversity_leaves_unparsable_texts_out():
    row = Words().diversity(["good", "good", "bad", ""])
    assert (row.metric, row.n, row.unit) == ("diversity", 3, "distance")
    assert row.value == pytest.approx(2 / 3)
    assert row.error == pytest.approx(np.sqrt(2 / 3 * ((1 / 3) ** 2 * 2 + (2 / 3) ** 2)))  # left out: 1, 1, 0
    assert Words().diversity(["good", ""]).value is None
    assert Words().diversity(["good", "bad"]).error is None


def test_a_task_without_tokens_of_its_own_says_what_to_do():
    with pytest.raises(NotImplementedError, match="'words' has no vocabulary of its own: start from a model folder"):
        Words().vocabulary()
    with pytest.raises(NotImplementedError, match="task 'words' has no corpus of its own: start from a model folder"):
        Words().corpus(3, seed=0)


def test_a_task_must_have_prompts_score_and_describe():
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (Task,), {})()


def test_the_task_of_the_documentation_runs_as_printed():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 2
    lines = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(lines) <= 30, "the page promises thirty lines"
    room: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), room)
    task = room["SumTask"]()
    assert task.prompts(5, seed=1) == task.prompts(5, seed=1) != task.prompts(5, seed=1, split="test")
    rows = {row.metric: row for row in room["rows"]}
    # first set: 124, 124, 016 right, "7" unreadable; second: 123, 015, 024 right, "1 2" unreadable
    assert rows["parsable_share"].value == 0.75 and rows["quality_parsable"].value == 1.0
    assert rows["diversity"].sets == (pytest.approx(2 / 3), 1.0)
    assert rows["unique_share"].sets == (0.5, 0.75)
    assert rows["distinct_valid"].value == 5.0
    assert task.describe().distances and measure_sets(task, [["1 2 4"]], prompts=[["7"]])[0].value == 1.0
