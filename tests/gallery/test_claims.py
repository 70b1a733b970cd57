"""The page of claims: verdicts from differences, lost answers from samples, and every table from a small made-up study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from breadth.experiments.assemble import load_study, prior_key, task_of
from breadth.laws.lift import lift_from_values
from breadth.laws.multiple import correct_lifts
from breadth.ledger.samples import write_samples

GALLERY = Path(__file__).resolve().parents[2] / "docs" / "gallery"
sys.path.insert(0, str(GALLERY))
import claims  # noqa: E402
import claims_answers  # noqa: E402
from claims_picture import picture  # noqa: E402

PROMPT = "1 2 3 4 -> 10 :"
K = (1, 2, 4, 8, 16, 32, 64)
#: how fast pass@k rises, before training and after
RATE = {"prior": 0.1, "dr_grpo": 0.3, "darling": 0.4, "random_reward": 0.1}
ENDS = {"prior": 0.95, "dr_grpo": 0.6, "darling": 0.9, "random_reward": 0.95}


def write_run(root: Path, label: str, seed: int) -> None:
    folder = root / label / f"seed-{seed}"
    folder.mkdir(parents=True)
    settings = {
        "study": "countdown", "label": label, "seed": seed, "objective": {"kind": label}, "task": {"kind": "countdown"},
        "train": {"steps": 10, "prompts": 16, "group_size": 16, "learning_rate": 2e-4},
        "measure": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    rng, rows = np.random.default_rng([seed, len(label)]), []
    for step, name in ((0, "prior"), (10, label)):
        values = {f"pass_at_{k}": ENDS[name] * (1 - (1 - RATE[name]) ** k) for k in K}
        values |= {f"distinct_correct_at_{k}": 3 * values[f"pass_at_{k}"] for k in K}
        values |= {
            "solution_coverage": ENDS[name] / 3,
            "quality": values["pass_at_1"],
            "diversity": 0.9,
            "diversity_valid": 0.5,
        }
        values |= {"diversity_structure": 0.8}
        for metric, value in values.items():
            noise = 0.002 * rng.standard_normal() if step else 0.0
            rows.append(
                {
                    "study": "countdown", "objective": label, "seed": seed, "step": step, "checkpoint": "p" if step == 0 else f"{label}{seed}",
                    "metric": metric, "value": value + noise, "error": 0.01, "n": 64, "n_unscored": 0, "unit": "", "sets": [value, value],
                }
            )  # fmt: skip
        right = ["1+2+3+4", "1*2*3+4"] if step == 0 else ["1+2+3+4"] * 2
        texts = [" ".join(key) for key in right * 2 + ["1+2+3*4"] * 4]
        write_samples(
            folder, step,
            {
                "set": [0] * 8, "index": list(range(8)), "prompt": [PROMPT] * 8, "text": texts, "quality": [1.0] * 4 + [0.0] * 4,
                "parsable": [True] * 8, "valid": [True] * 4 + [False] * 4, "key": [t.replace(" ", "") for t in texts],
                "seq_logp": [-5.0] * 8, "length": [8] * 8,
            },
        )  # fmt: skip
    (folder / "ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    for label in ("dr_grpo", "darling", "random_reward"):
        for seed in range(3):
            write_run(root, label, seed)
    return root


def test_every_line_of_the_studies_learns_from_as_many_answers_of_one_prior():
    rl, pairs = load_study("countdown"), load_study("countdown_pairs")
    assert prior_key(rl, task_of(rl)) == prior_key(pairs, task_of(pairs)) and rl.task == pairs.task
    assert {claim.label for claim in claims.CLAIMS} == set(rl.objectives)
    drawn = set()
    for study in (rl, pairs):
        for label in study.objectives:
            run = study.run_settings(label, 0)
            section = run.sft if run.objective.kind == "sft" else run.preference
            rollouts = run.train.steps * run.train.prompts * run.train.group_size
            drawn.add(section.prompts * section.samples if section else rollouts)
    assert drawn == {38_400}
    grid = [pairs.objectives[f"qempo_pairs_0_{n:03d}"].numbers["inv_lambda"] for n in (10, 6, 4, 2, 1)]
    assert grid == [1e-2, 6e-3, 4e-3, 2e-3, 1e-3]


def lift(a, b):
    return correct_lifts([lift_from_values(a, b)])[0]


HIGHER = lift([0.5, 0.51, 0.49], [0.2, 0.21, 0.2])
SAME = lift([0.5, 0.501, 0.499], [0.5, 0.5, 0.5])
OPEN = lift([0.5, 0.3, 0.6], [0.4, 0.5, 0.4])


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (HIGHER, "higher", True),
        (HIGHER, "lower", False),
        (HIGHER, "not lower", True),
        (HIGHER, "the same", False),
        (SAME, "higher", False),
        (SAME, "not lower", True),
        (SAME, "the same", True),
        (OPEN, "higher", None),
        (OPEN, "not lower", None),
        (None, "higher", None),
    ],
)
def test_a_part_is_shown_contradicted_or_open(found, wanted, expected):
    assert claims.decided(found, wanted) is expected


def test_a_correction_for_many_lines_can_only_open_a_verdict():
    weak = correct_lifts([lift_from_values([0.5, 0.52, 0.56], [0.4, 0.4, 0.4])] * 20)[0]
    assert claims.decided(weak, "higher") is True and claims.decided(weak, "higher", corrected=True) is None


def test_one_contradiction_is_enough_and_holding_needs_all():
    assert claims.verdict_of([True, True]) == "held"
    assert claims.verdict_of([True, None]) == "cannot tell"
    assert claims.verdict_of([None, False]) == "did not hold"


def test_claims_are_decided_from_runs(study):
    runs = claims.complete([study])
    rows = {line.split("`")[1]: line for line in claims.claims_table(runs, claims.families(runs)).splitlines()[2:]}
    assert set(rows) == {"dr_grpo", "darling", "random_reward"}
    assert "**held**" in rows["dr_grpo"] and "pass@64 lower prior: -0.34" in rows["dr_grpo"]
    assert "**held**" in rows["darling"] and "pass@1 higher dr_grpo: +0.1" in rows["darling"]
    assert "**did not hold**" in rows["random_reward"]  # pass@1 stays the same: the control raises nothing
    assert all(claim.label and claim.source and claim.parts for claim in claims.CLAIMS)
    known = set(claims.METRICS)
    assert {part[0] for claim in claims.CLAIMS for part in claim.parts} <= known


def test_two_seeds_give_a_difference_and_no_verdict(study):
    runs = {label: members[:2] for label, members in claims.complete([study]).items()}
    found = claims.differences(runs, "pass_at_64", claims.PRIOR, ["dr_grpo"])["dr_grpo"]
    assert found.value < -0.3 and found.low is None and found.verdict_holm == "cannot tell"


def test_the_prior_and_the_crossing_stand_in_the_table(study):
    runs = claims.complete([study])
    lines = claims.blocks_of(runs, {})["curves"].splitlines()
    assert lines[2].startswith("| the prior | 3 | 0.095") and "from k ≈" in next(
        line for line in lines if "`dr_grpo`" in line
    )
    drawn = picture(claims.pass_curves(runs))
    assert drawn.count("<polyline") == 2 + 2 * 3 and "darling</text>" in drawn


def test_a_right_answer_that_is_given_no_more_is_lost():
    before = {"p": [("a", "a", True)] * 3 + [("b", "b", True)] * 2 + [("c", "c", True)] + [("w", "w", False)] * 4}
    after = {"p": [("a", "a", True)] * 9 + [("w", "w", False)]}
    row = claims_answers.lost_right(before, after)[0]
    assert row["gone"] == ["b"] and row["modes"] == 2 and row["lost_share"] == 0.2  # c was seen once: no mode
    assert row["found_before"] == 3 and row["found_after"] == 1
    assert claims_answers.lost_right(before, before)[0]["gone"] == []  # the twin: nothing lost


def test_lost_answers_and_diversities_are_read_from_samples(study):
    runs = claims.complete([study])
    lost = claims_answers.lost_table(runs)
    assert "| `darling` | 3 of 6 (50%) | 3 of 3 | 0 |" in lost
    assert f"| `darling` | `{PROMPT}` |" in lost and "`1*2*3+4` 25%" in lost
    table = claims_answers.diversities(runs).splitlines()
    assert table[2].startswith("| the prior | 0.095") and len(table) == 2 + 1 + 3


def test_the_script_prints_and_writes_and_a_page_without_its_markers_is_refused(study, tmp_path):
    with pytest.raises(ValueError, match="expected one block between <!-- claims --> and <!-- /claims -->, found 0"):
        claims.replaced("nothing", {"claims": "x"})
    assert claims.replaced("a <!-- x --> old <!-- /x --> b", {"x": "new"}) == "a <!-- x -->\nnew\n<!-- /x --> b"
    page = claims.PAGE.read_text(encoding="utf-8")
    assert claims.replaced(
        page, dict.fromkeys(claims.blocks_of(claims.complete([study]), claims.complete([study])), "x")
    )
    done = subprocess.run([sys.executable, GALLERY / "claims.py", "--study", study], capture_output=True, text=True)
    assert done.returncode == 0 and "## claims" in done.stdout, done.stderr
