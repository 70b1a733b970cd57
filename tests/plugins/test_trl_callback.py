"""A training in TRL leaves the run folder that breadth's own commands read; `breadth train --engine trl` does the same from a TOML file."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
import transformers
import trl_tiny as tiny

import breadth
from breadth.ledger.run import load_run
from breadth.ledger.samples import read_samples, samples_path
from breadth.plugins.trl import BreadthCallback, BreadthGRPOConfig, BreadthGRPOTrainer
from breadth.plugins.trl.sampling import Drawing, answers_to, at_rest

warnings.simplefilter("ignore")
BREADTH = str(Path(sys.executable).with_name("breadth"))


def train(model, out, name, seed, *, steps=4, **callback):
    args = BreadthGRPOConfig(
        output_dir=str(out / "trl" / name),
        objective=name,
        max_steps=steps,
        seed=seed,
        **{**tiny.GRPO, "learning_rate": 1e-2},
    )
    told: list[str] = []
    measured = BreadthCallback(
        tiny.words(),
        out / name / f"seed-{seed}",
        every=1,
        sets=3,
        samples_per_set=8,
        keep_samples="all",
        on_note=told.append,
        **callback,
    )
    trainer = BreadthGRPOTrainer(
        model, tiny.odd, args, train_dataset=tiny.dataset(), partition=tiny.by_length, callbacks=[measured]
    )
    trainer.train()
    return trainer, told


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    model = tiny.folder(out)
    told = [train(model, out, name, seed, forecast=True)[1] for name in ("dr_grpo", "darling") for seed in (0, 1)]
    return out, model, told


def test_the_ledger_has_quality_diversity_entropies_and_passes_at_every_step(runs):
    run = load_run(runs[0] / "darling" / "seed-0")
    assert run.steps == [0, 1, 2, 3, 4] and run.complete and run.label == "darling"
    wanted = {
        "quality",
        "diversity",
        "diversity_valid",
        "policy_entropy",
        "token_entropy",
        "length",
        "pass_at_1",
        "pass_at_8",
        "distinct_correct_at_8",
    }
    assert wanted <= set(run.metrics)
    row = run.at(2)["quality"]
    samples = read_samples(samples_path(run.path, 2))
    assert row["value"] == pytest.approx(np.mean([s["quality"] for s in samples])) and row["n"] == len(samples) == 24
    assert run.at(2)["policy_entropy"]["value"] == pytest.approx(
        np.mean([-s["seq_logp"] / s["length"] for s in samples])
    )
    assert [r["step"] for r in run.training()] == [1, 2, 3, 4] and "token_entropy" in run.training()[0]


def test_a_run_is_named_after_the_same_prior_as_in_breadths_own_loop(runs):
    from breadth.engine.checkpoint import file_hash

    out, folder, _ = runs
    assert load_run(out / "dr_grpo" / "seed-0").prior_hash == file_hash(Path(folder) / "model.safetensors")[:16]


def test_log_probabilities_and_entropies_of_answers_by_hand(runs):
    folder = runs[1]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    made, generate = [], model.generate
    model.generate = lambda *rest, **others: made.append(generate(*rest, **others)) or made[-1]
    with at_rest(model):
        found = answers_to("w1 w2", 6, model, tokenizer, Drawing(max_tokens=5, per_call=4), seed=3)
        again = answers_to("w1 w2", 6, model, tokenizer, Drawing(max_tokens=5, per_call=4), seed=3)
        assert model.training is False and found == again
    rows = [row for batch in made[:2] for row in batch]
    assert len(rows) == len(found.texts) == 6
    for i, row in enumerate(rows):
        new = row[2:].tolist()
        n = new.index(2) + 1 if 2 in new else len(new)
        ids = row[None, : 2 + n]
        with torch.no_grad():
            logp = torch.log_softmax(model.eval()(ids).logits[0, 1:-1].double(), -1)
        assert found.length[i] == n and found.texts[i] == tokenizer.decode(new[:n], skip_special_tokens=True)
        assert found.seq_logp[i] == pytest.approx(float(logp.gather(-1, ids[0, 2:, None]).sum()), abs=1e-4)
        assert found.entropy[i] == pytest.approx(float(-(logp.exp() * logp).sum()), abs=1e-4)
    with pytest.raises(ValueError, match="prompt '' has no token in this tokenizer"):
        answers_to("", 1, model, tokenizer, Drawing(max_tokens=5), seed=3)


def test_measuring_leaves_the_training_as_it_would_have_been(runs, tmp_path):
    out, model, _ = runs
    args = BreadthGRPOConfig(
        output_dir=str(tmp_path), objective="darling", max_steps=4, seed=0, **{**tiny.GRPO, "learning_rate": 1e-2}
    )
    alone = BreadthGRPOTrainer(model, tiny.odd, args, train_dataset=tiny.dataset(), partition=tiny.by_length)
    alone.train()
    rewards = [row["reward"] for row in alone.state.log_history if "reward" in row]
    assert rewards == [row["reward"] for row in load_run(out / "darling" / "seed-0").training()]


@pytest.mark.nightly
def test_the_commands_read_the_folders(runs):
    out = runs[0]
    folders = [str(out / "dr_grpo"), str(out / "darling")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in (
        ["fit", folders[1]],
        ["compare", *folders],
        ["forecast", folders[1]],
        ["report", *folders, "--out", str(out / "report.html")],
    ):
        done = subprocess.run([BREADTH, *command], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{command}: {done.stderr[-1500:]}"
    assert "darling" in (out / "report.html").read_text()


def test_forecasts_are_told_and_written(runs):
    out, _, told = runs
    rows = [json.loads(line) for line in (out / "darling" / "seed-1" / "forecasts.jsonl").read_text().splitlines()]
    assert [row["at_step"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["live"] for row in rows] == [line for line in told[3] if not line.startswith("warning")]
    assert told[3][0].startswith("step 0: too early for a forecast")


def test_a_floor_of_diversity_stops_the_training_and_a_second_run_is_refused(runs, tmp_path):
    _, model, _ = runs
    trainer, told = train(model, tmp_path, "dr_grpo", 0, steps=3, forecast={"stop_at_diversity": 1.0})
    assert trainer.state.global_step < 3 and "at or below the floor 1" in told[-1]
    assert not (tmp_path / "dr_grpo" / "seed-0" / "done.json").is_file()
    with pytest.raises(ValueError, match="a run lies here already, and this training starts at step 0"):
        train(model, tmp_path, "dr_grpo", 0, steps=3, forecast={"stop_at_diversity": 1.0})
    with pytest.raises(
        ValueError,
        match="a run of other settings lies here .*train.learning_rate|a run of other settings lies here .*forecast",
    ):
        train(model, tmp_path, "dr_grpo", 0, steps=3)


def test_a_trainer_that_is_not_breadths_has_to_say_its_objective(runs, tmp_path):
    from trl import GRPOConfig, GRPOTrainer

    args = GRPOConfig(output_dir=str(tmp_path), max_steps=1, **tiny.GRPO)
    silent = BreadthCallback(tiny.words(), tmp_path / "a", every=1, sets=2, samples_per_set=4)
    with pytest.raises(ValueError, match="which objective is trained here is not known: pass objective="):
        GRPOTrainer(runs[1], tiny.odd, args, train_dataset=tiny.dataset(), callbacks=[silent]).train()
    named = BreadthCallback(
        tiny.words(), tmp_path / "b", objective="grpo", label="stock", every=1, sets=2, samples_per_set=4
    )
    GRPOTrainer(runs[1], tiny.odd, args, train_dataset=tiny.dataset(), callbacks=[named]).train()
    assert load_run(tmp_path / "b").label == "stock" and load_run(tmp_path / "b").steps == [0, 1]


def countdown_folder(path):
    """A Llama of two layers with random weights, and a word tokenizer trained on the task's own texts."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    task = breadth.task("countdown")
    texts = [text for row in task.corpus(500, seed=0) for text in row] + task.prompts(300, seed=1)
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=["<pad>", "<unk>", "<eos>"]))
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
    }
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), **sizes, eos_token_id=2, pad_token_id=0, bos_token_id=None
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)


