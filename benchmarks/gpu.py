"""On a GPU: sampling beside ``generate`` of transformers, and where the seconds of a step of reinforcement learning go.

    PYTHONPATH=src python3 benchmarks/gpu.py --out gpu.json          (begins nothing after 330 s; needs transformers)
    PYTHONPATH=src python3 benchmarks/gpu.py --device cpu --tiny     (the same code with a toy on a CPU, in seconds)

**Sampling.** 128 answers of exactly 64 tokens from a prompt of one token, temperature 1, GPT-2s of the presets' sizes (6.4 M, 21 M, 51 M), float32
(no TF32) and bfloat16, the ways in turn in one run: breadth module by module (``modules``); breadth in steps of fixed shapes, one captured CUDA
graph a token (``graphs``; on a CPU the same steps one launch after the other); ``generate`` with its default cache; ``generate`` with a static cache
and ``torch.compile(mode="reduce-overhead")`` (``compiled``, for the models of ``--compile``: each compiles for up to a minute; on a CPU ``static``,
not compiled). transformers gets its weights in the type it computes in, breadth casts as it does in a run. Before it is timed each way of breadth's
is checked: its log-probabilities against those of the whole model over the same tokens.

**Step.** Sampling (both ways), log-probabilities of a reference, update (GRPO, AdamW) for 21 M and 51 M parameters, 128 to 4,096 answers of
64 tokens, bfloat16: seconds of each, operations (products 2 a weight and token, attention 4·width a pair of positions and layer; each once in
sampling and reference, three times in the update), the share of the rate that a square product of bfloat16 reaches in the same run, peak
memory. The step's seconds are those with ``graphs``.

Seconds by events on the device and by the wall, medians and minima over rounds, the first of which is not counted. ``--out`` is written after
each cell; what would begin after ``--budget`` seconds is left out and named.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import torch
from floors import Words, attention_operations, facts, gpt_folder, products

import breadth
from breadth.engine.gpt import GPT, load_gpt2
from breadth.engine.graph_sampling import GraphSampling, captured, eagerly
from breadth.engine.policy import score_completions
from breadth.engine.rollout import Sampling, sample
from breadth.engine.tokenizer import banned_tokens
from breadth.engine.update import Batch, update

MODELS = {"6.4M": (8, 8, 256), "21M": (12, 12, 384), "51M": (16, 16, 512), "tiny": (2, 2, 32)}  # layers, heads, width
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BOUNDS = {"fp32": 1e-3, "bf16": 0.25}  # nats a token, at the most, between a way of sampling and the whole model
CLOCKS = ("device", "wall")
WORDS = 105
CELLS: dict[str, Any] = {"sampling": ("6.4M", "21M", "51M"), "steps": ("21M", "51M"), "rows": (128, 512, 1024, 4096)}
TOY: dict[str, Any] = {"sampling": ("tiny",), "steps": ("tiny",), "rows": (8, 16)}
Seconds = dict[str, float]


class Bench:
    """One device, one run: models, clocks, what was found."""

    def __init__(self, args: argparse.Namespace, scratch: Path) -> None:
        self.args, self.scratch, self.began = args, scratch, time.perf_counter()
        self.device = torch.device(args.device)
        self.tokens = 8 if args.tiny else 64
        self.capture, self.static = (captured, "compiled") if self.device.type == "cuda" else (eagerly, "static")
        self.vocabulary = Words(WORDS, self.tokens).vocabulary()
        self.report: dict[str, Any] = {
            "machine": facts(), "torch": torch.__version__, "device": self._name(), "float32_matmul": torch.get_float32_matmul_precision(),
            "tokens": self.tokens, "sampling": [], "steps": [], "left_out": [],
        }  # fmt: skip

    def _name(self) -> str:
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    def folder(self, name: str) -> Path:
        layers, heads, width = MODELS[name]
        path = self.scratch / name
        if not path.is_dir():
            gpt_folder(path, layers=layers, heads=heads, width=width, words=WORDS, positions=self.tokens + 1)
        return path

    def precision(self, name: str) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=name == "bf16")

    def timed(self, call: Callable[[], Any]) -> Seconds:
        """Return what a call takes, by events on the device and by the wall; on a CPU both are the wall's."""
        if self.device.type != "cuda":
            start = time.perf_counter()
            call()
            return dict.fromkeys(CLOCKS, time.perf_counter() - start)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start = time.perf_counter()
        first.record()
        call()
        last.record()
        torch.cuda.synchronize()
        return {"device": first.elapsed_time(last) / 1000, "wall": time.perf_counter() - start}

    def late(self, what: str) -> bool:
        """Return whether the budget is spent, and note what is left out for it."""
        late = time.perf_counter() - self.began > self.args.budget
        if late:
            self.report["left_out"].append(f"{what}: the budget of {self.args.budget} s was spent")
            print(self.report["left_out"][-1], flush=True)
        return late

    def save(self) -> None:
        self.report["seconds"] = round(time.perf_counter() - self.began, 1)
        if self.args.out is not None:
            self.args.out.write_text(json.dumps(self.report, indent=1) + "\n")

    def fresh(self) -> None:
        """Let go of what the last cell held, and begin to watch the memory anew."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_mb(self) -> int:
        if self.device.type == "cuda":
            return round(torch.cuda.max_memory_allocated() / 2**20)
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def told(times: Sequence[Seconds]) -> dict[str, Any]:
    """Return median, minimum and all times by each clock, seconds."""
    return {
        clock: {"median": round(statistics.median(t[clock] for t in times), 5), "min": round(min(t[clock] for t in times), 5),
                "times": [round(t[clock], 5) for t in times]}
        for clock in CLOCKS
    }  # fmt: skip


def beside(peer: Sequence[Seconds], ours: Sequence[Seconds]) -> dict[str, dict[str, float]]:
    """Return peer/ours by each clock: of the medians, of the minima, of the median pair."""
    out = {}
    for clock in CLOCKS:
        a, b = [t[clock] for t in peer], [t[clock] for t in ours]
        pairs = statistics.median(x / y for x, y in zip(a, b, strict=True))
        ratios = {"medians": statistics.median(a) / statistics.median(b), "minima": min(a) / min(b), "pairs": pairs}
        out[clock] = {name: round(ratio, 2) for name, ratio in ratios.items()}
    return out


def generating(bench: Bench, folder: Path, precision: str, rows: int, *, static: bool) -> Callable[[], Any]:
    """Return a call of transformers' ``generate`` on the same weights, compiled on a GPU where the cache is static."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=TYPES[precision]).to(bench.device).eval()
    prompt = torch.full((rows, 1), bench.vocabulary.bos_id, device=bench.device)
    how: dict[str, Any] = {"cache_implementation": "static"} if static else {}
    if static and bench.device.type == "cuda":
        how["compile_config"] = transformers.CompileConfig(mode="reduce-overhead", fullgraph=False)

    def call() -> None:
        with torch.no_grad():
            found = model.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=True, top_k=0, max_new_tokens=bench.tokens,
                min_new_tokens=bench.tokens, eos_token_id=bench.vocabulary.eos_id, pad_token_id=bench.vocabulary.pad_id, **how,
            )  # fmt: skip
        assert found.shape == (rows, bench.tokens + 1), found.shape

    return call


