"""One step of reinforcement learning on molecules: REINVENT4's and ACEGEN's own code beside breadth's, one thread, real lengths.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/molecule_peers.py --corpus chembl_smiles.csv.gz --reinvent4 CHECKOUT
        [--acegen CHECKOUT] [--reinvent4-python PYTHON] [--acegen-python PYTHON] [--rounds 5] [--out FILE]

The checkouts are clones of github.com/MolecularAI/REINVENT4 and github.com/Acellera/acegen-open; neither needs to be installed. ``--…-python`` names
the interpreter of an environment with what a peer needs (default: this one; ACEGEN needs torchrl and tensordict, for instance
``pip install torch==2.13.0 torchrl tensordict`` in a virtual environment of its own). ``peer_steps.py`` says which of their modules run and what is
left out. The stand-in of ``molecule_step.py`` and breadth's two steps are taken in the same rounds, in turn.

All sample the same 128 molecules of the corpus in a round; rewards are random numbers; scoring is nobody's cost. Each peer runs in a process of
its own with the C library's own handling of memory; ``reinvent4_kept`` has breadth's setting of that library.

The floor of each is the products of matrices that its model cannot do without: of the tokens that there are, sampled once, read by the reference and
updated on (5 products a matrix and token), at the rates measured now. A product inside a recurrence has 128 rows and no more; the others
may have as many as are read at once. ``done`` counts what a peer's step multiplies, its padding with it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from floors import (
    Seconds,
    attention_operations,
    facts,
    floor_seconds,
    products,
    rate_table,
    rates,
    ratios,
    summary,
    timed,
)
from molecule_step import READ_ROWS, ROWS, Native, prepared
from molecule_step import peer as stand_in

from breadth.engine.machine import KEPT_BYTES

WIDTH, EMBEDDING = 512, 256  # of the LSTMs
NEEDED = {"reinvent4": "reinvent/models/reinvent/models/model.py", "acegen": "acegen/models/lstm.py"}
SOURCES = {
    "reinvent4": "git clone https://github.com/MolecularAI/REINVENT4",
    "acegen": "git clone https://github.com/Acellera/acegen-open",
}


class Peer:
    """A process that takes a peer's steps."""

    def __init__(self, which: str, checkout: Path, python: str, told: dict[str, Any], kept: bool = False) -> None:
        self.which, script = which, Path(__file__).with_name("peer_steps.py")
        settings = {"MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES), "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES)}
        self.process = subprocess.Popen(
            [python, str(script), which, str(checkout)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | (settings if kept else {}),
        )  # fmt: skip
        self.answers: list[dict[str, Any]] = []
        self.about = self._asked(told)

    def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.which}: its process ended with {self.process.wait()}; what it said stands above")
        return json.loads(line)

    def step(self, texts: Sequence[Sequence[str]]) -> Seconds:
        """Take a step that samples these texts; return its seconds."""
        found = self._asked({"texts": texts})
        self.answers.append(found)
        return {clock: sum(part[clock] for part in found["parts"].values()) for clock in ("wall", "processor")}

    def parts(self, rounds: int) -> dict[str, Any]:
        """Return the seconds of each part, least of the counted rounds."""
        kept, out = self.answers[-rounds:], {}
        for name in kept[0]["parts"]:
            out[name] = round(min(found["parts"][name]["processor"] for found in kept), 4)
        if "reading" in kept[0]:
            out["reading, not counted"] = round(min(found["reading"]["processor"] for found in kept), 4)
        return out


