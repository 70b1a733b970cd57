"""What each fast path of the engine gains: a step with all of them, and with one switched off at a time.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/fast_paths.py [--rounds 3] [--threads 1] [--out FILE]

Three models with 128 answers each: 0.15 M parameters and 12 tokens (the circle), 0.8 M and 48 tokens on average of at most 100 (molecules),
6.4 M and 64 tokens. Seconds of the processor for sampling, the reference's log-probabilities and the update; the ways in turn, the least of the
rounds. Switched off: oneDNN (the BLAS of torch instead); passes of few tokens (the whole batch at once, padded to its longest); blocks of the
cache (one block); activations that sampling keeps (the update makes a forward pass of its own; models narrower than 256 keep none,
but with ``activations at any width``); moving rows
up when others have finished (finished rows stay until all have). Keeping freed memory is compared in processes of their own, since it cannot be
taken back. ``benchmarks/results/fast_paths.json`` was written so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from floors import facts, timed
from molecule_step import ends_at

import breadth
from breadth.engine import activations, kv_cache, policy, rollout
from breadth.engine.activations import Activations
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.machine import keep_freed_memory
from breadth.engine.policy import score_completions
from breadth.engine.rollout import Sampling, sample
from breadth.engine.tokenizer import banned_tokens
from breadth.engine.update import Batch, update
from breadth.tasks.vocabulary import Vocabulary

ROWS = 128
MODELS = {
    "0.15M": (3, 4, 64, 12, None),
    "0.8M": (4, 4, 128, 100, 48.0),
    "6.4M": (8, 8, 256, 64, None),
}  # layers, heads, width, tokens, mean
MORE = ("bf16", "bf16, no activations", "activations at any width", "bf16, activations at any width")  # not switched off
PARTS = ("sampling", "reference", "update")


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Switch a fast path off."""
    owner, attribute, value = {
        "all": (policy, "PASS_NUMBERS", policy.PASS_NUMBERS),
        "bf16": (policy, "PASS_NUMBERS", policy.PASS_NUMBERS),
        "oneDNN": (policy, "PASS_NUMBERS", policy.PASS_NUMBERS),
        "activations": (policy, "PASS_NUMBERS", policy.PASS_NUMBERS),
        "bf16, no activations": (policy, "PASS_NUMBERS", policy.PASS_NUMBERS),
        "activations at any width": (activations, "NARROWEST", 1),
        "bf16, activations at any width": (activations, "NARROWEST", 1),
        "passes": (policy, "PASS_NUMBERS", {}),
        "blocks": (kv_cache, "BLOCK_NUMBERS", 1 << 30),
        "dropped rows": (rollout, "COMPACT_EVERY", 1 << 30),
    }[name]
    kept = getattr(owner, attribute)
    setattr(owner, attribute, value)
    try:
        with (
            torch.backends.mkldnn.flags(enabled=name != "oneDNN"),
            torch.autocast("cpu", torch.bfloat16, enabled=name.startswith("bf16")),
        ):
            yield
    finally:
        setattr(owner, attribute, kept)


class Step:
    """One model and its step."""

    def __init__(self, layers: int, heads: int, width: int, tokens: int, mean: float | None) -> None:
        self.vocabulary = Vocabulary([f"w{i}" for i in range(40)], pattern=r"\S+", joiner=" ")
        shape = GPTShape(len(self.vocabulary), tokens + 1, width, layers, heads)
        self.model, self.reference = GPT(shape, seed=0), GPT(shape, seed=0).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6, fused=True)
        self.objective, self.sampling = breadth.objective("grpo"), Sampling(tokens, end_token=mean is not None)
        self.banned, self.generator = (
            banned_tokens(self.vocabulary, end_token=mean is not None),
            torch.Generator().manual_seed(0),
        )
        drawn = torch.empty(ROWS).normal_(mean or 0.0, 13.0, generator=self.generator)
        self.kept = Activations()
        self.lengths = None if mean is None else drawn.round().clamp(10, tokens).long()

    def __call__(self, way: str) -> list[float]:
        """Take a step and return the seconds of its parts."""
        found: dict[str, Any] = {}
        kept = None if way in ("activations", "bf16, no activations") else self.kept

        def draw() -> None:
            ending = contextlib.nullcontext() if self.lengths is None else ends_at(self.lengths, self.vocabulary.eos_id)
            with ending:
                found["rollouts"] = sample(
                    self.model, [""] * ROWS, self.vocabulary, self.sampling, generator=self.generator, keep=kept
                )

        def look() -> None:
            score_completions(self.reference, found["rollouts"], banned=self.banned)

        def learn() -> None:
            batch = Batch(found["rollouts"], torch.randn(ROWS), {"group": found["rollouts"].group}, {})
            rows = torch.arange(ROWS)
            update(
                self.model,
                self.optimizer,
                self.objective,
                batch,
                rows,
                banned=self.banned,
                micro_batch=ROWS,
                clip_norm=1.0,
                kept=kept if kept is not None and kept.of(found["rollouts"]) else None,
            )

        return [timed(call)["processor"] for call in (draw, look, learn)]


def seconds(name: str, ways: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Return the least seconds of each part by way, the ways in turn."""
    step = Step(*MODELS[name])
    times: dict[str, list[list[float]]] = {way: [] for way in ways}
    for k in range(rounds + 1):
        for way in ways:
            with without(way):
                found = step(way)
            if k:
                times[way].append(found)
    return {
        way: {part: round(min(t[i] for t in found), 4) for i, part in enumerate(PARTS)} for way, found in times.items()
    }


def main() -> None:
    """Print one line per model and way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", choices=tuple(MODELS), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.model is not None:  # a process that leaves the C library as it is
        print(json.dumps(seconds(args.model, ["all"], args.rounds)["all"]))
        return
    report = {}
    command = [sys.executable, __file__, "--rounds", str(args.rounds), "--threads", str(args.threads)]
    freed = {
        name: subprocess.run([*command, "--model", name], capture_output=True, text=True, check=True).stdout
        for name in MODELS
    }
    keep_freed_memory()
    for name in MODELS:
        report[name] = seconds(name, ["all", "oneDNN", "passes", "blocks", "dropped rows", "activations", *MORE], args.rounds)
        report[name]["freed memory"] = json.loads(freed[name].splitlines()[-1])
        for way, parts in report[name].items():
            total, best = sum(parts.values()), sum(report[name]["all"].values())
            label = way if way in ("all", *MORE) else f"without {way}"
            print(f"{name:<6} {label:<22} {total:.3f} s ({total / best:.2f} of all)  {parts}", flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps({"machine": facts(), "seconds": report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
