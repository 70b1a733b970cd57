"""A checkpoint appears whole or not at all, and what was changed in it afterwards is named."""

import json

import pytest
import torch

from breadth.engine.checkpoint import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    step_folder,
    steps_on_disk,
    verify,
)
from breadth.engine.gpt import GPT, GPTShape
from breadth.tasks.vocabulary import Vocabulary

WORDS = Vocabulary(["0", "1"], pattern=r"\S+", joiner=" ")


def trained(steps=3, seed=0):
    model = GPT(GPTShape(len(WORDS), 8, 16, 1, 2), seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    for i in range(steps):
        tokens = torch.randint(0, 5, (4, 8), generator=torch.Generator().manual_seed(i))
        model.logits(model(tokens)).logsumexp(-1).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def save(root, step, **how):
    model, optimizer = trained(step)
    return save_checkpoint(
        root, step=step, model=model, optimizer=optimizer, tokenizer=WORDS, state={"objective": {}}, **how
    )


def test_training_goes_on_bit_for_bit(tmp_path):
    straight, _ = trained(5)
    save(tmp_path, 3)
    model, optimizer = trained(0, seed=9)
    checkpoint, state = load_checkpoint(step_folder(tmp_path, 3), model, optimizer)
    assert checkpoint.step == 3 and state["step"] == 3
    for i in (3, 4):
        tokens = torch.randint(0, 5, (4, 8), generator=torch.Generator().manual_seed(i))
        model.logits(model(tokens)).logsumexp(-1).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), straight.parameters(), strict=True))


def test_older_checkpoints_keep_weights_only_or_go(tmp_path):
    for step in (1, 2, 3, 4):
        save(tmp_path / "all", step)
        save(tmp_path / "last", step, keep="last")
    assert steps_on_disk(tmp_path / "all") == [1, 2, 3, 4] and steps_on_disk(tmp_path / "last") == [3, 4]
    assert verify(step_folder(tmp_path / "all", 1)).step == 1  # thinned out, and still whole
    with pytest.raises(CheckpointError, match="holds weights only"):
        load_checkpoint(step_folder(tmp_path / "all", 1), *trained(0))


def test_a_flipped_bit_is_named_and_the_previous_checkpoint_offered(tmp_path):
    for step in (1, 2):
        save(tmp_path, step)
    weights = step_folder(tmp_path, 2) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(
        CheckpointError,
        match=r"model.safetensors: SHA-256 is .* the checkpoint is damaged; delete .*step-000002 to go on from step-000001",
    ):
        verify(step_folder(tmp_path, 2))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "config.json"])
def test_a_missing_or_cut_file_is_named(tmp_path, name):
    save(tmp_path, 1)
    path = step_folder(tmp_path, 1) / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=rf"{name}: SHA-256 is .*to start again"):
        verify(step_folder(tmp_path, 1))
    path.unlink()
    with pytest.raises(CheckpointError, match=rf"{name}: missing, the manifest lists it"):
        verify(step_folder(tmp_path, 1))


def test_a_manifest_cannot_point_outside(tmp_path):
    save(tmp_path, 1)
    manifest = step_folder(tmp_path, 1) / "manifest.json"
    data = json.loads(manifest.read_text())
    data["files"]["../../secret"] = "0"
    manifest.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="points outside the checkpoint"):
        verify(step_folder(tmp_path, 1))
    manifest.write_text("{")
    with pytest.raises(CheckpointError, match="not a manifest"):
        verify(step_folder(tmp_path, 1))
    manifest.unlink()
    with pytest.raises(CheckpointError, match="manifest.json: not found"):
        verify(step_folder(tmp_path, 1))
