"""GEM in TRL's SFT trainer: the same number as the loss by itself, micro-batches sum to the batch, cross-entropy is TRL's own."""

from __future__ import annotations

import warnings

import pytest
import torch

pytest.importorskip("trl", reason="TRL is not installed: pip install 'breadth[trl]'")
import transformers
import trl_tiny as tiny
from datasets import Dataset

from breadth import objective
from breadth.plugins.trl import sft_loss

warnings.simplefilter("ignore")


def losses(model, out, **others):
    from trl import SFTConfig, SFTTrainer

    data = Dataset.from_dict(
        {"prompt": tiny.prompts(8), "completion": [f" {w}" * (1 + i % 3) for i, w in enumerate(tiny.WORDS[:8])]}
    )
    args = SFTConfig(
        output_dir=str(out), per_device_train_batch_size=4, gradient_accumulation_steps=2, max_steps=2, **tiny.SMALL
    )
    built = transformers.AutoModelForCausalLM.from_pretrained(model, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    trainer = SFTTrainer(built, args=args, train_dataset=data, **others)
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_cross_entropy_is_trls_and_gem_is_gem(tmp_path):
    model = tiny.folder(tmp_path)
    assert losses(model, tmp_path, compute_loss_func=sft_loss("sft")) == pytest.approx(
        losses(model, tmp_path), abs=1e-5
    )
    seen = []

    def watched(outputs, labels, num_items_in_batch=None):
        value = sft_loss("gem", beta=0.6)(outputs, labels, num_items_in_batch)
        seen.append((outputs.logits.detach(), labels, float(value.detach())))
        return value

    losses(model, tmp_path, compute_loss_func=watched)
    total, count = 0.0, 0
    for logits, labels, _ in seen[:2]:
        mask = labels[:, 1:] != -100
        alone = objective("gem", beta=0.6).loss(logits=logits[:, :-1], labels=labels[:, 1:].clamp(min=0), mask=mask)
        total, count = total + float(alone.matrix.sum()), count + int(mask.sum())
    assert sum(value for *_, value in seen[:2]) == pytest.approx(total / count, abs=1e-6)


def test_another_family_is_refused():
    with pytest.raises(ValueError, match="'darling' is of the family 'policy'; losses on logits are gem and sft"):
        sft_loss("darling")
    assert torch.isfinite(sft_loss("gem")(type("O", (), {"logits": torch.zeros(1, 2, 3)}), torch.full((1, 2), -100)))
