"""What the speed benchmarks share: small GPTs as folders, a task without a scorer to speak of, and the floor under a step.

The floor is arithmetic alone: the products of matrices that a step cannot do without, each at the shape in which the step makes it, at the
rate measured on this machine in the same minute. Two rates: of the library that ``torch.addmm`` calls, and the faster one of that and oneDNN.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breadth.engine.checkpoint import write_model_folder
from breadth.engine.gpt import GPT, GPTShape
from breadth.ledger.events import machine_facts
from breadth.records import TaskDescription
from breadth.tasks.protocol import Task
from breadth.tasks.vocabulary import Vocabulary

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
Seconds = dict[str, float]  # by clock


class Words(Task):
    """Texts of words; the reward is whether their number is even. It costs nothing beside a step."""

    name = "words"

    def __init__(self, size: int, tokens: int, *, ends: bool = True) -> None:
        self.words, self.tokens, self.ends = [f"w{i}" for i in range(size)], tokens, ends

    def prompts(self, n: int, *, seed: int, split: str = "train") -> list[str]:
        """Return n prompts of one word."""
        return [self.words[(seed + i) % len(self.words)] for i in range(n)]

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return 1 for an even sum of the words' numbers."""
        return np.array([parity(text) for text in texts])

    def describe(self) -> TaskDescription:
        """Say what little there is to say."""
        return TaskDescription(
            name=self.name, summary="texts of words", quality="even sum", parsable="any text", valid="any text", distances={"key": "equality"},
            correct_at=0.5, max_tokens=self.tokens, end_token=self.ends, max_prompt_tokens=1,
        )  # fmt: skip

    def vocabulary(self) -> Vocabulary:
        """Return the words behind the special tokens."""
        return Vocabulary(self.words, pattern=r"\S+", joiner=" ")


def parity(text: str) -> float:
    """Return 1 where the numbers of a text's words add up to an even one."""
    return float(sum(int(word[1:]) for word in text.split() if word[1:].isdigit()) % 2 == 0)


def gpt_folder(path: Path, *, layers: int, heads: int, width: int, words: int, positions: int, seed: int = 0) -> Path:
    """Write a GPT-2 with GPT-2's first weights and a word tokenizer, for breadth and for transformers alike."""
    vocabulary = Words(words, 1).vocabulary()
    write_model_folder(path, GPT(GPTShape(len(vocabulary), positions, width, layers, heads), seed=seed), vocabulary)
    return path


def timed(call: Callable[[], Any]) -> Seconds:
    """Return what one call takes, by each clock."""
    start = {name: clock() for name, clock in CLOCKS.items()}
    call()
    return {name: clock() - start[name] for name, clock in CLOCKS.items()}


def best_of(call: Callable[[], Any], seconds: float = 0.15) -> float:
    """Return the shortest of the calls that fit into some seconds, after one to warm up; seconds of the processor."""
    call()
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(found) < 3:
        found.append(timed(call)["processor"])
    return min(found)


def summary(times: Sequence[Seconds]) -> dict[str, Any]:
    """Return median, minimum and all times of each clock, seconds."""
    return {
        name: {
            "median": round(statistics.median(t[name] for t in times), 4),
            "min": round(min(t[name] for t in times), 4),
            "times": [round(t[name], 4) for t in times],
        }
        for name in CLOCKS
    }


def ratios(peer: Sequence[Seconds], ours: Sequence[Seconds]) -> dict[str, Any]:
    """Return peer/ours: of the medians, of the minima, and of the median pair, by each clock."""
    out = {}
    for name in CLOCKS:
        a, b = [t[name] for t in peer], [t[name] for t in ours]
        out[name] = {
            "medians": round(statistics.median(a) / statistics.median(b), 3),
            "minima": round(min(a) / min(b), 3),
            "pairs": round(statistics.median(x / y for x, y in zip(a, b, strict=False)), 3),
        }
    return out


def products(layers: int, width: int, vocabulary: int) -> list[tuple[int, int, int]]:
    """Return (in, out, how many) of the matrices of a GPT."""
    return [
        (width, 3 * width, layers),
        (width, width, layers),
        (width, 4 * width, layers),
        (4 * width, width, layers),
        (width, vocabulary, 1),
    ]


def rate_table(
    layers: int, width: int, vocabulary: int, *, rows: Sequence[int], dtype: torch.dtype
) -> list[dict[str, Any]]:
    """Return, for each product of a model and each number of rows, GFLOP/s of the plain library and of the faster of it and oneDNN."""
    return rates(products(layers, width, vocabulary), rows=rows, dtype=dtype)


def rates(
    matrices: Sequence[tuple[int, int, int]], *, rows: Sequence[int], dtype: torch.dtype
) -> list[dict[str, Any]]:
    """Return the same for any (in, out, how many)."""
    table = []
    for n_in, n_out, count in matrices:
        for n in rows:
            x, w, b = (torch.randn(*size).to(dtype) for size in ((n, n_in), (n_in, n_out), (n_out,)))
            work = 2 * n * n_in * n_out / 1e9
            with torch.no_grad():
                plain = work / best_of(lambda x=x, w=w, b=b: torch.addmm(b, x, w))
                other = work / best_of(
                    lambda x=x, w=w, b=b: torch.ops.mkldnn._linear_pointwise(x, w.t(), b, "none", [], "")
                )
            table.append(
                {
                    "in": n_in,
                    "out": n_out,
                    "count": count,
                    "rows": n,
                    "blas": round(plain, 1),
                    "best": round(max(plain, other), 1),
                }
            )
    return table


def floor_seconds(
    table: list[dict[str, Any]], *, sampled: tuple[int, float], read: tuple[int, float], passes: int
) -> Seconds:
    """Return the seconds of a step's products at each rate.

    Parameters
    ----------
    sampled : (rows, tokens)
        In how large batches tokens are sampled, and how many in all.
    read : (rows, tokens)
        The same of forward and backward passes.
    passes : int
        Products per matrix and token beside sampling: 1 for each pass without gradient, 3 for one with it.
    """
    out = {}
    for rate in ("blas", "best"):
        total = 0.0
        for (rows, tokens), times in ((sampled, 1), (read, passes)):
            for line in table:
                if line["rows"] == rows:
                    total += times * tokens * line["count"] * 2 * line["in"] * line["out"] / 1e9 / line[rate]
        out[rate] = total
    return out


def attention_operations(layers: int, width: int, length: float) -> float:
    """Return the multiplications and additions of causal attention over one text: 4·width a pair of positions and layer."""
    return layers * 4 * width * length * (length + 1) / 2


def bytes_of_a_step(n_parameters: int, layers: int, width: int, *, rows: int, length: float, passes: int) -> float:
    """Return what a step must move at the least: weights once a sampled token, the cache, activations written and read once."""
    cache = rows * layers * 2 * width * 4 * length * (length + 1) / 2
    activations = rows * length * layers * 17 * width * 4 * 2 * passes / 3
    return n_parameters * 4 * length + cache + activations


def facts() -> dict[str, Any]:
    """Return what a figure depends on: machine, threads, load."""
    return {
        **machine_facts(),
        "threads": torch.get_num_threads(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }
