"""How often the frontier test says "bought" or "lost" where there is nothing, and how often it finds what there is.

    OMP_NUM_THREADS=1 python benchmarks/frontier_size.py [--repeats 1000] [--seeds 3 5 10] [--gains 0 0.02 0.05 0.1] [--out FILE]

Simulated runs: 26 checkpoints of 10 sample sets; R rises from 0.4 towards 0.98 at a pace of its own, D follows the law 1.023 −
0.0109·exp(5.024·D) and a smooth deviation of each run (standard deviation ``--spread``, a part of it shared by the two runs of a
seed), every set has noise of 0.03. Method A's D is higher by the gain. Prints the share of each verdict; 5 % may be false at gain 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from breadth.laws.frontier_test import frontier_test
from breadth.laws.lift import lift

STEPS = np.arange(0, 260, 10)


class SimulatedRun:
    """What the laws ask of a run: a label, a seed and series of rows."""

    def __init__(
        self,
        label: str,
        seed: int,
        gain: float,
        spread: float,
        shared: np.ndarray,
        generator: np.random.Generator,
        tails: str,
    ) -> None:
        self.label, self.seed = label, seed
        pace = 40 * np.exp(0.2 * generator.standard_normal())
        quality = 0.4 + 0.58 * (1 - np.exp(-STEPS / pace))
        own = bumps(generator, tails)
        deviation = spread * (np.sqrt(0.3) * shared + np.sqrt(0.7) * own)
        at = (quality - 0.4) / 0.58
        moved = (gain + np.interp(at, np.linspace(0, 1, deviation.size), deviation)) * np.minimum(
            1, 5 * at
        )  # one prior
        diversity = np.log((1.023 - quality) / 0.0109) / 5.024 + moved
        self.sets = {
            name: values[:, None] + 0.03 * generator.standard_normal((STEPS.size, 10))
            for name, values in (("quality", quality), ("diversity_valid", diversity))
        }

    def series(self, metric: str) -> list[dict]:
        """Return ledger rows."""
        return [
            {"step": int(s), "value": float(v.mean()), "sets": v.tolist(), "error": None}
            for s, v in zip(STEPS, self.sets[metric], strict=True)
        ]


def bumps(generator: np.random.Generator, tails: str) -> np.ndarray:
    """Return a smooth path of unit variance on a grid over the range of quality; with ``tails`` "heavy", Student's t with 3."""
    at, knots = np.linspace(0, 1, 50), np.linspace(0, 1, 5)
    weight = np.exp(-((at[:, None] - knots) ** 2) / 0.08)
    draw = generator.standard_normal(5) if tails == "normal" else generator.standard_t(3, 5) / np.sqrt(3)
    return weight @ draw / np.sqrt((weight**2).sum(1))


def simulate(
    n_seeds: int, gain: float, repeats: int, *, spread: float = 0.02, tails: str = "normal", start: int = 0
) -> dict:
    """Return the share of findings: by area, hypervolume, the band anywhere, D at R >= 0.9."""
    found = {name: {"bought": 0, "lost": 0, "the same": 0} for name in ("area", "hypervolume", "band", "at 0.9")}
    for repeat in range(start, start + repeats):
        generator = np.random.default_rng([repeat, n_seeds, int(1000 * gain), tails == "heavy"])
        a, b = [], []
        for seed in range(n_seeds):
            shared = bumps(generator, tails)
            a.append(SimulatedRun("a", seed, gain, spread, shared, generator, tails))
            b.append(SimulatedRun("b", seed, 0.0, spread, shared, generator, tails))
        test = frontier_test(a, b)
        for name, verdict in (
            ("area", test.area.verdict if test.area else None),
            ("hypervolume", test.hypervolume.verdict if test.hypervolume else None),
            ("at 0.9", lift(a, b, 0.9).verdict),
        ):
            if verdict in found[name]:
                found[name][verdict] += 1
        found["band"]["bought"] += bool(test.bought)
        found["band"]["lost"] += bool(test.lost)
    return {name: {word: n / repeats for word, n in counts.items()} for name, counts in found.items()}


def main() -> None:
    """Print a line for each number of seeds and gain; write all as JSON with ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--gains", type=float, nargs="+", default=[0.0, 0.02, 0.05, 0.1])
    parser.add_argument("--spread", type=float, default=0.02)
    parser.add_argument("--tails", choices=["normal", "heavy"], default="normal")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for n_seeds in args.seeds:
        for gain in args.gains:
            found = simulate(n_seeds, gain, args.repeats, spread=args.spread, tails=args.tails)
            rows.append(
                {
                    "seeds": n_seeds,
                    "gain": gain,
                    "repeats": args.repeats,
                    "spread": args.spread,
                    "tails": args.tails,
                    **found,
                }
            )
            words = "; ".join(f"{k}: " + ", ".join(f"{w} {s:.3f}" for w, s in v.items()) for k, v in found.items())
            print(f"{n_seeds} seeds, gain {gain:g}: {words}", flush=True)
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