def recurrent_floor(vocabulary: int, tokens: float) -> dict[str, float]:
    """Return the seconds of the products of an LSTM's step: sampling and the recurrences at 128 rows, the rest at as many as are read."""
    inputs, inner = [(EMBEDDING, 4 * WIDTH, 1), (WIDTH, 4 * WIDTH, 2), (WIDTH, vocabulary, 1)], [(WIDTH, 4 * WIDTH, 3)]
    free = rates(inputs, rows=(ROWS, READ_ROWS), dtype=torch.float32)
    bound = rates(inner, rows=(ROWS, READ_ROWS), dtype=torch.float32)
    free_seconds = floor_seconds(free, sampled=(ROWS, tokens), read=(READ_ROWS, tokens), passes=4)
    # the recurrence: sampling, two passes forward and one backward at 128 rows; the gradient of its weights at once
    bound_seconds = floor_seconds(bound, sampled=(ROWS, 4 * tokens), read=(READ_ROWS, tokens), passes=1)
    return {rate: free_seconds[rate] + bound_seconds[rate] for rate in free_seconds}


def recurrent_work(vocabulary: int) -> int:
    """Return multiplications and additions of an LSTM's products for a token."""
    return 2 * (EMBEDDING * 4 * WIDTH + 5 * WIDTH * 4 * WIDTH + WIDTH * vocabulary)


def accounts(
    peers: dict[str, Peer],
    native: Native,
    stand_in_parameters: int,
    lengths: Sequence[np.ndarray],
    times: dict[str, list[Seconds]],
) -> dict[str, Any]:
    """Return operations, floors and shares of every step; operations in GFLOP a step, the mean over the rounds."""
    mean, vocabulary = float(np.mean(np.concatenate(lengths))), len(native.vocabulary)
    longest = float(np.mean([one.max() for one in lengths]))
    tokens, out = ROWS * mean, {}
    recurrent = {
        name: (peer.about["tokens"], peer.about["reads_to"], peer.about["parameters"]) for name, peer in peers.items()
    }
    recurrent["lstm"] = (vocabulary, None, stand_in_parameters)
    floor = recurrent_floor(vocabulary, tokens)
    for name, (size, reads_to, parameters) in recurrent.items():
        work = recurrent_work(size)
        done = ROWS * (longest + 4 * (reads_to or longest)) * work
        out[name] = {"parameters": parameters, "needed": 5 * tokens * work, "done": done, "floor": floor}
    work = sum(2 * a * b * n for a, b, n in products(8, 256, vocabulary))
    attention = float(np.mean([sum(attention_operations(8, 256, x) for x in one) for one in lengths]))
    for name, dtype in (("breadth_fp32", torch.float32), ("breadth_bf16", torch.bfloat16)):
        table = rate_table(8, 256, vocabulary, rows=(ROWS, READ_ROWS), dtype=dtype)
        floor = floor_seconds(table, sampled=(ROWS, tokens), read=(READ_ROWS, tokens), passes=4)
        out[name] = {
            "parameters": native.n_parameters,
            "needed": 5 * tokens * work,
            "done": 4 * tokens * work,  # the update's forward pass is sampling's
            "floor": floor,
        }
        out[name]["attention"] = round(5 * attention / 1e9, 1)
    for name, one in out.items():
        best = min(t["processor"] for t in times[name])
        one["per_parameter_and_token"] = round(one["needed"] / one["parameters"] / tokens, 2)
        one["share"] = {rate: round(seconds / best, 3) for rate, seconds in one["floor"].items()}
        one["rate_done"] = round(one["done"] / 1e9 / best, 1)
        one |= {"needed": round(one["needed"] / 1e9, 1), "done": round(one["done"] / 1e9, 1)}
        one["floor"] = {rate: round(seconds, 3) for rate, seconds in one["floor"].items()}
    return out


def checked(which: str, checkout: Path | None) -> Path:
    """Return the checkout; say what is missing where it is none."""
    if checkout is None or not (checkout / NEEDED[which]).is_file():
        given = "none was given" if checkout is None else f"{checkout} has no {NEEDED[which]}"
        raise SystemExit(f"molecule_peers: --{which} expects a checkout ({SOURCES[which]}); {given}")
    return checkout.resolve()


