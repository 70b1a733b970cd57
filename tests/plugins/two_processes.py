"""Run by torchrun: trains with two processes and writes what each one saw; see test_trl_processes.py."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import torch
import trl_tiny as tiny

warnings.simplefilter("ignore")
torch.set_num_threads(1)


def watched(reward, seen):
    def call(prompts, completions, uid, **columns):
        values = reward(prompts=prompts, completions=completions, uid=uid, **columns)
        seen.append({"uid": list(uid), "text": list(completions), "reward": list(values)})
        return values

    return call


def group_reward(out, model, batch, rank):
    """TRL's own trainer, our reward: train with G = 8, evaluate with G = 4."""
    from trl import GRPOConfig, GRPOTrainer

    from breadth.plugins.trl import GroupReward

    seen: list = []
    reward = watched(GroupReward(tiny.odd, shaping=["darling"], partition=tiny.by_length), seen)
    settings = {
        **tiny.GRPO,
        "per_device_train_batch_size": batch,
        "num_generations": 8,
        "max_steps": 2,
        "scale_rewards": "none",
    }
    args = GRPOConfig(
        output_dir=str(out / "trl"),
        num_generations_eval=4,
        per_device_eval_batch_size=2,
        ddp_find_unused_parameters=False,
        **settings,
    )
    trainer = GRPOTrainer(model, reward, args, train_dataset=tiny.dataset(), eval_dataset=tiny.dataset(4))
    trainer.train()
    n_train = len(seen)
    trainer.evaluate()
    (out / f"reward_{batch}_{rank}.json").write_text(json.dumps({"train": seen[:n_train], "eval": seen[n_train:]}))


def measuring(folder):
    """A callback with five prompts, which two processes cannot share evenly."""
    from breadth.plugins.trl import BreadthCallback

    return BreadthCallback(tiny.words(), folder, every=1, sets=5, samples_per_set=6)


def objectives(out, model, rank):
    """Our trainer: the loss of every micro-batch, its rows, and the streams of the whole batch."""
    from breadth.plugins.trl import BreadthGRPOConfig, BreadthGRPOTrainer
    from breadth.plugins.trl.grpo import OWN

    for name, batch in (("darling", 4), ("gvpo", 8), ("forking_tokens", 4)):
        found: dict = {"advantage": [], "groups": [], "batch": []}

        class Watched(BreadthGRPOTrainer):
            def _generate_and_score_completions(self, inputs, found=found):
                output = super()._generate_and_score_completions(inputs)
                found["advantage"].append(output["advantages"].tolist())
                found["rows"] = [row["uid"] for row in inputs]
                return output

            def _streams(self, output, training, found=found):
                streams, mine = super()._streams(output, training)
                found["batch"].append({k: streams[k].tolist() for k in ("reward", "group", "kind") if k in streams})
                return streams, mine

            def _own_loss(self, model, inputs, found=found):
                found["groups"].append(inputs[OWN + "group"].tolist())
                return super()._own_loss(model, inputs)

        args = BreadthGRPOConfig(
            output_dir=str(out / name), objective=name, ddp_find_unused_parameters=False, max_steps=2, gradient_accumulation_steps=2,
            **{**tiny.GRPO, "per_device_train_batch_size": batch, "num_generations": 8},
        )  # fmt: skip
        measured = [measuring(out / "ledger")] if name == "darling" else None
        trainer = Watched(
            model, tiny.odd, args, train_dataset=tiny.dataset(), partition=tiny.by_length, callbacks=measured
        )
        trainer.train()
        weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
        found["weights"] = [float(weights.sum()), float(weights.square().sum())]
        (out / f"{name}_{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    folder, model = Path(sys.argv[1]), sys.argv[2]
    import os

    number = int(os.environ["RANK"])
    for size in (16, 12, 4):
        group_reward(folder, model, size, number)
    objectives(folder, model, number)
