"""What shaping adds to a step of TRL: 128 completions of 512 tokens, one core, shares of one run.

    OMP_NUM_THREADS=1 python benchmarks/trl_overhead.py [--completions 128] [--tokens 512] [--group 8] [--steps 2] [--out FILE]

Trains a small GPT-2 with ``BreadthGRPOTrainer`` and, in TRL's own trainer, with ``GroupReward``, and takes in the same run the time of the
whole step and of everything that breadth does in it: gathering, telling answers apart (word overlap), shaping, writing the memory. The
model is small, so a step is short and the share is an upper bound of that of a larger one. For objectives whose advantages need
log-probabilities the one forward pass that TRL does not make anyway is timed too, and told apart. Beside the wall clock the
processor's time, which other work on the machine touches less.
``benchmarks/results/trl_overhead.json`` was written so.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from trl import GRPOConfig, GRPOTrainer

import breadth
from breadth.ledger.events import machine_facts
from breadth.plugins.trl import BreadthGRPOConfig, BreadthGRPOTrainer, GroupReward, add_uid
from breadth.plugins.trl.versions import check_trl

WORDS = [f"w{i}" for i in range(500)]
CLOCKS = (time.perf_counter, time.process_time)


class Watch:
    """Adds up the time of calls, by the wall and by the processor."""

    def __init__(self) -> None:
        self.spent = {}

    def around(self, owner: Any, name: str, label: str) -> None:
        """Replace a method of an object by one that is timed."""
        method = getattr(owner, name)

        def timed(*rest: Any, **others: Any) -> Any:
            start = [clock() for clock in CLOCKS]
            try:
                return method(*rest, **others)
            finally:
                spent = self.spent.setdefault(label, [0.0, 0.0])
                for i, clock in enumerate(CLOCKS):
                    spent[i] += clock() - start[i]

        setattr(owner, name, timed)


def model_folder(path: Path, positions: int) -> str:
    """A GPT-2 of two layers with random weights and a word tokenizer."""
    made = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["<pad>", "<unk>", "<eos>", *WORDS])}, unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="<eos>"
    )
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS) + 4,
        n_positions=positions,
        n_embd=128,
        n_layer=2,
        n_head=4,
        eos_token_id=2,
        bos_token_id=2,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


def reward(completions: list[str], **columns: Any) -> list[float]:
    """Return a cheap 0/1 quality."""
    return [float(len(set(text.split())) % 2) for text in completions]


def main() -> None:
    """Print one line per way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("completions", 128), ("tokens", 512), ("group", 8), ("steps", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(Path(scratch) / "model", args.tokens + 8)
        data = add_uid(Dataset.from_dict({"prompt": [f"w{i} w{i + 1}" for i in range(args.completions // args.group)]}))
        small = {
            "output_dir": scratch, "per_device_train_batch_size": 32, "gradient_accumulation_steps": args.completions // 32,
            "num_generations": args.group, "max_completion_length": args.tokens, "max_steps": args.steps, "report_to": "none", "use_cpu": True,
            "bf16": False, "gradient_checkpointing": False, "save_strategy": "no", "disable_tqdm": True,
            "generation_kwargs": {"min_new_tokens": args.tokens}, "logging_steps": 1,
        }  # fmt: skip
        rows = [measured(way, folder, data, small) for way in ("GroupReward", "darling", "qempo", "ucb")]
    for row in rows:
        print(
            f"{row['way']:<12} step {row['step_s'][0]:7.2f} s  breadth {1000 * row['breadth_s'][0]:7.1f} ms  share {row['share'][0]:.3%} (processor "
            f"{row['share'][1]:.3%})  forward {row['forward_s'][0]:.2f} s"
        )
    if args.out is not None:
        about = {
            "trl": check_trl(),
            "machine": machine_facts(),
            "arguments": {k: v for k, v in vars(args).items() if k != "out"},
        }
        args.out.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


def measured(way: str, folder: str, data: Any, small: dict[str, Any]) -> dict[str, Any]:
    """Train one way; ``[wall, processor]`` seconds of a step, of breadth's part of it, and of the extra forward pass."""
    watch, partition = Watch(), breadth.partition("rouge1")
    if way == "GroupReward":
        shaped = GroupReward(reward, shaping="darling", partition=partition)
        watch.around(shaped, "_shape", "breadth")
        trainer = GRPOTrainer(folder, shaped, GRPOConfig(scale_rewards="none", **small), train_dataset=data)
    else:
        config = BreadthGRPOConfig(objective=way, **small)
        trainer = BreadthGRPOTrainer(
            folder, reward, config, train_dataset=data, partition=partition, key=lambda texts, prompts: list(texts)
        )
        watch.around(trainer, "_streams", "streams")
        watch.around(trainer, "_forward", "forward")
        shape, observe = trainer.objective.shape, trainer.objective.observe
        holder = type("Holder", (), {"shape": staticmethod(shape), "observe": staticmethod(observe)})()
        for name in ("shape", "observe"):
            watch.around(holder, name, "shape")
            object.__setattr__(trainer.objective, name, getattr(holder, name))
    watch.around(trainer, "training_step", "step")
    trainer.train()
    steps = small["max_steps"]

    def seconds(*labels: str) -> list[float]:
        return [sum(watch.spent.get(label, [0.0, 0.0])[i] for label in labels) / steps for i in range(2)]

    step, forward = seconds("step"), seconds("forward")
    ours = (
        seconds("breadth")
        if way == "GroupReward"
        else [a - b for a, b in zip(seconds("streams", "shape"), forward, strict=True)]
    )
    return {
        "way": way,
        "step_s": step,
        "breadth_s": ours,
        "forward_s": forward,
        "share": [a / b for a, b in zip(ours, step, strict=True)],
    }


if __name__ == "__main__":
    main()