def main() -> None:
    """Print seconds, operations, shares and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="a file of SMILES: the molecules that are sampled")
    parser.add_argument("--reinvent4", type=Path, help="a checkout of REINVENT4")
    parser.add_argument("--acegen", type=Path, help="a checkout of ACEGEN; left out without it")
    parser.add_argument("--reinvent4-python", default=sys.executable)
    parser.add_argument("--acegen-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5, help="counted, after one that is not")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    checkouts = {"reinvent4": checked("reinvent4", args.reinvent4)}
    if args.acegen is not None:
        checkouts["acegen"] = checked("acegen", args.acegen)
    task, native = prepared(args.corpus, args.threads)
    vocabulary = native.vocabulary
    texts = [vocabulary.split(text) for text in task.corpus(20_000, seed=0)]
    texts = [text for text in texts if len(text) < 99]  # ACEGEN ends at 100, the start and the end token with it
    told = {"threads": args.threads, "tokens": vocabulary.tokens}
    pythons = {"reinvent4": args.reinvent4_python, "acegen": args.acegen_python}
    peers = {name: Peer(name, folder, pythons[name], told) for name, folder in checkouts.items()}
    peers["reinvent4_kept"] = Peer("reinvent4", checkouts["reinvent4"], args.reinvent4_python, told, kept=True)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    given = (theirs, (len(vocabulary), vocabulary.bos_id, vocabulary.eos_id), args.threads, False)
    multiprocessing.get_context("spawn").Process(target=stand_in, args=given, daemon=True).start()
    stand_in_parameters = ours.recv()

    def lstm(texts: Sequence[Sequence[str]]) -> Seconds:
        ours.send([len(text) + 1 for text in texts])
        return ours.recv()

    def breadth(texts: Sequence[Sequence[str]], bf16: bool) -> Seconds:
        lengths = torch.tensor([len(text) + 1 for text in texts])  # the end token counts
        return timed(lambda: native.step(lengths, bf16=bf16))

    calls: dict[str, Any] = {name: peer.step for name, peer in peers.items()}
    calls |= {"lstm": lstm, "breadth_fp32": lambda x: breadth(x, False), "breadth_bf16": lambda x: breadth(x, True)}
    times: dict[str, list[Seconds]] = {name: [] for name in calls}
    draws, lengths = np.random.default_rng(0), []
    for k in range(args.rounds + 1):
        chosen = [texts[i] for i in draws.choice(len(texts), ROWS)]
        for name, call in calls.items():
            found = call(chosen)
            times[name] += [found] if k else []
        lengths += [np.array([len(text) + 1 for text in chosen])] if k else []
    ours.send(None)
    kinds = ("breadth_fp32", "breadth_bf16")
    report = {
        "mean_length": round(float(np.mean(np.concatenate(lengths))), 2),
        "longest": [int(one.max()) for one in lengths],
        "seconds": {name: summary(found) for name, found in times.items()},
        "parts": {name: peer.parts(args.rounds) for name, peer in peers.items()},
        "over_breadth": {
            name: {own: ratios(times[name], times[own]) for own in kinds} for name in calls if name not in kinds
        },
        "steps": accounts(peers, native, stand_in_parameters, lengths, times),
        "torch": {name: peer.about["torch"] for name, peer in peers.items()},
        "machine": facts(),
    }
    for name, one in report["steps"].items():
        clock = report["seconds"][name]["processor"]
        print(
            f"{name:<15} {clock['min']:.2f} s least, {clock['median']:.2f} median; {one['parameters'] / 1e6:.2f} M parameters"
        )
        print(
            f"    GFLOP needed {one['needed']}, done {one['done']}; {one['per_parameter_and_token']} a parameter and token"
        )
        print(f"    floor {one['floor']} s, share {one['share']}, GFLOP/s of what is done {one['rate_done']}")
    print(f"mean length {report['mean_length']}, longest {report['longest']}\nparts {report['parts']}")
    for name, own in report["over_breadth"].items():
        print(
            name, {k: {"least": v["processor"]["minima"], "median": v["processor"]["medians"]} for k, v in own.items()}
        )
    if args.out is not None:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
