"""Seconds for the exact mean pairwise Tanimoto distance: RDKit's bulk loop, numpy and numba here, and iSIM's estimate.

    OMP_NUM_THREADS=1 python benchmarks/tanimoto.py [--smiles FILE] [--repeats 5] [--out benchmarks/results/tanimoto.json]

All contenders get the same fingerprints, in turn, ``repeats`` times in one process (so that a busy machine slows all of
them alike); wall clock and processor seconds are both kept. RDKit's loop is ``BulkTanimotoSimilarity`` of each molecule to
those before it, summed in Python. The compiled sum is called once before, as its machine code is read from disk then.
With ``--smiles`` the file's molecules, else those of the zero-data default. The second table shows by how much iSIM
over-reads the exact mean in sets like those of a collapsing policy.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from breadth.tasks.corpus_files import read_rows
from breadth.tasks.fingerprints import mean_tanimoto_distance, pack_fingerprints
from breadth.tasks.live_diversity import RunningDiversity, tanimoto_isim
from breadth.tasks.smiles import canonical_smiles


def rdkit_loop(packed: np.ndarray) -> Callable[[], float]:
    """Return RDKit's bulk loop over the same bits."""
    from rdkit import DataStructs

    prints = [DataStructs.CreateFromBinaryText(row.tobytes()) for row in packed]
    pairs = len(prints) * (len(prints) - 1) / 2

    def run() -> float:
        return (
            1
            - sum(sum(DataStructs.BulkTanimotoSimilarity(prints[i], prints[:i])) for i in range(1, len(prints))) / pairs
        )

    return run


def contenders(packed: np.ndarray) -> dict[str, Callable[[], float]]:
    """Return name -> function of no arguments."""
    found: dict[str, Callable[[], float]] = {
        "rdkit bulk loop": rdkit_loop(packed),
        "numpy": lambda: mean_tanimoto_distance(packed, engine="numpy"),
    }
    try:
        mean_tanimoto_distance(packed[:100], engine="numba")
        found["numba"] = lambda: mean_tanimoto_distance(packed, engine="numba")
    except ImportError:
        pass
    found["isim (estimate)"] = lambda: tanimoto_isim(packed)
    return found


def timed(functions: dict[str, Callable[[], float]], repeats: int) -> dict[str, dict]:
    """Return value, wall and processor seconds of each; the contenders take turns."""
    rows: dict[str, dict] = {name: {"value": None, "wall_s": [], "cpu_s": []} for name in functions}
    for _ in range(repeats):
        for name, run in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            rows[name]["value"] = run()
            rows[name]["wall_s"].append(time.perf_counter() - wall)
            rows[name]["cpu_s"].append(time.process_time() - cpu)
    return rows


def seconds_of_one_more(packed: np.ndarray) -> float:
    """Return the seconds that the running mean needs for one more molecule at the end of the set."""
    running = RunningDiversity()
    running.add(packed[:-100])
    start = time.process_time()
    running.add(packed[-100:])
    return (time.process_time() - start) / 100


def over_reading(packed: np.ndarray) -> list[dict]:
    """Return how far iSIM stands above the exact mean, for sets of 100."""
    rows = []
    for copies in (0, 50, 75, 90):
        mixed = np.vstack([np.repeat(packed[:1], copies, axis=0), packed[1 : 101 - copies]]) if copies else packed[:100]
        exact, isim = mean_tanimoto_distance(mixed), tanimoto_isim(mixed)
        rows.append({"copies": copies, "random": 100 - copies, "exact": exact, "isim": isim, "over": isim - exact})
    return rows


def molecules(path: str | None) -> list[str]:
    if path is not None:
        return [row.text for row in read_rows(path)]
    from breadth.tasks.molecule_corpus import load_corpus

    return load_corpus().train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smiles")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default="benchmarks/results/tanimoto.json")
    given = parser.parse_args()
    drawn = random.Random(0).sample(molecules(given.smiles), 12_000)
    packed = pack_fingerprints([s for s in drawn if canonical_smiles(s)][:10_000])
    result: dict = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    result |= {"numpy": np.__version__, "source": Path(given.smiles).name if given.smiles else "zero-data default"}
    for n in (100, 1_000, len(packed)):
        rows = timed(contenders(packed[:n]), given.repeats if n > 1_000 else 20)
        base = statistics.median(rows["rdkit bulk loop"]["cpu_s"])
        for name, row in rows.items():
            row["median_cpu_s"] = statistics.median(row["cpu_s"])
            row["times_rdkit"] = base / row["median_cpu_s"] if row["median_cpu_s"] else None
            row["off_rdkit"] = row["value"] - rows["rdkit bulk loop"]["value"]
            print(
                f"n = {n:>6}  {name:<16} {1e3 * row['median_cpu_s']:10.2f} ms  {row['times_rdkit'] or 0:6.1f}x  off {row['off_rdkit']:+.1e}"
            )
        result[f"n={n}"] = rows
    result["one_more_at_10000_s"] = seconds_of_one_more(packed)
    result["isim"] = over_reading(packed)
    print(f"one more molecule at {len(packed):,}: {1e3 * result['one_more_at_10000_s']:.2f} ms")
    for row in result["isim"]:
        print(
            f"{row['copies']:>3} copies of one + {row['random']:>3} others: exact {row['exact']:.3f}, iSIM {row['isim']:.3f} ({row['over']:+.3f})"
        )
    Path(given.out).parent.mkdir(parents=True, exist_ok=True)
    Path(given.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
