"""The script of the findings: its answers from small made-up comparisons, and its tables from a run on disk."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "gallery" / "findings.py"
SPEC = importlib.util.spec_from_file_location("findings", SCRIPT)
findings = importlib.util.module_from_spec(SPEC)
sys.modules["findings"] = findings
SPEC.loader.exec_module(findings)


def line(verdict, at_verdict="the same"):
    return findings.Line(
        "H", "s", "a", "b", 3, (0.4, 0.9), 0.1, 0.0, 0.2, verdict, 5, "R >= 0.9", 0.1, 0.0, 0.2, at_verdict
    )


@pytest.mark.parametrize(
    ("verdicts", "moves", "expected"),
    [
        (["the same", "the same"], False, "yes"),
        (["the same", "the same"], True, "no"),
        (["the same", "bought"], False, "no"),
        (["cannot tell", "lost"], True, "yes"),
        (["the same", "cannot tell"], True, "cannot tell"),
        ([], True, "cannot tell (no runs)"),
    ],
)
def test_one_difference_is_enough_and_no_difference_needs_all(verdicts, moves, expected):
    assert findings.answer([line(v) for v in verdicts], moves=moves) == expected


def write_run(folder: Path, label: str, seed: int, shift: float) -> None:
    folder.mkdir(parents=True)
    settings = {
        "study": "circle",
        "label": label,
        "seed": seed,
        "objective": {"kind": label},
        "task": {"kind": "circle"},
        "train": {"steps": 90, "prompts": 1, "group_size": 10},
        "measure": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
    }
    (folder / "config.json").write_text(json.dumps(settings))
    rng = np.random.default_rng(seed)
    rows = []
    for step in range(0, 100, 10):
        for metric, value in (
            ("quality", 0.5 + step / 200),
            ("diversity", 0.9 - step / 300 + shift * step / 90),
            ("diversity_valid", 0.9 - step / 300 + shift * step / 90),
            ("policy_entropy", 2 - step / 60),
        ):
            sets = (value + 0.001 * rng.standard_normal(4)).tolist()
            row = {
                "study": "circle",
                "objective": label,
                "seed": seed,
                "step": step,
                "checkpoint": "p" if step == 0 else f"{label}{seed}{step}",
                "metric": metric,
            }
            rows.append(
                {
                    **row,
                    "value": float(np.mean(sets)),
                    "error": 0.0005,
                    "n": 40,
                    "n_unscored": 0,
                    "unit": "",
                    "sets": sets,
                }
            )
    (folder / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_term_that_keeps_range_is_found(tmp_path):
    for label, shift in (("dr_grpo", 0.0), ("rlhf", 0.2), ("qempo", 0.0)):
        for seed in range(3):
            write_run(tmp_path / "circle" / label / f"seed-{seed}", label, seed, shift)
    words = [sys.executable, SCRIPT, "--circle", str(tmp_path / "circle"), "--json", str(tmp_path / "out.json")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["hypotheses"]["H3 terms"]
    assert [(row["method"], row["verdict"]) for row in found] == [("rlhf", "bought"), ("qempo", "the same")]
    assert "H3 terms: moves R–D? yes" in done.stdout and "cannot tell (no runs)" in done.stdout


def test_what_differs_on_lines_is_sorted_by_hypothesis(tmp_path):
    for label, shift in (("dr_grpo", 0.0), ("grpo", 0.0), ("rate_5e-4", 0.2), ("half", 0.0)):
        for seed in range(3):
            write_run(tmp_path / "line" / label / f"seed-{seed}", label, seed, shift)
    words = [sys.executable, SCRIPT, "--line", str(tmp_path / "line"), "--json", str(tmp_path / "out.json")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["hypotheses"]
    verdicts = {name: [(row["method"], row["verdict"]) for row in rows][:1] for name, rows in found.items()}
    assert verdicts == {
        "H1 estimators": [("grpo", "the same")],
        "H1 learning rate": [("rate_5e-4", "bought")],
        "H2 transforms": [("half", "the same")],
        "H3 terms": [],
    }


def test_an_ablation_shows_its_ends_and_its_comparisons(tmp_path):
    for label, shift in (("group_128", 0.0), ("group_32", -0.2)):
        for seed in range(3):
            write_run(tmp_path / "batch" / label / f"seed-{seed}", label, seed, shift)
    (tmp_path / "batch" / "study.json").write_text(json.dumps({"study": {"baseline": "group_128"}}))
    words = [sys.executable, SCRIPT.with_name("ablations.py"), f"batch={tmp_path / 'batch'}", "--json", str(tmp_path / "out.json")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())["batch"]
    assert [(row["label"], row["seeds"], row["steps"]) for row in found["ends"]] == [("group_128", 3, 90), ("group_32", 3, 90)]
    assert found["ends"][0]["quality, prior"] == pytest.approx(0.5, abs=0.01) and found["ends"][0]["quality, end"] == pytest.approx(0.95, abs=0.01)
    assert [(row["method"], row["verdict"]) for row in found["lines"]] == [("group_32", "lost")]
    assert "| group_32 | 3 | 90 |" in done.stdout
    assert subprocess.run([*words[:2], "batch"], capture_output=True, text=True).returncode == 2
