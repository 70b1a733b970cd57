"""One step of reinforcement learning on molecules: breadth's GPT against an LSTM of REINVENT4's sizes, one thread, real lengths.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/molecule_step.py --corpus chembl_smiles.csv.gz [--rounds 3] [--out FILE]

Neither REINVENT4 nor ACEGEN is on the package index; ``molecule_peers.py`` runs their own code from checkouts. **The LSTM here is a stand-in**:
``torch.nn.LSTM`` of the sizes that REINVENT4's default model and ACEGEN's have (an embedding of 256, three layers of 512, a linear layer onto the
vocabulary; 5.8 M parameters), and the step that both take: sample 128 answers token by token, all rows until the last has ended; the agent's
likelihood and the prior's over the padded batch; the squared difference of REINVENT's loss; backward; Adam. Nothing of what they do around it
(scoring, memories, logs) is counted. It runs in a process of its own, with the C library's own handling of memory: telling that library to keep what
is freed is breadth's doing. What that setting would give the stand-in is measured beside (``lstm_kept``).

Both sides sample at the lengths of 128 molecules of the corpus, drawn anew for each step: random weights end where chance says, so the end
token is put where the molecule ends. breadth: a GPT of 8 layers, 8 heads and width 256 (6.4 M parameters), sampling, the reference's
log-probabilities, the same loss (``reinvent``), backward, AdamW; float32 and bfloat16. ``benchmarks/results/molecule_step.json`` was written so.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from floors import (
    Seconds,
    attention_operations,
    bytes_of_a_step,
    facts,
    floor_seconds,
    products,
    rate_table,
    ratios,
    summary,
    timed,
)
from torch import Tensor, nn

import breadth
from breadth.engine import rollout
from breadth.engine.activations import Activations
from breadth.engine.gpt import GPT, GPTShape
from breadth.engine.machine import keep_freed_memory
from breadth.engine.policy import score_completions
from breadth.engine.rollout import Sampling, sample
from breadth.engine.tokenizer import banned_tokens
from breadth.engine.update import Batch, update
from breadth.tasks.molecules import MoleculesTask

ROWS, SIGMA = 128, 60.0
READ_ROWS = 1024  # tokens of one pass through a model of this width


class Recurrent(nn.Module):
    """An LSTM language model of REINVENT4's sizes."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 256)
        self.lstm = nn.LSTM(256, 512, num_layers=3, batch_first=True)
        self.head = nn.Linear(512, vocabulary)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Return logits (N, T, V) and the state after them."""
        hidden, state = self.lstm(self.embedding(tokens), state)
        return self.head(hidden), state


def recurrent_step(
    agent: Recurrent, prior: Recurrent, optimizer: torch.optim.Optimizer, lengths: Tensor, start: int, end: int
) -> None:
    """Take REINVENT's step: sample, two likelihoods, one update."""
    longest = int(lengths.max())
    tokens = torch.full((ROWS, longest + 1), start)
    with torch.no_grad():
        state = None
        for t in range(longest):
            logits, state = agent(tokens[:, t : t + 1], state)
            drawn = torch.multinomial(logits[:, -1].softmax(-1), 1).squeeze(1)
            tokens[:, t + 1] = torch.where(lengths <= t + 1, end, drawn)
    mask = torch.arange(longest) < lengths[:, None]  # (N, T)

    def likelihood(model: Recurrent) -> Tensor:
        logp = model(tokens[:, :-1])[0].log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
        return (logp * mask).sum(-1)

    own = likelihood(agent)
    with torch.no_grad():
        theirs = likelihood(prior)
    loss = (theirs + SIGMA * torch.rand(ROWS) - own).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def peer(connection: Any, sizes: tuple[int, int, int], threads: int, kept: bool) -> None:
    """Take the LSTM's step whenever lengths come, and answer with its seconds; first say how many parameters it has."""
    torch.set_num_threads(threads)
    if kept:
        keep_freed_memory()
    torch.manual_seed(0)
    vocabulary, start, end = sizes
    agent = Recurrent(vocabulary)
    prior, optimizer = copy.deepcopy(agent).requires_grad_(False), torch.optim.Adam(agent.parameters(), lr=1e-4)
    connection.send(sum(p.numel() for p in agent.parameters()))
    while (lengths := connection.recv()) is not None:
        given = torch.tensor(lengths)
        connection.send(timed(lambda given=given: recurrent_step(agent, prior, optimizer, given, start, end)))


