"""Likelihoods over padded rows: the sum by hand, that the switch is off, and who may have it on."""

from __future__ import annotations

import json

import pytest
import torch

import breadth
from breadth.config import ConfigError, RunSettings, build_settings
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.padded_rows import padded_rows
from breadth.engine.policy import score_completions
from breadth.experiments.assemble import CHECKS
from breadth.records import Rollouts

END, BANNED = 2, [0, 1]


def rollouts():
    tokens = torch.tensor([[3, 4, 2, 0], [5, 2, 0, 0], [3, 3, 3, 2]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    none, ones = torch.zeros(3, 4), torch.ones(3, dtype=torch.int64)
    return Rollouts(
        prompt_tokens=ones[:, None], prompt_mask=ones[:, None].bool(), tokens=tokens, mask=mask, logp_old=none, logp_sampled=none,
        entropy=none, group=ones, prompt_id=ones, text=["ab", "c", "aaa"], prompt=[""] * 3, ended=ones.bool(),
    )  # fmt: skip


def test_the_padding_is_end_tokens_and_each_counts():
    model = GPT(GPTShape(vocab_size=6, n_positions=8, n_embd=8, n_layer=1, n_head=2), seed=1).eval()
    whole = padded_rows(rollouts(), end=END)
    assert whole.tokens.tolist() == [[3, 4, 2, 2], [5, 2, 2, 2], [3, 3, 3, 2]]
    assert whole.mask.all()
    plain = score_completions(model, rollouts(), banned=BANNED)
    padded = score_completions(model, whole, banned=BANNED)
    for row, kept in enumerate(rollouts().mask):
        assert torch.allclose(
            padded[row, kept], plain[row, kept], atol=1e-6
        )  # what stands behind an answer cannot change it
    sequence = torch.tensor([[1, 5, 2, 2, 2]])
    with torch.no_grad():
        logits = model.logits(model(sequence[:, :-1])).float()[0]
    logits[:, BANNED] = -torch.inf
    by_hand = logits.log_softmax(-1).gather(1, sequence[0, 1:, None]).squeeze(1)
    assert torch.allclose(padded[1], by_hand, atol=1e-6)
    assert float(padded[1].sum()) < float(plain[1].sum())
    assert float(padded[2].sum()) == pytest.approx(float(plain[2].sum()))  # the longest answer has no padding


def test_a_run_with_it_learns_otherwise_and_remembers_the_same_answers(tmp_path, own_cache):
    pytest.importorskip("rdkit")
    (tmp_path / "c.smi").write_text("\n".join(f"{'C' * n}{t}" for n in range(1, 9) for t in ("O", "N", "C(=O)O")))
    tables = {
        "model": {"n_layer": 1, "n_head": 2, "n_embd": 16}, "prior": {"steps": 40, "batch_size": 16},
        "measure": {"every": 2, "sets": 2, "samples_per_set": 4},
    }  # fmt: skip

    def run(out, **train):
        task = breadth.task("molecules", corpus=tmp_path / "c.smi", max_tokens=16)
        method = breadth.objective("reinvent", sigma=10.0, replay_size=9, replay_samples=3)
        return breadth.train(
            task=task, objective=method, out=tmp_path / out, train={"steps": 2, "group_size": 8, **train}, **tables
        )

    off, on = run("off"), run("on", padded_likelihood=True)
    first = [run.training()[0] for run in (off, on)]
    assert first[0]["reward"] == first[1]["reward"]
    assert first[0]["loss"] != first[1]["loss"]
    assert first[0]["length"] == first[1]["length"]  # of the answers, not of the rows
    for run_ in (off, on):
        state = json.loads((run_.path / "checkpoints/step-000002/state.json").read_text())["objective"]["replay"][
            "stored"
        ]
        entries = [entry["tokens"] for known in state.values() for entry in known.values()]
        assert entries and all(tokens.count(tokens[-1]) == 1 for tokens in entries)  # one end token, and no padding
    assert off.settings["train"]["padded_likelihood"] is False


def test_only_objectives_on_whole_answers_have_it():
    data = {"task": {"kind": "circle"}, "objective": {"kind": "grpo"}, "train": {"padded_likelihood": True}}
    with pytest.raises(
        ConfigError,
        match="train.padded_likelihood is about likelihoods of whole answers, and 'grpo' learns token by token",
    ):
        build_settings(RunSettings, data, where="x.toml", checks=CHECKS)
    build_settings(RunSettings, data | {"objective": {"kind": "reinvent"}}, where="x.toml", checks=CHECKS)
