"""How long a fit takes, by profile and with 2,000 bootstrap draws, against a loop over scipy: one run of 100 checkpoints, one core.

    OMP_NUM_THREADS=1 python benchmarks/laws.py [--draws 2000] [--loop 20] [--repeats 5] [--out benchmarks/results/laws.json]

The loops fit ``scipy.optimize.curve_fit`` to each draw: once started at the true parameters, which no user knows, and once from
five starts, of which the best is kept, as one does who does not know them (the fit itself searches the whole range). They are
timed on ``--loop`` draws and scaled. Times are CPU seconds, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import curve_fit

from breadth.laws.curves import EXPONENTIAL, exponential
from breadth.laws.fit import fit_law
from breadth.laws.projection import search
from breadth.laws.resampling import block_weights

TRUTH = (0.0109, 1.023, 5.024)


def cpu_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median CPU time of a call in seconds, after one call to warm up."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    """Time the fit, its search alone, the other intervals, and the loop; check that both find the same optima."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--loop", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    x = np.linspace(0.9, 0.2, 100)
    y = exponential(x, *TRUTH) + 0.01 * np.random.default_rng(0).standard_normal(100)
    weights = block_weights(np.zeros(100, dtype=int), 0.0, args.draws, seed=0)

    def fit_one(weight: np.ndarray, start: tuple) -> tuple:
        keep = weight > 0
        sigma = 1 / np.sqrt(weight[keep])
        try:
            found = curve_fit(
                exponential, x[keep], y[keep], start, sigma=sigma, bounds=([1e-30, -9, 0.02], [99, 9, 570])
            )[0]
        except RuntimeError:  # no convergence from that start
            return None, np.inf
        return found, float((weight * (y - exponential(x, *found)) ** 2).sum())

    def loop() -> np.ndarray:
        return np.array([fit_one(weight, TRUTH)[0] for weight in weights[: args.loop]])

    starts = [TRUTH, *((0.3 * np.exp(-c * 0.9), 1.0, c) for c in (1.0, 3.0, 10.0, 30.0))]

    def many_starts() -> list:
        return [
            min((fit_one(weight, start) for start in starts), key=lambda f: f[1]) for weight in weights[: args.loop]
        ]

    ours = search(EXPONENTIAL, x, y, weights[: args.loop]).theta[:, 0]
    apart = float(np.abs(loop()[:, 2] / ours - 1).max())
    rows = {
        "fit_law, profile (the default)": cpu_seconds(lambda: fit_law(y, x), args.repeats),
        "fit_law, block bootstrap": cpu_seconds(lambda: fit_law(y, x, n_boot=args.draws, interval="bootstrap"), args.repeats),
        "fit_law, BCa": cpu_seconds(lambda: fit_law(y, x, n_boot=args.draws, interval="bca"), args.repeats),
        "the draws alone": cpu_seconds(lambda: search(EXPONENTIAL, x, y, weights), args.repeats),
        "scipy loop from the truth": cpu_seconds(loop, max(1, args.repeats // 2)) * args.draws / args.loop,
        "scipy loop from five starts": cpu_seconds(many_starts, 1) * args.draws / args.loop,
    }
    for name, seconds in rows.items():
        print(f"{name:<32}{seconds:>10.3f} s")
    ratios = {}
    for name in ("scipy loop from the truth", "scipy loop from five starts"):
        ratios[name] = {own: rows[name] / rows[own] for own in ("fit_law, block bootstrap", "the draws alone")}
        print(f"{name}: " + ", ".join(f"{r:.0f} x {own}" for own, r in ratios[name].items()))
    print(f"largest relative difference of c over {args.loop} draws: {apart:.1e}")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "checkpoints": 100,
            "draws": args.draws,
            "loop_draws": args.loop,
            "clock": "process time, one core",
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "python": platform.python_version(),
            "processor": platform.machine(),
        }
        args.out.write_text(
            json.dumps({**about, "seconds": rows, "ratios": ratios, "largest_difference_in_c": apart}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
