"""How cost grows: a step of reinforcement learning against batch, length and model, and measures of diversity against the number of texts.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/growth.py --axis batch|length|model|metrics [--threads 1] [--out FILE]

One axis at a time from one point: a GPT of 0.8 M parameters, 128 answers of 64 tokens, float32. A step is sampling, the reference's
log-probabilities, GRPO's loss with a reference, backward, AdamW. Each cell is a process of its own, so that its peak of memory is its own; it
takes one step to warm up and then steps for ten seconds (at least one, at most five). Measures get texts of 12 words out of 2,000, classes of a
heavy tail, or fingerprints of 2,048 bits; an axis ends before a cell that would take more than 60 s by the slope so far.

Slopes are of log seconds over log size, by least squares over the last three cells, and over all. Written so:
``benchmarks/results/growth_AXIS.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from floors import best_of, facts, summary, timed

LIMIT = 60.0  # seconds of a cell
MODELS = {
    "0.3M": (4, 4, 80),
    "0.8M": (4, 4, 128),
    "3M": (6, 6, 204),
    "6.4M": (8, 8, 256),
    "20M": (12, 12, 372),
}  # layers, heads, width
AXES: dict[str, list[dict[str, Any]]] = {
    "batch": [{"size": n, "rows": n} for n in (32, 64, 128, 256, 512, 1024)],
    "length": [{"size": n, "tokens": n} for n in (32, 64, 128, 256, 512)],
    "model": [{"size": name, "model": name} for name in MODELS],
}
COUNTS = [10**k for k in range(2, 7)]


def step_cell(*, rows: int = 128, tokens: int = 64, model: str = "0.8M", threads: int = 1) -> dict[str, Any]:
    """Return seconds, peak memory and parameters of a cell, in this process."""
    import torch

    import breadth
    from breadth.engine.activations import Activations
    from breadth.engine.gpt import GPT, GPTShape
    from breadth.engine.machine import keep_freed_memory
    from breadth.engine.policy import score_completions
    from breadth.engine.rollout import Sampling, sample
    from breadth.engine.tokenizer import banned_tokens
    from breadth.engine.update import Batch, update
    from breadth.tasks.vocabulary import Vocabulary

    torch.set_num_threads(threads)
    keep_freed_memory()
    layers, heads, width = MODELS[model]
    vocabulary = Vocabulary([f"w{i}" for i in range(105)], pattern=r"\S+", joiner=" ")
    shape = GPTShape(len(vocabulary), tokens + 1, width, layers, heads)
    policy, reference = GPT(shape, seed=0), GPT(shape, seed=0).requires_grad_(False)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-6, fused=True)
    objective, sampling = breadth.objective("rlhf"), Sampling(tokens, end_token=False)
    banned, generator = banned_tokens(vocabulary, end_token=False), torch.Generator().manual_seed(0)
    kept = Activations()

    def step() -> None:
        group = torch.arange(rows) // 8
        rollouts = sample(policy, [""] * rows, vocabulary, sampling, generator=generator, group=group, keep=kept)
        logp_ref = score_completions(reference, rollouts, banned=banned)
        streams = {
            "reward": torch.rand(rows),
            "group": rollouts.group,
            "logp_ref": logp_ref,
            "seq_logp": rollouts.logp_old.sum(-1),
        }
        streams |= {"seq_logp_ref": logp_ref.sum(-1), "mask": rollouts.mask}
        advantage = objective.advantage(**streams)
        batch = Batch(rollouts, advantage, streams, {"logp_ref": logp_ref})
        known = kept if kept.of(rollouts) else None
        how = {"banned": banned, "micro_batch": 128, "clip_norm": 1.0, "kept": known}
        found = update(policy, optimizer, objective, batch, torch.arange(rows), **how)
        if found.refused is not None:
            raise RuntimeError(found.refused)

    times = [timed(step)]
    while len(times) < 2 or (len(times) < 6 and sum(t["wall"] for t in times) < 10):
        times.append(timed(step))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": summary(times[1:]), "peak_mb": round(peak), "parameters": policy.n_parameters}


def metric_makers() -> dict[str, Callable[[int, np.random.Generator], Callable[[], Any]]]:
    """Return, by name, what makes the texts, classes or fingerprints of a measure and gives the call on them."""
    from breadth import metrics
    from breadth.tasks.fingerprints import mean_tanimoto_distance

    def of_texts(measure: Callable[[list[str]], Any]) -> Callable[[int, np.random.Generator], Callable[[], Any]]:
        def make(n: int, random: np.random.Generator) -> Callable[[], Any]:
            texts = [" ".join(f"w{i}" for i in row) for row in random.zipf(1.3, (n, 12)).clip(max=2000).tolist()]
            return lambda: measure(texts)

        return make

    def classes(n: int, random: np.random.Generator) -> list[int]:
        return random.zipf(1.5, n).clip(max=5000).tolist()

    def distinct_k(n, random):
        kinds = classes(n, random)
        return lambda: metrics.distinct_k(kinds)

    def utility_k(n, random):
        kinds, score = classes(n, random), random.random(n).tolist()
        return lambda: metrics.utility_k(partition=kinds, score=score)

    def effective_number(n, random):
        kinds = classes(n, random)
        return lambda: metrics.effective_number(kinds)

    def pass_at_k(n, random):
        right = random.integers(0, 65, n)
        return lambda: metrics.pass_at_k(np.full(n, 64), right, 8)

    def features(measure):
        def make(n, random):
            vectors = random.standard_normal((n, 64)).astype(np.float32)
            return lambda: measure(vectors)

        return make

    def tanimoto(n, random):
        words = [random.integers(0, 2**63, (n, 32), dtype=np.uint64) for _ in range(5)]  # one bit in 32 is set
        packed = np.bitwise_and.reduce(words)
        return lambda: mean_tanimoto_distance(packed)

    return {
        "distinct_k": distinct_k, "utility_k": utility_k, "effective_number": effective_number, "pass_at_k": pass_at_k,
        "distinct_n": of_texts(metrics.distinct_n), "compression_ratio": of_texts(metrics.compression_ratio),
        "mean_pairwise_cosine": features(metrics.mean_pairwise_cosine), "vendi of 64 features": features(lambda x: metrics.vendi(features=x)),
        "mean_pairwise_jaccard": of_texts(metrics.mean_pairwise_jaccard), "mean_pairwise_rouge1": of_texts(metrics.mean_pairwise_rouge1),
        "self_bleu": of_texts(metrics.self_bleu), "mean_pairwise_tanimoto of 2,048 bits": tanimoto,
    }  # fmt: skip


def metric_cell(name: str, n: int) -> dict[str, Any]:
    """Return the shortest time and the peak memory of one measure, in this process."""
    call = metric_makers()[name](n, np.random.default_rng(0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = best_of(call, 0.3) if n <= 10**4 else timed(call)["processor"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 6), "peak_mb": round(peak), "peak_before_mb": round(before)}


def cell(call: dict[str, Any]) -> dict[str, Any]:
    """Return what a cell finds in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--cell", json.dumps(call)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{call}: {done.stderr[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])


