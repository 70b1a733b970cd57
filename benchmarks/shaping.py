"""How long shaping and loss take beyond the log-prob forward: 1,024 rollouts of 512 tokens, one core.

    MALLOC_TRIM_THRESHOLD_=4000000000 MALLOC_MMAP_THRESHOLD_=4000000000 OMP_NUM_THREADS=1 python benchmarks/shaping.py \\
        [--rollouts 1024] [--tokens 512] [--group 8] [--repeats 20] [--out FILE]

The first two words keep freed memory in the process, as a training run's larger buffers do; without them the C library returns it
after every call, and page faults add up to half of a time (PPO: 35 ms instead of 24).

Prints milliseconds per objective, the median and the minimum of the repeats: ``shape`` (A1 to A3), and ``total`` (shape, the
loss with its statistics, and its gradient to the log-probabilities); beside the clock on the wall the processor's time, which
other work on the machine touches less. ``--out`` keeps every single time as JSON, with the machine's
facts; ``benchmarks/results/shaping.json`` was written so.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from breadth import catalogue, objective
from breadth.ledger.events import machine_facts

FAMILIES = ("policy", "actor_critic", "group")  # pairs, selection and supervised losses have no rollouts to shape


def times_ms(call: Callable[[], object], repeats: int) -> dict[str, list[float]]:
    """Return the times of a call in milliseconds, by the wall and by the processor, after two calls to warm up."""
    call()
    call()
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    found: dict[str, list[float]] = {name: [] for name in clocks}
    for _ in range(repeats):
        start = [clock() for clock in clocks.values()]
        call()
        end = [clock() for clock in clocks.values()]
        for name, a, b in zip(clocks, start, end, strict=True):
            found[name].append(round(1000 * (b - a), 3))
    return found


def main() -> None:
    """Print one line per objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rollouts", 1024), ("tokens", 512), ("group", 8), ("repeats", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, help="JSON file for all times")
    args = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    n, t = args.rollouts, args.tokens
    length = torch.randint(1, t + 1, (n,), generator=generator)
    mask = torch.arange(t) < length[:, None]  # (N, T)
    logp_old = -3 * torch.rand(n, t, generator=generator)  # (N, T)
    reward = torch.randint(0, 2, (n,), generator=generator).float()
    streams = {
        "reward": reward,
        "group": torch.arange(n) // args.group,
        "correct": reward > 0,
        "kind": torch.randint(0, 4, (n,), generator=generator),
        "seq_logp": (logp_old * mask).sum(-1),
        "seq_logp_ref": (logp_old * mask).sum(-1) + torch.randn(n, generator=generator),
        "length": length,
        "prompt_id": torch.arange(n) // args.group,
        "key": [str(number) for number in torch.randint(0, 99, (n,), generator=generator).tolist()],
        "reward_vector": torch.rand(n, 4, generator=generator),
        "prediction_error": torch.rand(n, t, generator=generator),
        "in_top_k": torch.rand(n, t, generator=generator) < 0.7,
        "logp_ref": logp_old,
        "entropy": torch.rand(n, t, generator=generator),
        "log_z": torch.randn(n, generator=generator),
        "value": torch.randn(n, t, generator=generator),
        "seed": 0,
        "mask": mask,
        "distance": torch.rand(n, n, generator=generator),
    }
    logp = (logp_old + 0.1 * torch.randn(n, t, generator=generator)).requires_grad_(True)
    streams["value_old"] = streams["value"]
    print(f"{n} rollouts x {t} tokens, groups of {args.group}, 1 thread, {args.repeats} repeats, milliseconds")
    head = [f"{name:>9} {'min':>7}" for name in ("shape", "total", "cpu")]
    print(f"{'objective':<20}{''.join(head)}")
    rows = {}
    for name in catalogue.entries("objective"):
        if catalogue.lookup("objective", name).family not in FAMILIES:
            continue
        rows[name] = measure(objective(name), logp, logp_old, streams, args.repeats)
        one = rows[name]
        shown = (one["shape"]["wall"], one["total"]["wall"], one["total"]["processor"])
        cells = [f"{statistics.median(times):>9.2f} {min(times):>7.2f}" for times in shown]
        print(f"{name:<20}{''.join(cells)}", flush=True)
    if args.out is not None:
        facts = {**machine_facts(), "threads": 1, "load_average": list(os.getloadavg())}
        sizes = {"rollouts": n, "tokens": t, "group": args.group, "repeats": args.repeats}
        found = {
            name: {what: {clock: summary(times) for clock, times in timed.items()} for what, timed in one.items()}
            for name, one in rows.items()
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(
            json.dumps({"unit": "ms", "sizes": sizes, "machine": facts, "objectives": found}, indent=1) + "\n"
        )


def measure(method, logp, logp_old, streams, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Return the times of shaping, and of shaping, loss and gradient together."""
    given = {} if method.family == "group" else {"advantage": method.advantage(**streams)}
    more = {"value_target": method.targets(**streams)} if method.family == "actor_critic" else {}

    def total():
        method.shape(**streams)
        loss = method.loss(logp=logp, logp_old=logp_old, **streams, **given, **more)  # streams hold the mask
        return torch.autograd.grad(loss.value, logp)

    calls = {"shape": lambda: method.shape(**streams), "total": total}
    return {name: times_ms(call, repeats) for name, call in calls.items()}


def summary(times: list[float]) -> dict[str, float | list[float]]:
    """Return median, minimum and all times."""
    return {"median": round(statistics.median(times), 3), "min": min(times), "times": times}


if __name__ == "__main__":
    main()
