"""How long shaping and loss take beyond the log-prob forward: 1,024 rollouts of 512 tokens, one core.

    OMP_NUM_THREADS=1 python benchmarks/shaping.py [--rollouts 1024] [--tokens 512] [--group 8] [--repeats 20]

Prints milliseconds (median of the repeats) per objective: ``shape`` (A1 to A3), ``loss`` (matrix, statistics, scalar),
and ``backward`` (to the log-probabilities).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from breadth import catalogue, objective


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call in milliseconds, after one call to warm up."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def main() -> None:
    """Print one line per objective."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rollouts", 1024), ("tokens", 512), ("group", 8), ("repeats", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
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
        "seed": 0,
        "mask": mask,
    }
    logp = (logp_old + 0.1 * torch.randn(n, t, generator=generator)).requires_grad_(True)
    print(f"{n} rollouts x {t} tokens, groups of {args.group}, 1 thread, median of {args.repeats}, milliseconds")
    print(f"{'objective':<20}{'shape':>8}{'loss':>8}{'backward':>10}{'total':>8}")
    for name in catalogue.entries("objective"):
        if catalogue.lookup("objective", name).family not in ("policy", "group"):
            continue  # pairs, selection and supervised losses have no rollouts to shape
        method = objective(name)
        given = {} if method.family == "group" else {"advantage": method.advantage(**streams)}

        def forward(method=method, given=given):
            return method.loss(logp=logp, logp_old=logp_old, **streams, **given)  # streams hold the mask

        shape = median_ms(lambda method=method: method.shape(**streams), args.repeats)
        loss = median_ms(forward, args.repeats)
        both = median_ms(lambda forward=forward: torch.autograd.grad(forward().value, logp), args.repeats)
        print(f"{name:<20}{shape:>8.2f}{loss:>8.2f}{both - loss:>10.2f}{shape + both:>8.2f}")


if __name__ == "__main__":
    main()
