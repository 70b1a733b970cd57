"""The tables about molecules: every cell from a ledger that was made up, a run that is not finished left out and said."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "gallery" / "molecules.py"


def write_run(folder: Path, label: str, seed: int, shift: float, *, done: bool = True) -> None:
    """Write a run on the published curve (a 0.0109, b 1.023, c 5.024), moved by ``shift`` of D, with a log of its oracle calls."""
    folder.mkdir(parents=True)
    settings = {
        "study": "jnk3", "label": label, "seed": seed, "objective": {"kind": label},
        "task": {"kind": "molecules", "oracle": "jnk3", "correct_at": 0.5},
        "train": {"steps": 200, "prompts": 1, "group_size": 10, "learning_rate": 3e-4},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "prior.json").write_text(json.dumps({"prior": "0" * 64}))
    rng = np.random.default_rng(seed)
    rows = []
    for i, d in enumerate(np.linspace(0.88, 0.3, 21)[: None if done else 9]):
        r = 1.023 - 0.0109 * np.exp(5.024 * d) + rng.normal(0, 0.002)
        values = {"quality": r, "quality_parsable": r, "diversity": d + shift, "diversity_valid": d + shift, "policy_entropy": 0.518 * d - 0.118}
        values |= {"parsable_share": 1.0, "unique_share": 0.5, "hits": 40.0 + seed, "diverse_hits": 4.0, "circles": 3.0, "scaffolds": 7.0}
        for metric, value in values.items():
            rows.append({
                "study": "jnk3", "objective": label, "seed": seed, "step": 10 * i, "metric": metric,
                "checkpoint": f"{label}{seed}{i}" if i else "prior",
                "value": value, "error": 0.001, "n": 100, "n_unscored": 0, "unit": "", "sets": [value] * 10,
            })  # fmt: skip
    (folder / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    calls = [{"key": key, "quality": q} for key, q in (("CCO", 0.2), ("c1ccccc1", 0.9), ("CC(=O)NC", None), ("CCCCCCl", 0.7))]
    (folder / "calls.jsonl").write_text("".join(json.dumps(row) + "\n" for row in calls))


def test_ends_laws_and_differences_of_a_study(tmp_path):
    pytest.importorskip("rdkit")
    for label, shift in (("darling", 0.05), ("reinvent", 0.0)):
        for seed in (0, 1, 2):
            write_run(tmp_path / "study" / "runs" / label / f"seed-{seed}", label, seed, shift)
    write_run(tmp_path / "study" / "runs" / "niching" / "seed-0", "niching", 0, 0.1, done=False)
    (tmp_path / "tilt.json").write_text(json.dumps({"points": [{"quality": 0.5, "diversity": 0.9}, {"quality": 0.9, "diversity": 0.8}]}))
    found = subprocess.run(
        [sys.executable, str(SCRIPT), f"jnk3={tmp_path / 'study'}", "--at", "0.8", "--tilt", f"jnk3={tmp_path / 'tilt.json'}",
         "--json", str(tmp_path / "out.json")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "left out, not finished" in found and "niching" in found.splitlines()[0]
    ends = next(line for line in found.splitlines() if line.startswith("| reinvent | 3 | "))
    assert "| 0.300 (0.300, 0.300, 0.300) |" in ends and "| 41 |" in ends  # D of each seed; hits 40, 41, 42
    assert "distant hits in 4 calls" in found and ends.rstrip(" |").endswith(", 2")  # of three scored molecules two are hits, far apart
    law = next(line for line in found.splitlines() if line.startswith("| reinvent | holds |"))
    assert "| 5.0" in law and "0.518·D -0.118" in law
    assert "| darling | area | +0.05" in found and "tilted corpus: D 0.825 at R 0.8" in found
    kept = json.loads((tmp_path / "out.json").read_text())["jnk3"]
    assert kept["fits"]["reinvent"]["R-D"]["r2"] > 0.99 and kept["tests"]


def test_one_objective_alone_is_compared_with_nothing(tmp_path):
    pytest.importorskip("rdkit")
    write_run(tmp_path / "study" / "runs" / "dr_grpo" / "seed-0", "dr_grpo", 0, 0.0)
    found = subprocess.run([sys.executable, str(SCRIPT), f"x={tmp_path / 'study'}"], capture_output=True, text=True, check=True).stdout
    assert "Nothing to compare." in found and "| dr_grpo | 1 |" in found