def sampler(bench: Bench, model: GPT, rows: int, precision: str, graphs: GraphSampling | None) -> Callable[[], Any]:
    """Return a call that samples with breadth, one way or the other, and gives the rollouts."""
    generator, how = torch.Generator().manual_seed(0), Sampling(bench.tokens, end_token=False)

    def call() -> Any:
        with bench.precision(precision):
            return sample(model, [""] * rows, bench.vocabulary, how, generator=generator, graphs=graphs)

    return call


def sampling_cell(bench: Bench, name: str, precision: str, rows: int) -> dict[str, Any]:
    """Return tokens per second of each way, the ratios, and how far breadth's log-probabilities are from the whole model's."""
    bench.fresh()
    folder = bench.folder(name)
    model = load_gpt2(folder, dropout=0.0).to(bench.device)
    calls = {
        "modules": sampler(bench, model, rows, precision, None),
        "graphs": sampler(bench, model, rows, precision, GraphSampling(bench.capture)),
    }
    errors: dict[str, float] = {}
    banned = banned_tokens(bench.vocabulary, end_token=False)
    for way, call in calls.items():  # the same seed for both
        found = call()
        with bench.precision(precision):
            error = (score_completions(model, found, banned=banned) - found.logp_old).abs().max()
        errors[way] = float(error)
    notes = {}
    if not bench.args.no_peer:
        calls["generate"] = generating(bench, folder, precision, rows, static=False)
        if name in bench.args.compile:
            calls[bench.static] = generating(bench, folder, precision, rows, static=True)
    times: dict[str, list[Seconds]] = {way: [] for way in calls}
    for k in range(bench.args.rounds + 1):
        for way, call in list(calls.items()):
            try:
                taken = bench.timed(call)
            except Exception as error:
                if way != bench.static:
                    raise
                notes[way] = f"{type(error).__name__}: {error}"[:400]  # another tool's compiler; the rest goes on
                del calls[way], times[way]
                continue
            if k:
                times[way].append(taken)
    peers = [way for way in ("generate", bench.static) if way in times]
    row = {
        "model": name, "precision": precision, "rows": rows, "parameters": model.n_parameters, "largest_error": errors,
        "sound": all(error < BOUNDS[precision] for error in errors.values()), "notes": notes,
        "seconds": {way: told(found) for way, found in times.items()},
        "tokens_per_second": {way: round(rows * bench.tokens / statistics.median(t["wall"] for t in found)) for way, found in times.items()},
        "ratio": {f"{peer} over {way}": beside(times[peer], times[way]) for peer in peers for way in ("modules", "graphs")}
        | {"modules over graphs": beside(times["modules"], times["graphs"])},
        "peak_mb": bench.peak_mb(),
    }  # fmt: skip
    ratios = {pair: found["wall"]["medians"] for pair, found in row["ratio"].items()}
    print(
        f"sampling {name} {precision} {rows} rows: tokens/s {row['tokens_per_second']}  ratios {ratios}  errors {errors} {notes}",
        flush=True,
    )
    return row