class Native:
    """breadth's step: sampling, the reference, the update."""

    def __init__(self, task: MoleculesTask) -> None:
        self.vocabulary = task.vocabulary()
        shape = GPTShape(len(self.vocabulary), 129, 256, 8, 8)
        self.model, self.reference = GPT(shape, seed=0), GPT(shape, seed=0).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.objective = breadth.objective("reinvent", sigma=SIGMA)
        self.sampling, self.banned = Sampling(128), banned_tokens(self.vocabulary, end_token=True)
        self.generator, self.kept = torch.Generator().manual_seed(0), Activations()

    @property
    def n_parameters(self) -> int:
        """Return the size of the policy."""
        return self.model.n_parameters

    def step(self, lengths: Tensor, *, bf16: bool) -> None:
        """Take a step whose answers have these lengths."""
        precision = torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()
        with precision, ends_at(lengths, self.vocabulary.eos_id):
            rollouts = sample(
                self.model, [""] * ROWS, self.vocabulary, self.sampling, generator=self.generator, keep=self.kept
            )
            logp_ref = score_completions(self.reference, rollouts, banned=self.banned)
            streams = {
                "reward": torch.rand(ROWS),
                "group": rollouts.group,
                "logp_ref": logp_ref,
                "seq_logp_ref": logp_ref.sum(-1),
            }
            batch = Batch(rollouts, None, streams, {"logp_ref": logp_ref})
            found = update(
                self.model,
                self.optimizer,
                self.objective,
                batch,
                torch.arange(ROWS),
                banned=self.banned,
                micro_batch=ROWS,
                clip_norm=1.0,
                kept=self.kept,
            )
        if found.refused is not None:
            raise RuntimeError(found.refused)
        if rollouts.mask.sum(-1).tolist() != lengths.tolist():
            raise RuntimeError("the answers have other lengths than were asked for")


@contextlib.contextmanager
def ends_at(lengths: Tensor, end: int):
    """Let sampled rows end where they are told to: the t-th call draws the t-th token of the rows that are left."""
    plain, live = rollout.draw, {"t": 0, "left": lengths}

    def draw(logp: Tensor, uniform: Tensor) -> Tensor:
        chosen = plain(logp, uniform)
        chosen = torch.where(chosen == end, end + 1, chosen)
        live["t"] += 1
        return torch.where(live["left"] <= live["t"], end, chosen)

    closed = rollout._closed_up

    def closed_up(keep: Tensor, n_keep: int):
        index, holes, movers = closed(keep, n_keep)
        live["left"] = live["left"][index]
        return index, holes, movers

    rollout.draw, rollout._closed_up = draw, closed_up
    try:
        yield
    finally:
        rollout.draw, rollout._closed_up = plain, closed


def floors(length: float, times: dict[str, list[Seconds]], vocabulary: int) -> dict[str, Any]:
    """Return operations and bytes of breadth's step, the seconds of its products at the rates measured now, and the share reached."""
    tokens, out = ROWS * length, {}
    for name, dtype in (("breadth_fp32", torch.float32), ("breadth_bf16", torch.bfloat16)):
        table = rate_table(8, 256, vocabulary, rows=(ROWS, READ_ROWS), dtype=dtype)
        seconds = floor_seconds(table, sampled=(ROWS, tokens), read=(READ_ROWS, tokens), passes=4)  # the reference, and three of the update
        made = floor_seconds(table, sampled=(ROWS, tokens), read=(READ_ROWS, tokens), passes=3)  # the update's forward pass is sampling's
        best = min(t["processor"] for t in times[name])
        out[name] = {
            "seconds": {k: round(v, 3) for k, v in seconds.items()}, "share": {k: round(v / best, 3) for k, v in seconds.items()},
            "without_forward": {k: {"seconds": round(v, 3), "share": round(v / best, 3)} for k, v in made.items()},
        }  # fmt: skip
    work = sum(2 * a * b * n for a, b, n in products(8, 256, vocabulary))
    sizes = {"layers": 8, "width": 256}
    return out | {
        "operations": {"products": 5 * tokens * work, "attention": 5 * ROWS * attention_operations(*sizes.values(), length)},
        "bytes_fp32": bytes_of_a_step(6_362_112, *sizes.values(), rows=ROWS, length=length, passes=4),
    }


