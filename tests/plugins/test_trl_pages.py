"""The scripts of docs/trl.md run on a tiny model, and the settings in examples/trl are ones that TRL and breadth know."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import warnings
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
import trl_tiny as tiny
from datasets import Dataset

from breadth.config import RunSettings, build_settings
from breadth.config_checks import cross_checks
from breadth.plugins.trl import BreadthGRPOConfig
from breadth.plugins.trl.from_settings import TABLES

warnings.simplefilter("ignore")
ROOT = Path(__file__).resolve().parents[2]
#: what a small machine wants beside the words of the page
SMALLER = 'report_to="none", use_cpu=True, bf16=False, gradient_checkpointing=False, save_strategy="no", max_steps=1'


def test_the_scripts_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny.folder(tmp_path)
    answers = {"chosen": [f" {w}" for w in tiny.WORDS[:8]], "rejected": [f" {w}" for w in tiny.WORDS[4:12]]}
    names = {
        "dataset": tiny.dataset().remove_columns("uid"),
        "examples": Dataset.from_dict({"prompt": tiny.prompts(8), "completion": answers["chosen"]}),
        "task": tiny.words(),
        "pairs": Dataset.from_dict({"prompt": tiny.prompts(8), **answers}),
    }
    blocks = re.findall(r"```py\n(.*?)```", (ROOT / "docs" / "trl.md").read_text(), re.S)
    assert len(blocks) == 6
    for i, block in enumerate(blocks):
        ours = f'"my-run-{i}", {SMALLER}'
        text = block.replace('"my-run"', ours).replace("Qwen/Qwen2.5-0.5B-Instruct", model)
        text = text.replace("num_generations=8", "num_generations=8, max_completion_length=6")
        text = text.replace("every=10, sets=20, samples_per_set=16", "every=1, sets=2, samples_per_set=4, on_note=str")
        if "callbacks=" in text:  # a page goes on with the arguments of the objective before
            text = f'args = BreadthGRPOConfig("my-run-c", {SMALLER}, objective="qempo", num_generations=8, max_completion_length=6)\n{text}'
        exec(compile(text, f"docs/trl.md, script {i}", "exec"), names)


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "trl").glob("*.toml")), ids=lambda p: p.stem)
def test_examples(path):
    data = tomllib.loads(path.read_text())
    settings = build_settings(RunSettings, data, where=str(path), checks=[cross_checks])
    known = {field.name for field in dataclasses.fields(BreadthGRPOConfig)} | set(TABLES)
    assert set(settings.trl) <= known
    processes = 8 if "eight" in path.stem else 1
    rollouts = settings.train.prompts * settings.train.group_size // processes
    assert rollouts % settings.trl["per_device_train_batch_size"] == 0
