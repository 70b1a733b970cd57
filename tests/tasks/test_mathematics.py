"""The math task: files, splits, checking, math-verify behind its wall, partitions by answer and by method."""

import json
import sys
import textwrap

import numpy as np
import pytest

import breadth
from breadth.metrics import measure_sets
from breadth.tasks.scoring import score_batch


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def sums(tmp_path):
    return write(tmp_path / "sums.jsonl", [{"question": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(60)])


def test_questions_answers_and_splits(sums):
    task = breadth.task("math", path=sums, held_out=0.2)
    train, valid = task.prompts(40, seed=0), task.prompts(5, seed=0, split="valid")
    assert not set(train) & set(valid) and len(set(train)) == 40
    assert valid == task.prompts(9, seed=7, split="valid")[:5] and train != task.prompts(40, seed=1)
    assert "What is " in valid[0] and valid[0].endswith("\\boxed{}.")
    gold = int(task.gold(valid[0])[0])
    said = [
        rf"\boxed{{{gold}}}",
        rf"\boxed{{{2 * gold}/2}}",
        f"The answer is {gold}.0",
        rf"\boxed{{{gold + 1}}}",
        "",
        rf"\boxed{{{gold}",
    ]
    assert task.score(said, valid[:1] * 6).tolist() == [1, 1, 1, 0, 0, 0]
    assert task.key(said[:5]) == [str(gold)] * 3 + [str(gold + 1), None]
    with pytest.raises(ValueError, match="is not one of its prompts"):
        task.score(["1"], ["What?"])
    with pytest.raises(ValueError, match=r"1000 held-out prompts were asked for, there are \d+: lower measure.sets"):
        task.prompts(1000, seed=0, split="valid")


def test_files_as_they_come(tmp_path):
    gsm = write(tmp_path / "gsm.jsonl", [{"question": f"q{i}", "answer": f"{i} and\n#### 1,00{i}"} for i in range(9)])
    task = breadth.task("math", path=gsm, held_out=0.3)
    assert {task.gold(p) for p in task.prompts(6, seed=0)} <= {(f"1,00{i}",) for i in range(9)}
    maths = write(tmp_path / "math.json", [])
    (tmp_path / "math.json").write_text(
        json.dumps([{"problem": f"p{i}", "solution": rf"so $\boxed{{\frac{{{i}}}{{7}}}}$."} for i in range(9)])
    )
    task = breadth.task("math", path=maths, held_out=0.3, instruction="Q: {question}\nA:")
    (prompt,) = task.prompts(1, seed=0)
    assert prompt.startswith("Q: p") and prompt.endswith("\nA:") and task.gold(prompt)[0].startswith("\\frac")
    several = write(tmp_path / "several.jsonl", [{"question": f"q{i}", "answer": ["1", "x=2"]} for i in range(9)])
    task = breadth.task("math", path=several, held_out=0.3)
    (prompt,) = task.prompts(1, seed=0)
    assert task.score([r"\boxed{2}", r"\boxed{1}", r"\boxed{3}"], [prompt] * 3).tolist() == [1, 1, 0]


def test_a_few_rows_without_an_answer_are_left_out_and_counted(tmp_path):
    rows = [{"question": f"q{i}", "answer": "" if i == 3 else str(i)} for i in range(150)]
    task = breadth.task("math", path=write(tmp_path / "gaps.jsonl", rows))
    assert "rows left out for want of a question or an answer: 1" in task.describe().notes
    with pytest.raises(ValueError, match=r"1 of 150 rows have no question .* raise bad_share \(now 0.0\)"):
        breadth.task("math", path=str(tmp_path / "gaps.jsonl"), bad_share=0.0)


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        ('{"question": "q", "answer": "1"}\nno json\n', {}, "line 2: expected one JSON object a line"),
        ("[1]\n", {}, "line 1: expected a JSON object"),
        ("", {}, "expected at least one row, found none"),
        (
            '{"text": "q", "answer": "1"}\n',
            {},
            "none of the columns .* is named like question .*; name it with question=",
        ),
        ('{"question": "q", "answer": "1"}\n', {"answer": "gold"}, "expected a column 'gold' for answer"),
        ('{"question": "q", "answer": ""}\n', {}, "1 of 1 rows have no question or no answer, the first is row 1"),
        ('{"question": "q", "answer": "1"}\n', {}, "1 prompts, none of them in the split"),
        ('{"question": "q", "answer": "1"}\n', {"check": "judge"}, "check: expected 'normaliser' or 'math_verify'"),
        ('{"question": "q", "answer": "1"}\n', {"instruction": "Answer."}, "instruction: expected '{question}'"),
        ('{"question": "q", "answer": "1"}\n', {"held_out": 0}, "held_out: expected a share"),
        ('{"question": "q", "answer": "1"}\n', {"partition": "roogue"}, "partition: unknown backend 'roogue'"),
    ],
)
def test_bad_input(tmp_path, content, settings, words):
    path = tmp_path / "data.jsonl"
    path.write_text(content)
    with pytest.raises(ValueError, match=words):
        breadth.task("math", path=str(path), **settings)