def prepared(corpus: str, threads: int) -> tuple[MoleculesTask, Native]:
    """Return task and engine of breadth's side, with threads, memory and seed as every run here has them."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    torch.manual_seed(0)
    task = MoleculesTask(corpus=corpus)
    return task, Native(task)


def main() -> None:
    """Print medians, minima and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, help="a file of SMILES: their lengths and tokens")
    parser.add_argument("--rounds", type=int, default=3, help="counted, after one that is not")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    task, native = prepared(args.corpus, args.threads)
    vocabulary = native.vocabulary
    known = np.array([len(vocabulary.encode(text)) + 1 for text in task.corpus(20_000, seed=0)])  # the end token counts
    draws = np.random.default_rng(0)
    spawn = multiprocessing.get_context("spawn")
    peers, sizes = {}, {}
    for name in ("lstm", "lstm_kept"):
        ours, theirs = spawn.Pipe()
        given = (theirs, (len(vocabulary), vocabulary.bos_id, vocabulary.eos_id), args.threads, name == "lstm_kept")
        spawn.Process(target=peer, args=given, daemon=True).start()
        peers[name], sizes[name] = ours, ours.recv()

    def asked(name: str, lengths: Tensor) -> Seconds:
        peers[name].send(lengths.tolist())
        return peers[name].recv()

    calls = {
        "lstm": lambda lengths: asked("lstm", lengths),
        "breadth_fp32": lambda lengths: timed(lambda: native.step(lengths, bf16=False)),
        "lstm_kept": lambda lengths: asked("lstm_kept", lengths),
        "breadth_bf16": lambda lengths: timed(lambda: native.step(lengths, bf16=True)),
    }
    times: dict[str, list[Seconds]] = {name: [] for name in calls}
    seen = []
    for k in range(args.rounds + 1):
        lengths = torch.from_numpy(draws.choice(known[known <= 128], ROWS)).long()
        for name, call in calls.items():
            found = call(lengths)
            if k:
                times[name].append(found)
        seen += [lengths] if k else []
    for connection in peers.values():
        connection.send(None)
    report = {
        "parameters": {"lstm": sizes["lstm"], "breadth": native.n_parameters},
        "mean_length": round(float(torch.cat(seen).float().mean()), 2), "longest": [int(x.max()) for x in seen],
        "seconds": {name: summary(found) for name, found in times.items()},
        "lstm_over_breadth": {name: ratios(times["lstm"], times[name]) for name in calls if "lstm" not in name},
        "lstm_kept_over_breadth": {name: ratios(times["lstm_kept"], times[name]) for name in calls if "lstm" not in name},
        "floor": floors(float(torch.cat(seen).float().mean()), times, len(vocabulary)), "machine": facts(),
    }  # fmt: skip
    for name, one in report["seconds"].items():
        print(
            f"{name:<14} "
            + "  ".join(f"{clock} {t['median']:.2f} (min {t['min']:.2f})" for clock, t in one.items())
            + " s"
        )
    print(
        f"mean length {report['mean_length']}, longest {report['longest']}, parameters {report['parameters']}\n{report['lstm_over_breadth']}\n"
        f"with memory kept {report['lstm_kept_over_breadth']}\nfloor {report['floor']}"
    )
    if args.out is not None:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
