"""A replay memory that starts with known answers of a file: what is stored, what is left out and why, resuming, refusals."""

from __future__ import annotations

import gzip
import json
import shutil

import pytest

import breadth
from breadth.config import ConfigError, RunSettings, build_settings
from breadth.engine.replay_start import start_memory
from breadth.experiments.assemble import CHECKS

pytest.importorskip("rdkit")

CORPUS = "\n".join(f"{'C' * n}{t}" for n in range(1, 9) for t in ("O", "N", "C(=O)O", "c1ccccc1"))
TABLES = {
    "model": {"n_layer": 1, "n_head": 2, "n_embd": 16}, "prior": {"steps": 20, "batch_size": 16},
    "measure": {"every": 2, "sets": 2, "samples_per_set": 4},
}  # fmt: skip


@pytest.fixture
def task(tmp_path):
    (tmp_path / "c.smi").write_text(CORPUS)
    return breadth.task("molecules", corpus=tmp_path / "c.smi", max_tokens=16)


def started(task, path, **settings):
    objective = breadth.objective("niching", bucket_by="bucket_key", replay_samples=2, **settings)
    found = start_memory(objective.replay, path, task=task, tokenizer=task.vocabulary(), max_tokens=16)
    (entries,) = objective.state_dict()["replay"]["stored"].values()
    return found, entries


def test_the_best_distinct_answers_are_stored_and_the_others_are_counted(task, tmp_path):
    path = tmp_path / "known.smi"
    path.write_text("CCO\nOCC\nCCc1ccccc1\nCCCc1ccccc1\nCCCCc1ccccc1\nC(C\n\nCC[Se]\n" + "C" * 20 + "\n")
    found, entries = started(task, path, replay_per_bucket=2)
    assert found.n == 9 and found.n_stored == len(entries) == 3
    assert found.left_out == {
        "cannot be parsed": 2,  # C(C and the empty line
        "with a token outside the vocabulary": 1,
        "longer than 16 tokens": 1,
        "a repeat, a full bucket or no room": 2,  # ethanol twice; the third alkylbenzene
    }
    score = dict(zip(entries, task.score(list(entries)), strict=True))
    assert {key: pytest.approx(score[key], abs=1e-6) for key in entries} == {k: e["reward"] for k, e in entries.items()}
    assert list(entries) == sorted(entries, key=lambda key: -score[key])
    assert [e.get("bucket") for k, e in entries.items() if "c1" in k] == ["c1ccccc1"] * 2
    assert task.vocabulary().decode(entries["CCO"]["tokens"][:-1]) in ("CCO", "OCC")  # in the spelling of the file
    assert entries["CCO"]["tokens"][-1] == task.vocabulary().eos_id


def test_rewards_are_the_tasks_and_never_the_files(task, tmp_path):
    plain, table = tmp_path / "known.smi", tmp_path / "known.csv.gz"
    plain.write_text("CCO\nCCN\n")
    with gzip.open(table, "wt") as handle:
        handle.write("smiles,score\nCCO,0.99\nCCN,-7\n")
    answers = tmp_path / "known.jsonl"
    answers.write_text("".join(json.dumps({"prompt": "", "response": r, "reward": 5.0}) + "\n" for r in ("CCO", "CCN")))
    assert started(task, plain)[1] == started(task, table)[1] == started(task, answers)[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected answers to learn from, got none of 0 that can be used: it is empty"),
        ("C(C\nxx\n", "got none of 2 that can be used: 2 cannot be parsed"),
    ],
)
def test_a_file_without_anything_to_learn_from(task, tmp_path, text, message):
    path = tmp_path / "known.smi"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        started(task, path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        started(task, tmp_path / "none.smi")


def test_a_task_with_prompts_wants_them(tmp_path):
    path = tmp_path / "known.smi"
    path.write_text("1+2\n")
    objective = breadth.objective("niching", replay_samples=2)
    with pytest.raises(ValueError, match=r"has prompts, so each answer needs its own: give a .jsonl file"):
        start_memory(objective.replay, path, task=breadth.task("countdown"), tokenizer=None, max_tokens=16)


def test_a_run_learns_from_them_at_its_first_step_and_resumes_with_them(task, tmp_path, own_cache):
    path = tmp_path / "known.smi"
    path.write_text("CCO\nCCN\nCCc1ccccc1\n")

    def run(out, steps=4, **train):
        return breadth.train(
            task=task, objective=breadth.objective("niching", replay_samples=2), out=tmp_path / out,
            train={"steps": steps, "group_size": 8, **train}, **TABLES,
        )  # fmt: skip

    whole, without = run("whole", replay_from=str(path)), run("without")
    assert whole.training()[0]["n_replayed"] > 0 == without.training()[0]["n_replayed"]
    (event,) = [
        row
        for row in map(json.loads, (whole.path / "events.jsonl").read_text().splitlines())
        if row["event"] == "memory started"
    ]
    assert (event["n"], event["n_stored"], event["path"]) == (3, 3, str(path)) and len(event["sha256"]) == 64
    run("pieces", steps=2, replay_from=str(path))
    for left in ("done.json", "steps.jsonl", "checkpoints/step-000002"):  # as if it had been killed in its first steps
        gone = tmp_path / "pieces" / left
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    path.write_text("no longer needed\n")
    pieces = run("pieces", steps=4, replay_from=str(path))
    assert pieces.training() == whole.training()


def test_who_has_no_memory_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "known.smi").write_text("CCO\n")
    data = {"task": {"kind": "molecules"}, "train": {"replay_from": str(tmp_path / "known.smi")}}
    with pytest.raises(ConfigError, match="train.replay_from fills a replay memory, and 'darling' has none"):
        build_settings(RunSettings, data | {"objective": {"kind": "darling"}}, where="x.toml", checks=CHECKS)
    build_settings(
        RunSettings,
        data | {"objective": {"kind": "reinvent", "replay_size": 9, "replay_samples": 3}},
        where="x.toml",
        checks=CHECKS,
    )
    control = {"objective": {"kind": "niching"}, "control": {"reward": "random"}}
    with pytest.raises(ConfigError, match="control.reward = 'random' replaces the rewards, and train.replay_from brings true ones"):
        build_settings(RunSettings, data | control, where="x.toml", checks=CHECKS)
    gone = {"task": {"kind": "molecules"}, "train": {"replay_from": "none.smi"}, "objective": {"kind": "niching"}}
    with pytest.raises(ConfigError, match="train.replay_from 'none.smi': there is no such file"):
        build_settings(RunSettings, gone, where="x.toml", checks=CHECKS)