def slope(sizes: list[float], seconds: list[float], last: int | None = None) -> float | None:
    """Return the least-squares slope of log seconds over log size, None below two cells."""
    sizes, seconds = (values if last is None else values[-last:] for values in (sizes, seconds))
    return None if len(sizes) < 2 else round(float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]), 2)


def main() -> None:
    """Print one line per cell and the slopes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axis", choices=(*AXES, "metrics"), default="batch")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.cell is not None:
        call = json.loads(args.cell)
        print(json.dumps(metric_cell(**call) if "name" in call else step_cell(**call)))
        return
    report: dict[str, Any] = {"axis": args.axis, "machine": facts(), "limit_seconds": LIMIT}
    report |= metric_axis() if args.axis == "metrics" else step_axis(args.axis, args.threads)
    if args.out is not None:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def step_axis(axis: str, threads: int) -> dict[str, Any]:
    """Return the cells and slopes of one axis of the step."""
    cells, sizes, seconds = [], [], []
    for spec in AXES[axis]:
        found = cell({key: value for key, value in spec.items() if key != "size"} | {"threads": threads})
        best = found["seconds"]["processor"]["min"]
        cells.append({"size": spec["size"], **found})
        sizes.append(found["parameters"] if axis == "model" else spec["size"])
        seconds.append(best)
        print(
            f"{axis} {spec['size']}: {best:.3f} s, {found['peak_mb']} MB, {found['parameters']} parameters", flush=True
        )
        if best > LIMIT:
            break
    slopes = {"last_three": slope(sizes, seconds, 3), "all": slope(sizes, seconds)}
    print(f"slopes {slopes}")
    return {"cells": cells, "slopes": slopes}


def metric_axis() -> dict[str, Any]:
    """Return the cells and slopes of each measure."""
    out: dict[str, Any] = {}
    for name in metric_makers():
        sizes, seconds, cells = [], [], []
        for n in COUNTS:
            steep = len(sizes) > 1 and (slope(sizes, seconds, 2) or 1.0) > 1.3  # towards 2: pairs of texts
            if sizes and seconds[-1] * (n / sizes[-1]) ** (2.0 if steep else 1.0) > LIMIT:
                break
            found = cell({"name": name, "n": n})
            cells.append({"n": n, **found})
            sizes.append(n)
            seconds.append(max(found["seconds"], 1e-6))
        out[name] = {"cells": cells, "slopes": {"last_three": slope(sizes, seconds, 3), "all": slope(sizes, seconds)}}
        shown = "  ".join(f"{c['n']:.0e}: {c['seconds']:.3g} s {c['peak_mb']} MB" for c in cells)
        print(f"{name}: {shown}  slope {out[name]['slopes']['last_three']}", flush=True)
    return {"measures": out}


if __name__ == "__main__":
    main()
