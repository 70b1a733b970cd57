"""Augmented memory: what a round holds, what the memory forgets, and that a run with it goes on bit for bit."""

from __future__ import annotations

import pytest
import torch

import breadth
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.policy import score_completions
from breadth.engine.respelling import respelled
from breadth.engine.streams import suits
from breadth.records import Rollouts
from breadth.rewards.replay import ReplayMemory
from breadth.tasks.smiles import canonical_smiles, smiles_vocabulary

pytest.importorskip("rdkit")

TEXTS = ["CCO", "CC(=O)Oc1ccccc1C(=O)O", "C((", "CCN"]
MORE = "CC(C)Cc1ccccc1"


def batch(vocabulary):
    rows = [[*vocabulary.encode(text), vocabulary.eos_id] for text in TEXTS]
    width = max(map(len, rows))
    tokens, mask = torch.zeros(len(rows), width, dtype=torch.int64), torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        tokens[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), True
    none, ones = torch.zeros(tokens.shape), torch.ones(len(rows), dtype=torch.int64)
    return Rollouts(
        prompt_tokens=torch.full((len(rows), 1), vocabulary.bos_id), prompt_mask=torch.ones(len(rows), 1, dtype=torch.bool),
        tokens=tokens, mask=mask, logp_old=none, logp_sampled=none, entropy=none, group=ones * 0, prompt_id=ones * 7,
        text=list(TEXTS), prompt=[""] * len(rows), ended=ones.bool(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    vocabulary = smiles_vocabulary([*TEXTS, MORE, "C1CC2CC1C2", "c1ccc(cc1)C(C)=O"])
    model = GPT(GPTShape(vocab_size=len(vocabulary), n_positions=64, n_embd=16, n_layer=1, n_head=2), seed=0)
    return vocabulary, model, breadth.task("molecules", max_tokens=50)


def test_a_round_is_the_batch_and_the_whole_memory_in_other_spellings(parts):
    vocabulary, model, task = parts
    replay = breadth.objective("augmented_memory").replay
    stored = [*vocabulary.encode(MORE), vocabulary.eos_id]
    replay.memory.update([7], [MORE], torch.tensor([True]), reward=torch.tensor([0.9]), tokens=[stored])
    streams = {
        "reward": torch.tensor([0.1, 0.5, 0.0, float("nan")]), "key": task.key(TEXTS),
        "replayed": torch.tensor([False, False, False, True]),
    }  # fmt: skip
    given = {"model": model, "banned": [0, 1], "micro_batch": 2, "max_tokens": 50}
    rollouts, found = respelled(batch(vocabulary), streams, replay, task, vocabulary, **given, seed=3)
    written = [vocabulary.decode(row[keep].tolist()) for row, keep in zip(rollouts.tokens, rollouts.mask, strict=True)]
    assert [canonical_smiles(text) for text in written] == [
        "CCO",
        TEXTS[1],
        None,
        MORE,
    ]  # the replayed one came from the memory alone
    assert written[2] == TEXTS[2] and written[1] != TEXTS[1]
    assert found["reward"].tolist() == pytest.approx([0.1, 0.5, 0.0, 0.9])
    assert found["replayed"].all() and found["parsable"].tolist() == [True, True, False, True]
    expected = score_completions(model, rollouts, banned=[0, 1])
    assert torch.allclose(found["seq_logp"], expected.sum(-1), atol=1e-5)
    assert all(row[keep][-1] == vocabulary.eos_id for row, keep in zip(rollouts.tokens, rollouts.mask, strict=True))
    again, _ = respelled(batch(vocabulary), streams, replay, task, vocabulary, **given, seed=3)
    other, _ = respelled(batch(vocabulary), streams, replay, task, vocabulary, **given, seed=4)
    assert torch.equal(again.tokens, rollouts.tokens)
    assert other.tokens.shape != rollouts.tokens.shape or not torch.equal(other.tokens, rollouts.tokens)


def test_spellings_that_do_not_fit_stand_as_they_were(parts):
    vocabulary, model, task = parts
    streams = {"reward": torch.ones(4), "key": task.key(TEXTS)}
    rollouts, _ = respelled(
        batch(vocabulary),
        streams,
        None,
        task,
        vocabulary,
        model=model,
        banned=[0, 1],
        micro_batch=9,
        max_tokens=3,
        seed=0,
    )
    written = [vocabulary.decode(row[keep].tolist()) for row, keep in zip(rollouts.tokens, rollouts.mask, strict=True)]
    assert written == TEXTS


def test_full_buckets_are_forgotten_and_a_bucket_without_a_label_is_the_key():
    method = breadth.objective("augmented_memory", bucket=2, minscore=0.0)
    rows = {
        "reward": [0.5, 0.6, 0.9, 0.7], "group": [0] * 4, "prompt_id": [7] * 4, "key": ["a", "b", "c", "d"],
        "bucket_key": ["ring", "ring", "chain", None], "tokens": torch.ones(4, 2, dtype=torch.int64),
        "mask": torch.ones(4, 2, dtype=torch.bool),
    }  # fmt: skip
    kept = breadth.objective("augmented_memory", bucket=2, minscore=0.0, purge=False)
    for one in (method, kept):
        one.observe(**rows)
    assert list(method.state_dict()["replay"]["stored"]["7"]) == ["c", "d"]
    assert list(kept.state_dict()["replay"]["stored"]["7"]) == ["c", "d", "b", "a"]
    memory = ReplayMemory(capacity=9)
    memory.update([0, 0], ["a", "b"], torch.tensor([True, True]), reward=torch.tensor([1.0, 2.0]))
    assert memory.purge(0, ["b", "z"]) == 1 and [entry["key"] for entry in memory.entries(0)] == ["a"]


def test_what_the_filter_left_is_what_the_rounds_learn_from():
    method = breadth.objective("augmented_memory", bucket=1, minscore=0.0, bucket_by="key", replay_size=0)
    rows = {"reward": [0.5, 0.5], "group": [0, 0], "prompt_id": [7, 7], "key": ["a", "a"]}
    assert method.shaped_rewards(**rows).tolist() == [0.5, 0.0]
    assert method.shaped_rewards(**rows, replayed=torch.tensor([True, True])).tolist() == [0.5, 0.5]


def test_a_run_goes_on_bit_for_bit_and_rounds_change_it(tmp_path, own_cache):
    (tmp_path / "c.smi").write_text(
        "\n".join(f"{'C' * n}{t}" for n in range(1, 9) for t in ("O", "N", "c1ccccc1", "C(=O)O"))
    )
    tables = {
        "model": {"n_layer": 1, "n_head": 2, "n_embd": 16}, "prior": {"steps": 60, "batch_size": 16},
        "measure": {"every": 2, "sets": 2, "samples_per_set": 4},
    }  # fmt: skip

    def run(out, steps, **numbers):
        task = breadth.task("molecules", corpus=tmp_path / "c.smi", max_tokens=20, randomise=1)
        method = breadth.objective(
            "augmented_memory", bucket_by="key", minscore=0.0, bucket=3, replay_size=6, **numbers
        )
        return breadth.train(
            task=task, objective=method, out=tmp_path / out, train={"steps": steps, "group_size": 8}, **tables
        )

    straight = run("a", 4)
    run("b", 2)
    continued = run("b", 4)
    assert straight.complete
    for name in ("steps.jsonl", "ledger.jsonl", "checkpoints/step-000004/model.safetensors"):
        assert (straight.path / name).read_bytes() == (continued.path / name).read_bytes()
    plain = run("c", 4, rounds=0)
    assert plain.training()[0]["reward"] == straight.training()[0]["reward"]
    assert plain.training()[-1]["reward"] != straight.training()[-1]["reward"]


def test_a_task_with_one_spelling_is_refused():
    method, task = breadth.objective("augmented_memory", bucket_by="key"), breadth.task("circle")
    assert "learns from other spellings, and the task 'circle' knows one of each answer" in suits(method, task)
    assert suits(breadth.objective("augmented_memory", bucket_by="key", rounds=0), task) is None
    with pytest.raises(ValueError, match="rounds: expected an integer >= 0, got -1"):
        breadth.objective("augmented_memory", rounds=-1)
