"""One step of reinforcement learning, breadth's engine against TRL's GRPOTrainer: 6.4 M parameters, 128 answers of up to 64 tokens, CPU.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/rl_step.py --row fixed|ended|bf16 [--steps 4] [--threads 1] [--out FILE]

Rows: ``fixed``, every answer has 64 tokens, float32; ``ended``, answers end by chance after 45 tokens on average (the end token is one of 86
about equally likely ones); ``bf16``, as ``fixed`` in bfloat16. Both sides start from one folder of GPT-2 weights, take 16 prompts of one token
with 8 answers each, GRPO without a reference, one optimiser step, and the same reward, which costs nothing. Step by step in turn: a step
of TRL (from its ``on_step_begin`` to its ``on_step_end``), then one of breadth in a process of its own that waits meanwhile. Times by the
wall and by the processor, which other work on the machine touches less.

The floor: products of matrices alone, at the rate measured here at the shapes of the step (see ``floors.py``), by the BLAS that torch calls
and by the faster one of it and oneDNN; those of a step as TRL takes it, with a forward pass in the update, and those that are left where sampling's
activations are kept (``without_forward``). ``benchmarks/results/rl_step_ROW.json`` was written so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from floors import (
    CLOCKS,
    Words,
    attention_operations,
    bytes_of_a_step,
    facts,
    floor_seconds,
    gpt_folder,
    parity,
    products,
    rate_table,
    ratios,
    summary,
    timed,
)

ROWS, TOKENS, GROUP = 128, 64, 8
SIZES = {"layers": 8, "heads": 8, "width": 256}
WORDS = {"fixed": 105, "bf16": 105, "ended": 83}  # and three special tokens
READ_ROWS = 1024  # tokens of one pass through a model of this width


def native(connection: Any, folder: Path, row: str, threads: int) -> None:
    """Take a step whenever asked, and answer with its seconds and the answers' mean length."""
    from breadth.catalogue import objective
    from breadth.config import RunSettings, build_settings
    from breadth.engine.loop import TrainingRun

    task = Words(WORDS[row], TOKENS, ends=row == "ended")
    data = {
        "task": {"kind": "object:words"}, "objective": {"kind": "grpo"}, "prior": {"path": str(folder)},
        "train": {"steps": 10**6, "prompts": ROWS // GROUP, "group_size": GROUP, "learning_rate": 1e-6},
        "engine": {"threads": threads, "precision": "bf16" if row == "bf16" else "fp32"},
    }  # fmt: skip
    settings = build_settings(RunSettings, data, where="rl_step")
    rows: list[dict[str, Any]] = []
    run = TrainingRun(
        settings, folder.parent / "native", task, objective("grpo"), folder, lambda *_, **__: [], on_step=rows.append
    )
    step = run.begin()
    while connection.recv():
        found = timed(lambda step=step: run._train_step(step))
        step += 1
        connection.send((found, rows[-1]["length"], run.model.n_parameters))


def main() -> None:
    """Print medians, minima, ratios and the share of the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=tuple(WORDS), default="fixed")
    parser.add_argument("--steps", type=int, default=4, help="counted, after one that is not")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        folder = gpt_folder(Path(scratch) / "model", **SIZES, words=WORDS[args.row], positions=TOKENS + 1)
        ours, theirs = spawn.Pipe()
        worker = spawn.Process(target=native, args=(theirs, folder, args.row, args.threads))
        worker.start()
        found = trl_steps(folder, args, ours)
        ours.send(False)
        worker.join()
    length = {side: statistics.mean(found[f"{side}_length"]) for side in ("trl", "breadth")}
    dtype = torch.bfloat16 if args.row == "bf16" else torch.float32
    vocabulary = WORDS[args.row] + 3
    table = rate_table(SIZES["layers"], SIZES["width"], vocabulary, rows=(ROWS, READ_ROWS), dtype=dtype)
    tokens = ROWS * length["breadth"]
    floor = floor_seconds(table, sampled=(ROWS, tokens), read=(READ_ROWS, tokens), passes=3)
    made = floor_seconds(table, sampled=(ROWS, tokens), read=(READ_ROWS, tokens), passes=2)  # the update's forward pass is sampling's
    work = 4 * tokens * sum(2 * a * b * n for a, b, n in products(SIZES["layers"], SIZES["width"], vocabulary))
    seconds = {side: summary(found[side]) for side in ("trl", "breadth")}
    ratio = ratios(found["trl"], found["breadth"])
    best = seconds["breadth"]["processor"]["min"]
    report = {
        "row": args.row, "parameters": found["parameters"], "mean_length": {k: round(v, 2) for k, v in length.items()},
        "operations": {"products": work, "attention": 4 * ROWS * attention_operations(SIZES["layers"], SIZES["width"], length["breadth"])},
        "bytes": bytes_of_a_step(found["parameters"], SIZES["layers"], SIZES["width"], rows=ROWS, length=length["breadth"], passes=3),
        "seconds": seconds, "trl_over_breadth": ratio, "floor_seconds": {k: round(v, 3) for k, v in floor.items()},
        "share_of_floor": {k: round(v / best, 3) for k, v in floor.items()},
        "without_forward": {k: {"seconds": round(v, 3), "share": round(v / best, 3)} for k, v in made.items()},
        "rates_gflops": table, "machine": facts(),
    }  # fmt: skip
    for side in ("trl", "breadth"):
        cells = "  ".join(
            f"{clock} {seconds[side][clock]['median']:6.2f} (min {seconds[side][clock]['min']:.2f})" for clock in CLOCKS
        )
        print(f"{side:<8} {cells} s  mean length {length[side]:.1f}")
    print(f"ratio {ratio}\nfloor {report['floor_seconds']} s, share {report['share_of_floor']}, {work / 1e9:.0f} GFLOP")
    if args.out is not None:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def trl_steps(folder: Path, args: argparse.Namespace, connection: Any) -> dict[str, Any]:
    """Train with TRL and, after each of its steps, let breadth take one; return the seconds of both."""
    import transformers
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    found: dict[str, Any] = {"trl": [], "breadth": [], "trl_length": [], "breadth_length": []}

    class InTurn(transformers.TrainerCallback):
        start: dict[str, float]

        def on_step_begin(self, arguments, state, control, **rest):
            self.start = {name: clock() for name, clock in CLOCKS.items()}

        def on_step_end(self, arguments, state, control, **rest):
            theirs = {name: clock() - self.start[name] for name, clock in CLOCKS.items()}
            connection.send(True)
            ours, length, found["parameters"] = connection.recv()
            if state.global_step > 1:
                found["trl"].append(theirs)
                found["breadth"].append(ours)
                found["breadth_length"].append(length)

        def on_log(self, arguments, state, control, logs=None, **rest):
            if state.global_step > 1 and "completions/mean_length" in (logs or {}):
                found["trl_length"].append(logs["completions/mean_length"])

    config = GRPOConfig(
        output_dir=str(folder.parent / "trl"), per_device_train_batch_size=ROWS, gradient_accumulation_steps=1, num_generations=GROUP,
        max_completion_length=TOKENS, max_steps=args.steps + 1, report_to="none", use_cpu=True, bf16=args.row == "bf16", save_strategy="no",
        gradient_checkpointing=False, disable_tqdm=True, logging_steps=1, learning_rate=1e-6, beta=0.0, temperature=1.0,
        generation_kwargs={} if args.row == "ended" else {"min_new_tokens": TOKENS},
    )  # fmt: skip
    data = Dataset.from_dict({"prompt": [f"w{i}" for i in range(ROWS // GROUP)]})
    reward = lambda completions, **columns: [parity(text) for text in completions]  # noqa: E731
    GRPOTrainer(str(folder), reward, config, train_dataset=data, callbacks=[InTurn()]).train()
    return found


if __name__ == "__main__":
    main()
