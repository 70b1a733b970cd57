"""`breadth measure` on files of generations: one file, a log with steps, two files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

BREADTH = [sys.executable, "-m", "breadth.commands.app", "measure"]


def write(path, answers_of, steps=(None,)):
    with open(path, "w") as file:
        for step in steps:
            for prompt in range(8):
                for answer in range(6):
                    row = {"prompt": f"p{prompt}", "response": answers_of(prompt, answer, step), "reward": 0.5}
                    file.write(json.dumps(row if step is None else {**row, "step": step}) + "\n")
    return path


def run(*words, code=0):
    done = subprocess.run([*BREADTH, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def test_a_file_gives_a_table(folder):
    path = write(folder / "a.jsonl", lambda p, a, s: f"answer {a} about {p} with words {a * 7}")
    assert "rouge1_distance" in run(path).stdout
    found = json.loads(run(path, "--json").stdout)
    assert found["files"][0]["k"] == 6 and found["collapse"] == [None]


def test_a_collapsing_log_is_told_so(folder):
    path = write(folder / "log.jsonl", lambda p, a, s: f"word{a if s < 4 else 0} text{a if s < 4 else 0} of {p}", steps=range(8))
    text = run(path).stdout
    assert "Is my run collapsing?" in text and "Yes" in text


def test_two_files_are_compared(folder):
    wide = write(folder / "wide.jsonl", lambda p, a, s: f"alpha{a} beta{a} gamma{a}")
    narrow = write(folder / "narrow.jsonl", lambda p, a, s: "the same words always")
    found = json.loads(run(narrow, wide, "--json").stdout)
    assert next(d for d in found["differences"] if d["metric"] == "rouge1_distance")["verdict"] == "lost"


def test_what_cannot_be_read_is_named(folder):
    (folder / "bad.jsonl").write_text('{"prompt": "p", "response": "a"}\n{"prompt": "p"}\n')
    assert "line 2" in run(folder / "bad.jsonl", code=1).stderr
    assert "expected NAME=COLUMN" in run(folder / "bad.jsonl", "--field", "x", code=1).stderr
    assert "no run folders there" in run(folder / "nowhere", code=1).stderr


def partition(*words, code=0):
    done = subprocess.run([sys.executable, "-m", "breadth", "partition", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_a_file_is_labelled(folder):
    path = write(folder / "p.jsonl", lambda p, a, s: ("a red fox runs far", "the blue whale sings deep songs")[a % 2])
    found = json.loads(partition("run", path, "--backend", "rouge1", "--out", folder / "labelled.jsonl", "--json").stdout)
    assert found["prompts"] == 8 and found["classes"] == 16
    labelled = [json.loads(line) for line in (folder / "labelled.jsonl").read_text().splitlines()]
    assert len(labelled) == 48 and {row["kind"] for row in labelled} == {0, 1}
    assert "2.00 a prompt" in partition("run", path).stdout


def test_a_classifier_is_trained_and_evaluated(folder):
    rows = []
    for i in range(60):
        other = f"a red fox number {i} runs over the hill" if i % 2 else f"some blue owl {i * 7} sleeps deeply all tonight"
        rows.append({"prompt": f"p{i}", "generation_0": f"one red fox number {i} ran over a hill", "generation_1": other, "similar": i % 2})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = json.loads(partition("train", folder / "pairs.jsonl", "--out", folder / "model.json", "--json").stdout)
    assert found["record"] and (folder / "model.json").is_file()
    words = ("eval", folder / "pairs.jsonl", "--model", folder / "model.json", "--json")
    assert json.loads(partition(*words).stdout)["auroc"]["value"] > 0.9
    (folder / "pairs.jsonl").write_text("{oops\n")
    assert "line 1: expected a JSON object" in partition("eval", folder / "pairs.jsonl", code=1).stderr
