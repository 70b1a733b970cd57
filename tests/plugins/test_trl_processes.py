"""Two processes under torchrun (gloo): groups that TRL tears apart are shaped as if they were whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
import trl_tiny as tiny

from breadth import objective
from breadth.rewards.diversity import shape_by_diversity

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    model = tiny.folder(folder)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0", "--rdzv-backend", "c10d",
         "--rdzv-endpoint", "localhost:0", str(HERE / "two_processes.py"), str(folder), model],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def shaped_by_hand(uids, texts):
    """DARLING's reward of each row from the whole groups: quality times the share of the others that are of another class."""
    out = []
    for uid, text in zip(uids, texts, strict=True):
        siblings = [other for name, other in zip(uids, texts, strict=True) if name == uid]
        n, same = len(siblings), sum(len(other.split()) == len(text.split()) for other in siblings)
        out.append((len(text.split()) % 2) * max(0.1, (n - same) / (n - 1)))
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("batch", [16, 12, 4])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_group_reward_is_exact_whatever_pieces_the_processes_get(out, batch, mode):
    parts = [json.loads((out / f"reward_{batch}_{rank}.json").read_text())[mode] for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) >= (2 if mode == "train" else 1)
    for calls in zip(*parts, strict=True):
        rows = {name: [value for call in calls for value in call[name]] for name in calls[0]}
        size = rows["uid"].count(rows["uid"][0])
        assert size == {"train": 8, "eval": 4}[mode]
        torn = set(calls[0]["uid"]) & set(calls[1]["uid"])
        assert bool(torn) == (mode == "eval" or batch != 16)  # the case that goes wrong without a gather is among them
        got, text = torch.tensor(rows["reward"], dtype=torch.float64), rows["text"]
        whole = shape_by_diversity(
            torch.tensor(tiny.odd(text), dtype=torch.float64),
            torch.tensor(rows["uid"]),
            kind=torch.tensor(tiny.by_length(text)),
        )
        print(f"batch {batch}, {mode}: error {float((got - whole).abs().max()):.1e}")
        assert torch.equal(got, whole)
        # the piece divides counts in float32
        torch.testing.assert_close(got, shaped_by_hand(rows["uid"], text), rtol=0, atol=1e-7)


def test_fragments_would_give_other_rewards(out):
    """The twin: shaping what one process has is wrong where groups are torn."""
    worst = 0.0
    for batch in (12, 4):
        for rank in range(2):
            for call in json.loads((out / f"reward_{batch}_{rank}.json").read_text())["train"]:
                fragment = shaped_by_hand(call["uid"], call["text"])
                worst = max(worst, float((torch.tensor(call["reward"], dtype=torch.float64) - fragment).abs().max()))
    assert worst > 0.01


def test_advantages_are_those_of_the_whole_batch_and_both_processes_end_with_the_same_weights(out):
    found = [json.loads((out / f"darling_{rank}.json").read_text()) for rank in range(2)]
    assert found[0]["weights"] == found[1]["weights"]
    for step, batch in enumerate(found[0]["batch"]):
        assert batch == found[1]["batch"][step]
        expected = objective("darling").advantage(**{name: torch.tensor(values) for name, values in batch.items()})
        got = torch.tensor([value for part in found for value in part["advantage"][step]])
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


def test_groups_stay_whole_in_every_micro_batch(out):
    for rank in range(2):
        found = json.loads((out / f"gvpo_{rank}.json").read_text())
        assert len(found["groups"]) == 4  # two steps of two micro-batches
        for group in found["groups"]:
            assert len(group) == 8 and len(set(group)) == 1
    assert {
        g for rank in range(2) for row in json.loads((out / f"gvpo_{rank}.json").read_text())["groups"][:2] for g in row
    } == {0, 1, 2, 3}


def test_a_threshold_over_all_tokens_is_one_for_both_processes(out):
    found = [json.loads((out / f"forking_tokens_{rank}.json").read_text()) for rank in range(2)]
    assert found[0]["weights"] == found[1]["weights"]


def test_a_measurement_shared_by_two_processes_is_that_of_one(out, tmp_path):
    from two_processes import measuring

    from breadth.ledger.run import load_run
    from breadth.plugins.trl import BreadthGRPOConfig, BreadthGRPOTrainer

    args = BreadthGRPOConfig(output_dir=str(tmp_path), objective="darling", max_steps=1, **tiny.GRPO)
    BreadthGRPOTrainer(
        str(out / "model"),
        tiny.odd,
        args,
        train_dataset=tiny.dataset(),
        partition=tiny.by_length,
        callbacks=[measuring(tmp_path / "one")],
    ).train()
    one, two = load_run(tmp_path / "one"), load_run(out / "ledger")
    assert two.steps == [0, 1, 2]
    for row in one.rows:
        if row["step"] == 0:
            other = two.at(0)[row["metric"]]
            assert other["value"] == pytest.approx(row["value"], abs=1e-6) and other["checkpoint"] == row["checkpoint"]
