"""Sampling alone, breadth's engine against ``generate`` of transformers with its cache: tokens per second, one model, one machine.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/sampling.py [--rounds 4] [--out FILE]

A GPT-2 of 6.4 M parameters, 128 answers of exactly 64 tokens from a prompt of one token, and the same where answers end by chance after 45
tokens on average and at most 64 (``generate`` goes on with all rows until the last one has ended, so its tokens per second count only the
kept ones, as for breadth); both at temperature 1 without truncation, float32 and bfloat16, and float32 with the 10 likeliest tokens kept.
In turn, by the wall and by the processor. transformers is asked for its default cache; ``generate`` returns tokens alone, breadth also their
log-probabilities and entropies. ``benchmarks/results/sampling.json`` was written so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from floors import CLOCKS, Words, facts, gpt_folder, ratios, summary, timed

from breadth.engine.gpt import load_gpt2
from breadth.engine.rollout import Sampling, sample

ROWS, TOKENS = 128, 64
WAYS = {
    "fixed": {"ends": False, "words": 105},
    "ended": {"ends": True, "words": 83},
    "fixed_top_k": {"ends": False, "words": 105, "top_k": 10},
    "fixed_bf16": {"ends": False, "words": 105, "bf16": True},
}


def measured(folder: Path, way: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Return the seconds of both, in turn, and the tokens that each kept."""
    vocabulary = Words(way["words"], TOKENS).vocabulary()
    ours = load_gpt2(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    theirs.generation_config.bos_token_id = vocabulary.bos_id
    sampling = Sampling(TOKENS, end_token=way["ends"], top_k=way.get("top_k", 0))
    generator = torch.Generator().manual_seed(0)
    prompt = torch.full((ROWS, 1), vocabulary.bos_id)
    precision = (lambda: torch.autocast("cpu", torch.bfloat16)) if way.get("bf16") else contextlib.nullcontext
    kept: dict[str, list[int]] = {"breadth": [], "transformers": []}

    def native() -> None:
        with precision():
            found = sample(ours, [""] * ROWS, vocabulary, sampling, generator=generator)
        kept["breadth"].append(int(found.mask.sum()))

    def generate() -> None:
        with torch.no_grad(), precision():
            found = theirs.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=True, top_k=way.get("top_k", 0), max_new_tokens=TOKENS,
                min_new_tokens=None if way["ends"] else TOKENS, eos_token_id=vocabulary.eos_id, pad_token_id=vocabulary.pad_id,
            )[:, 1:]  # fmt: skip
        ended = (found == vocabulary.eos_id).long().cumsum(-1)
        kept["transformers"].append(int((ended - (found == vocabulary.eos_id).long() == 0).sum()))

    torch.manual_seed(0)
    times: dict[str, list[dict[str, float]]] = {"breadth": [], "transformers": []}
    for k in range(rounds + 1):
        for name, call in (("transformers", generate), ("breadth", native)):
            found = timed(call)
            if k:  # the first round warms up
                times[name].append({clock: found[clock] / kept[name][-1] for clock in CLOCKS})  # seconds a token
    rates = {
        name: {clock: round(1 / min(t[clock] for t in found)) for clock in CLOCKS} for name, found in times.items()
    }
    return {
        "tokens_per_second": rates, "ratio": ratios(times["transformers"], times["breadth"]),
        "seconds_per_1000_tokens": {n: summary([{c: 1000 * t[c] for c in t} for t in found]) for n, found in times.items()},
        "kept_tokens": {name: counts[1:] for name, counts in kept.items()},
    }  # fmt: skip


def main() -> None:
    """Print one line per way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, way in WAYS.items():
            folder = gpt_folder(
                Path(scratch) / name, layers=8, heads=8, width=256, words=way["words"], positions=TOKENS + 1
            )
            rows[name] = measured(folder, way, args.rounds)
            rate, ratio = rows[name]["tokens_per_second"], rows[name]["ratio"]
            print(f"{name:<12} tokens/s {rate}  ratio {ratio}", flush=True)
    if args.out is not None:
        about = {"transformers": transformers.__version__, "machine": facts(), "rows": rows}
        args.out.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