def test_bad_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        breadth.task("math", path=str(tmp_path / "none.jsonl"))
    (tmp_path / "x.bin").write_bytes(b"\x00")
    with pytest.raises(ValueError, match="expected a file that ends in .jsonl"):
        breadth.task("math", path=str(tmp_path / "x.bin"))
    (tmp_path / "x.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(ValueError, match="damaged gzip file"):
        breadth.task("math", path=str(tmp_path / "x.jsonl.gz"))
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="expected UTF-8 text"):
        breadth.task("math", path=str(tmp_path / "x.jsonl"))


def test_hub_names_say_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match="pip install datasets"):
        breadth.task("math", path="openai/gsm8k", config="main")


def test_a_hub_that_cannot_be_reached_says_so_and_one_that_can_is_read(monkeypatch):
    import types

    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        if name == "owner/gone":
            raise ConnectionError("no route")
        return [{"question": f"q{i}", "answer": f"#### {i}"} for i in range(20)]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(ConnectionError, match="cannot be had .*give the file's path"):
        breadth.task("math", path="owner/gone")
    task = breadth.task("math", path="openai/gsm8k", config="main", split="test", held_out=0.3)
    assert asked[-1] == ("openai/gsm8k", "main", "test") and len(task.prompts(5, seed=0)) == 5


def test_methods_by_a_partition(sums):
    task = breadth.task("math", path=sums, held_out=0.2, partition="rouge1", partition_settings={"threshold": 0.5})
    asked = task.prompts(1, seed=0) * 3
    gold = task.gold(asked[0])[0]
    texts = [rf"count up from the first number \boxed{{{gold}}}", rf"first count up from the number \boxed{{{gold}}}",
             rf"induction over Peano successors gives \boxed{{{gold}}}"]  # fmt: skip
    assert task.kinds(texts, asked, group=[0, 0, 0]).tolist() == [0, 0, 1]
    assert list(task.describe().distances) == ["method", "answer"]
    rows = {r.metric: r for r in measure_sets(task, [texts], prompts=[asked])}
    assert rows["pass_at_1"].value == 1 and rows["distinct_correct_at_3"].value == 2
    assert rows["diversity_answer"].value == 0 and rows["diversity"].value > 0.3
    plain = breadth.task("math", path=sums, held_out=0.2)
    rows = {r.metric: r for r in measure_sets(plain, [texts], prompts=[asked])}
    assert "distinct_correct_at_3" not in rows and rows["diversity"].value == 0


def test_without_math_verify_the_pip_line(sums, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "math_verify" else real(name, *a))
    with pytest.raises(ImportError, match=r'pip install "breadth\[math\]"'):
        breadth.task("math", path=sums, check="math_verify")


FAKE = """
import os, time
def parse(text, parsing_timeout=None):
    return text
def verify(gold, answer, timeout_seconds=None):
    for word, act in (("hang", lambda: time.sleep(60)), ("crash", lambda: os._exit(3)), ("raise", lambda: 1 / 0)):
        if word in answer:
            act()
    if "print" in answer:
        print("noise on standard output")
    return "equal" in answer
"""


def test_a_worker_that_hangs_crashes_or_raises_costs_one_answer(sums, tmp_path, monkeypatch):
    """Against a stand-in for the library that does these things on demand."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "math_verify.py").write_text(textwrap.dedent(FAKE))
    monkeypatch.syspath_prepend(str(tmp_path / "fake"))
    monkeypatch.delitem(sys.modules, "math_verify", raising=False)
    task = breadth.task("math", path=sums, held_out=0.2, check="math_verify", timeout=1.0)
    asked = task.prompts(1, seed=0) * 7
    said = ["equal", "hang", "other", "crash", "raise", "equal print", "hang"]
    scored = score_batch(task.score, [rf"\boxed{{{word}}}" for word in said], asked)
    assert np.array_equal(scored.values, [1, np.nan, 0, np.nan, np.nan, 1, np.nan], equal_nan=True)
    assert scored.n_unscored == 4 and task.failures == {
        "no answer within 1 s": 1,
        "the worker crashed": 1,
        "ZeroDivisionError": 1,
    }
    task._judge.close()


def test_math_verify_itself(sums):
    pytest.importorskip("math_verify", reason="needs breadth[math]")
    task = breadth.task("math", path=sums, held_out=0.2, check="math_verify", timeout=5.0)
    judge = task._judge
    assert judge.same(["2x+2"], r"\boxed{2(x+1)}") is True
    assert judge.same([r"\frac{\sqrt{3}}{3}"], r"\boxed{\frac{1}{\sqrt{3}}}") is True
    assert judge.same(["3"], r"\boxed{4}") is False
    judge.timeout = 2.0
    assert judge.same(["1"], r"\boxed{2003^{2002^{2001}}}") in (False, None)  # it may hang; then it costs two seconds
    judge.timeout = 60.0
    assert judge.same(["2x+2"], r"\boxed{2(x+1)}") is True
    judge.close()