TOML = """
study = "countdown"
[task]
kind = "countdown"
[objective]
kind = "{objective}"
[prior]
path = "{model}"
[train]
steps = {steps}
prompts = 2
group_size = 4
learning_rate = 1e-3
[measure]
every = 1
sets = 2
samples_per_set = 4
[trl]
{more}
"""


@pytest.fixture(scope="module")
def countdown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("countdown")
    countdown_folder(folder / "model")

    def write(objective="darling", steps=2, more="", model=None):
        path = folder / "run.toml"
        path.write_text(TOML.format(objective=objective, steps=steps, more=more, model=model or folder / "model"))
        return path

    return folder, write


def command(*words):
    return subprocess.run(
        [BREADTH, *map(str, words)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_breadth_train_with_trl_from_a_toml_file(countdown):
    folder, write = countdown
    done = command("train", write(steps=1), "--engine", "trl", "--out", folder / "once", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    run = load_run(folder / "once")
    assert run.steps == [0, 1] and "solution_coverage" in run.metrics and run.settings["objective"]["kind"] == "darling"
    assert json.loads(done.stdout)["step"] == 1, "TRL's own log goes elsewhere"


@pytest.mark.parametrize("objective", ["darling", "dpo"])
def test_pickled_weights_are_not_read_unasked(countdown, objective):
    import torch
    from safetensors.torch import load_file

    folder, write = countdown
    pickled = folder / "pickled"
    if not pickled.is_dir():
        shutil.copytree(folder / "model", pickled)
        torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
        (pickled / "model.safetensors").unlink()
    done = command("train", write(objective=objective, model=pickled), "--engine", "trl", "--out", folder / f"refused-{objective}")
    assert done.returncode != 0 and "safetensors" in done.stderr


@pytest.mark.nightly
def test_breadth_train_with_trl_from_a_toml_file_and_on_after_a_stop(countdown):
    folder, write = countdown
    done = command("train", write(), "--engine", "trl", "--out", folder / "run")
    assert done.returncode == 0, done.stderr[-2000:]
    run = load_run(folder / "run")
    assert (
        run.steps == [0, 1, 2] and "solution_coverage" in run.metrics and run.settings["objective"]["kind"] == "darling"
    )
    assert (folder / "run" / "model" / "model.safetensors").is_file()
    more = command("train", write(steps=3), "--engine", "trl", "--out", folder / "run", "--json")
    assert more.returncode == 0, more.stderr[-2000:]
    again = load_run(folder / "run")
    assert again.steps == [0, 1, 2, 3] and again.rows[: len(run.rows)] == run.rows
    assert [row["step"] for row in again.training()] == [1, 2, 3]
    assert command("report", folder / "run", "--out", folder / "report.html").returncode == 0


@pytest.mark.nightly
def test_a_lora_adapter_and_its_prior(countdown):
    pytest.importorskip("peft", reason="peft is not installed: pip install peft")
    folder, write = countdown
    text = 'per_device_train_batch_size = 4\n[trl.peft]\nr = 2\ntarget_modules = "all-linear"'
    done = command("train", write(objective="rlhf", steps=1, more=text), "--engine", "trl", "--out", folder / "lora")
    assert done.returncode == 0, done.stderr[-2000:]
    kl = load_run(folder / "lora").series("kl_prior")
    assert kl[0]["value"] == pytest.approx(0.0, abs=1e-6) and math.isfinite(kl[1]["value"])


def test_what_trl_cannot_do_is_said_with_all_problems(countdown):
    from typer.testing import CliRunner

    from breadth.commands.app import app

    folder, write = countdown

    def said(*words):
        return " ".join(str(CliRunner().invoke(app, ["train", *map(str, words)]).exception).split())

    for text, settings in {
        "trl.use_vlm: unknown argument of TRL's GRPOConfig; did you mean 'use_vllm'": {"more": "use_vlm = true"},
        "to be a multiple of per_device_train_batch_size × minibatches = 3 × 1": {
            "more": "per_device_train_batch_size = 3"
        },
        "prior.path: /no/such/folder: no such folder": {"model": "/no/such/folder"},
        "'flowrl' does not run in TRL's GRPO trainer": {"objective": "flowrl"},
    }.items():
        assert text in said(write(**settings), "--engine", "trl", "--out", folder / "bad")
    assert "--engine: expected native or trl, got 'verl'" in said(write(), "--engine", "verl")
