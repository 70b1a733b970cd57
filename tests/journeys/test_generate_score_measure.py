"""From a model's folder to a page: `breadth generate`, `breadth score`, `breadth measure --report`."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from breadth.commands.app import app
from tests.tiny_models import causal_folder, reward_folder

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("journey")
    causal_folder(found / "model", chat=True, scale=0.6)
    reward_folder(found / "reward", chat=True)
    (found / "prompts.jsonl").write_text(
        "".join(json.dumps({"turns": [f"w{i} w{i + 1}", "w3"]}) + "\n" for i in range(6))
    )
    return found


def breadth(*words, cwd, code=0):
    """Run a command in this process: a new one for each would load torch each time. What an error says is in ``output``."""
    before = os.getcwd()
    os.chdir(cwd)
    try:
        done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    finally:
        os.chdir(before)
    assert (done.exit_code != 0) == bool(code), done.output + repr(done.exception)
    return str(done.exception) if code else done.stdout


def test_from_a_folder_to_a_page(folder):
    draw = ("generate", "model", "--prompts", "prompts.jsonl", "--k", 6, "--max-tokens", 6, "--protocol", "two_turn")
    breadth(*draw, "--out", "plain.jsonl", cwd=folder)
    found = json.loads(
        breadth(*draw, "--out", "cold.jsonl", "--temperature", 0.5, "--min-p", 0.2, "--json", cwd=folder)
    )
    assert found["result"]["n_answers"] == 72 and found["sampling"]["min_p"] == 0.2
    assert "(72 of them from before)" in breadth(*draw, "--out", "plain.jsonl", cwd=folder)
    for name in ("plain", "cold"):
        assert "72 of 72 answers scored" in breadth("score", f"{name}.jsonl", "--reward-model", "reward", cwd=folder)
    done = breadth(
        "measure", "plain.scored.jsonl", "cold.scored.jsonl", "--partition", "rouge1", "--bar", 0, "--report", "page.html",
        "--json", cwd=folder,
    )  # fmt: skip
    found = json.loads(done)
    assert found["report"] == "page.html" and (folder / "page.html").is_file()
    by_name = {one["metric"]: one for one in found["differences"]}
    assert (
        by_name["rouge1_distance"]["verdict"] == "bought" and by_name["rouge1_distance"]["n"] == 12
    )  # first and second turns
    assert by_name["rouge1_distance"]["file"] == "cold.scored.jsonl" and "distinct_above_bar_at_k" in by_name
    page = (folder / "page.html").read_text()
    assert (
        "temperature 0.5, min-p 0.2, chat prompt" in page
        and "cold.scored.jsonl is narrower than plain.scored.jsonl" in page
    )
    assert "protocol two_turn" in breadth("measure", "cold.scored.jsonl", cwd=folder)


def test_what_cannot_be_done_is_said(folder):
    generate = ("generate", "nowhere", "--prompts", "prompts.jsonl", "--out", "x.jsonl")
    assert "nothing is downloaded" in breadth(*generate, cwd=folder, code=1)
    assert "verbalized: expected 0 (off) or at least 2" in breadth(*generate, "--verbalized", 1, cwd=folder, code=1)
    asked = (*generate, "--url", "http://127.0.0.1:9/v1")
    assert "cannot be reached" in breadth(*asked, cwd=folder, code=1)
    assert "expected one of --reward-model FOLDER and --judge URL" in breadth("score", "x.jsonl", cwd=folder, code=1)
    assert "--judge needs --model" in breadth(
        "score", "x.jsonl", "--judge", "http://127.0.0.1:9/v1", cwd=folder, code=1
    )
    measure = ("measure", "prompts.jsonl", "--field", "prompt=turns", "--field", "response=turns")
    assert "--threshold: belongs to a partition" in breadth(*measure, "--threshold", 0.4, cwd=folder, code=1)
    assert "--parser: cannot load 'json:nothing'" in breadth(*measure, "--parser", "json:nothing", cwd=folder, code=1)