def peak_rate(bench: Bench, size: int) -> float:
    """Return the highest rate of a square product in bfloat16, in TFLOP/s: random numbers, ten products at a time."""
    a, b = (torch.randn(size, size, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    out = torch.empty_like(a)

    def ten() -> None:
        for _ in range(10):
            torch.mm(a, b, out=out)

    bench.timed(ten)
    return 10 * 2 * size**3 / min(bench.timed(ten)["device"] for _ in range(5)) / 1e12


def operations(name: str, vocabulary: int, rows: int, tokens: int) -> dict[str, float]:
    """Return the operations of each stage of a step, TFLOP: products and attention, once or three times."""
    layers, _, width = MODELS[name]
    weights = sum(n_in * n_out * count for n_in, n_out, count in products(layers, width, vocabulary))
    once = rows * (2 * weights * tokens + attention_operations(layers, width, tokens)) / 1e12
    return {"sampling": once, "reference": once, "update": 3 * once}


def step_cell(bench: Bench, name: str, rows: int, peak: float) -> dict[str, Any]:
    """Return seconds, operations, share of the peak and memory of a step in bfloat16."""
    bench.fresh()
    model, reference = (load_gpt2(bench.folder(name), dropout=0.0).to(bench.device) for _ in range(2))
    reference.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    objective, banned = breadth.objective("grpo"), banned_tokens(bench.vocabulary, end_token=False)
    by_modules = sampler(bench, model, rows, "bf16", None)
    by_graphs = sampler(bench, model, rows, "bf16", GraphSampling(bench.capture))
    group = torch.arange(rows, device=bench.device) // 8
    micro, found = min(rows, bench.args.micro_batch), {}

    def draw() -> None:
        found["rollouts"] = by_graphs()

    def look() -> None:
        with bench.precision("bf16"):
            score_completions(reference, found["rollouts"], banned=banned, micro_batch=micro)

    def learn() -> None:
        advantage = torch.randn(rows, device=bench.device)
        batch = Batch(found["rollouts"], advantage, {"group": group}, {})
        every = torch.arange(rows, device=bench.device)
        with bench.precision("bf16"):
            done = update(model, optimizer, objective, batch, every, banned=banned, micro_batch=micro, clip_norm=1.0)
        if done.refused is not None:
            raise RuntimeError(done.refused)

    stages = {"sampling": draw, "reference": look, "update": learn, "sampling_by_modules": by_modules}
    times: dict[str, list[Seconds]] = {stage: [] for stage in stages}
    for k in range(bench.args.rounds + 1):
        for stage, call in stages.items():
            taken = bench.timed(call)
            if k:
                times[stage].append(taken)
    work = operations(name, len(bench.vocabulary), rows, bench.tokens)
    whole = [
        {clock: sum(times[stage][k][clock] for stage in work) for clock in CLOCKS} for k in range(bench.args.rounds)
    ]
    share = {stage: tera / statistics.median(t["wall"] for t in times[stage]) / peak for stage, tera in work.items()}
    share["step"] = sum(work.values()) / statistics.median(t["wall"] for t in whole) / peak
    row = {
        "model": name, "rows": rows, "parameters": model.n_parameters, "micro_batch": micro,
        "seconds": {stage: told(taken) for stage, taken in times.items()} | {"step": told(whole)},
        "tera_operations": {stage: round(tera, 6) for stage, tera in work.items()} | {"step": round(sum(work.values()), 6)},
        "share_of_peak": {stage: round(part, 5) for stage, part in share.items()}, "peak_mb": bench.peak_mb(),
    }  # fmt: skip
    medians = {stage: taken["wall"]["median"] for stage, taken in row["seconds"].items()}
    print(
        f"step {name} {rows} rows: seconds {medians}  share of peak {row['share_of_peak']}  {row['peak_mb']} MB",
        flush=True,
    )
    return row


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what is asked for, or stop with what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--tiny", action="store_true", help="a toy of 8 tokens: whether the code runs")
    parser.add_argument("--rounds", type=int, default=5, help="counted, after one that is not")
    parser.add_argument("--micro-batch", type=int, default=1024, help="answers of an update's pass, at the most")
    parser.add_argument("--compile", nargs="*", default=["6.4M", "tiny"], help="models that generate is compiled for")
    parser.add_argument("--no-peer", action="store_true", help="without transformers")
    parser.add_argument("--budget", type=float, default=330.0, help="seconds after which no cell begins")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(given)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py: torch sees no CUDA device; --device cpu --tiny tries the code")
    if not args.no_peer:
        try:
            import transformers  # noqa: F401
        except ImportError:
            raise SystemExit("benchmarks/gpu.py: the peer is missing: pip install transformers, or --no-peer") from None
    return args


def main(given: Sequence[str] | None = None) -> None:
    """Print one line a cell, and write the report."""
    args = arguments(given)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as last:
        bench = Bench(args, Path(scratch))
        last.callback(bench.save)
        if not args.no_peer:
            bench.report["transformers"] = version("transformers")
        peak = bench.report["peak_tflops_bf16"] = round(peak_rate(bench, 128 if args.tiny else 8192), 3)
        print(f"{bench.report['device']}: {peak} TFLOP/s in bfloat16", flush=True)
        cells = TOY if args.tiny else CELLS
        for name, precision in product(cells["sampling"], TYPES):
            if not bench.late(f"sampling {name} {precision}"):
                bench.report["sampling"].append(sampling_cell(bench, name, precision, cells["rows"][0]))
                bench.save()
        for name, rows in product(cells["steps"], cells["rows"]):
            if not bench.late(f"step {name} {rows}"):
                bench.report["steps"].append(step_cell(bench, name, rows, peak))
                bench.save()
    if not all(row["sound"] for row in bench.report["sampling"]):
        raise SystemExit(f"benchmarks/gpu.py: log-probabilities beyond {BOUNDS} of the whole model's: largest_error")


if __name__ == "__main__":
    main()
