"""How often 95 % intervals of a law, and of what is read from it, contain the truth: lengths, autocorrelations, noise, kinds of interval.

    OMP_NUM_THREADS=1 python benchmarks/law_coverage.py --n 26 --repeats 1000 --out benchmarks/results/law_coverage.json
    python benchmarks/law_coverage.py --n --out benchmarks/results/law_coverage.json --table docs/laws.md    # only write the table

Runs follow R = -0.0109·exp(5.024·D) + 1.023 with D evenly from 0.9 to 0.3 and AR(1) noise of the given standard deviation. Cells that
the file holds already are measured anew where they are asked for and kept otherwise. An end that is not known (the data do not limit
the number) counts as containing. Read from the law are D at R = 0.9 and R at D = 0. Seeds of the runs are ``--first``, ``--first`` + 1,
...: the same in each cell, so that cells of one length and correlation differ in their noise's size only and are not independent.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import lfilter

from breadth.laws.curves import exponential
from breadth.laws.fit import fit_law
from breadth.laws.intervals import METHODS
from breadth.records import Estimate

TRUTH = {"a": 0.0109, "b": 1.023, "c": 5.024}
READ = {"D at R 0.9": float(np.log((TRUTH["b"] - 0.9) / TRUTH["a"]) / TRUTH["c"]), "R at D 0": TRUTH["b"] - TRUTH["a"]}
BURN_IN = 50  # steps of the AR(1) process before the first checkpoint


def cell(n: int, rho: float, noise: float, interval: str, repeats: int, draws: int, first: int) -> dict[str, Any]:
    """Return the share of intervals that contain each number, and of "holds", over simulated runs."""
    x = np.linspace(0.9, 0.3, n)
    clean = exponential(x, **TRUTH)
    inside, read, unlimited, holds = dict.fromkeys(TRUTH, 0), dict.fromkeys(READ, 0), 0, 0
    for seed in range(first, first + repeats):
        shock = np.random.default_rng(seed).standard_normal(n + BURN_IN)
        error = lfilter([np.sqrt(1 - rho**2)], [1, -rho], shock)[BURN_IN:]
        fit = fit_law(clean + noise * error, x, n_boot=draws, seed=seed, interval=interval)
        for name, truth in TRUTH.items():
            inside[name] += contains(fit.params[name], truth)
        for name, found in zip(READ, (fit.predict_diversity(0.9), fit.predict(0.0)), strict=True):
            read[name] += contains(found, READ[name])
        unlimited += None in (fit.params["c"].low, fit.params["c"].high)
        holds += fit.verdict == "holds"
    shares = {name: count / repeats for name, count in inside.items()}
    about = {
        "n": n,
        "rho": rho,
        "noise": noise,
        "interval": interval,
        "repeats": repeats,
        "draws": draws,
        "first_seed": first,
    }
    further = {name: count / repeats for name, count in read.items()}
    return {**about, "coverage": shares, "read": further, "unlimited": unlimited / repeats, "holds": holds / repeats}


def contains(found: Estimate, truth: float) -> bool:
    """Return whether an interval holds a number; an end that is not known holds everything on its side."""
    return (found.low is None or found.low <= truth) and (found.high is None or truth <= found.high)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the cells as Markdown: a line for each length, correlation and noise, coverage of a, b, c in per cent."""
    lines = [
        "| n | ρ | noise | runs | profile | bootstrap | BCa | *holds*, profile | *holds*, bootstrap |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((r["n"], r["rho"], r["noise"]) for r in sorted(rows, key=_place)):
        members = {r["interval"]: r for r in rows if (r["n"], r["rho"], r["noise"]) == key}
        shares = [
            ", ".join(f"{100 * v:.1f}" for v in members[kind]["coverage"].values()) if kind in members else "–"
            for kind in METHODS
        ]
        holds = [f"{100 * members[k]['holds']:.0f} %" if k in members else "–" for k in ("profile", "bootstrap")]
        runs = " / ".join(str(v) for v in dict.fromkeys(r["repeats"] for r in members.values()))
        lines.append(f"| {key[0]} | {key[1]:g} | {key[2]:g} | {runs} | " + " | ".join([*shares, *holds]) + " |")
    return "\n".join(lines)


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["n"], row["rho"], row["noise"], METHODS.index(row["interval"])


def main() -> None:
    """Measure the cells that are asked for, print and keep them, and write the table where it belongs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="*", default=[26, 60, 100])
    parser.add_argument("--rho", type=float, nargs="*", default=[0.0, 0.5])
    parser.add_argument("--noise", type=float, nargs="*", default=[0.003, 0.01, 0.03])
    parser.add_argument("--intervals", nargs="*", default=list(METHODS))
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="seed of the first simulated run")
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--table", type=Path, help="page whose table between <!-- coverage --> and <!-- /coverage --> is written"
    )
    args = parser.parse_args()
    rows = json.loads(args.out.read_text()) if args.out and args.out.exists() else []
    for n in args.n:
        for rho in args.rho:
            for noise in args.noise:
                for interval in args.intervals:
                    found = cell(n, rho, noise, interval, args.repeats, args.draws, args.first)
                    print(json.dumps(found), flush=True)
                    rows = [r for r in rows if _place(r) != _place(found)] + [found]
                    if args.out:
                        args.out.write_text(
                            "[\n" + ",\n".join(json.dumps(r) for r in sorted(rows, key=_place)) + "\n]\n"
                        )
    if args.table:
        text = re.sub(
            r"(<!-- coverage -->\n).*?(<!-- /coverage -->)",
            lambda m: f"{m[1]}{table(rows)}\n{m[2]}",
            args.table.read_text(),
            flags=re.S,
        )
        args.table.write_text(text)


if __name__ == "__main__":
    main()
