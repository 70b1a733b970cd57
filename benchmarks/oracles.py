"""How many molecules a second the oracles score, one core: forests from fingerprints, and whole oracles from SMILES.

    OMP_NUM_THREADS=1 python benchmarks/oracles.py --forest jnk3_forest.npz --forest gsk3b_forest.npz \\
        --smiles chembl_smiles.csv.gz [--out benchmarks/results/oracles.json]

Per forest: numpy, numba (where it is installed) and scikit-learn's own forest of the same size (where it is installed and
``--table`` is given), alternating, in batches of 128 and of 10,000. CPU seconds of this process, so that other work on the
machine counts little; minimum and median of the repeats.
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

from breadth.tasks.corpus_files import read_rows
from breadth.tasks.oracles import find_oracle
from breadth.tasks.oracles.forest import Forest, ecfp4
from breadth.tasks.smiles import parse_smiles

BATCHES = (128, 10_000)


def cpu_seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Return CPU and wall seconds of one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def in_batches(score: Callable[[np.ndarray], object], rows: np.ndarray, batch: int) -> Callable[[], None]:
    """Return a call that scores all rows, ``batch`` at a time."""

    def run() -> None:
        for start in range(0, len(rows), batch):
            score(rows[start : start + batch])

    return run


def rates(calls: dict[str, Callable[[], object]], n: int, repeats: int) -> dict[str, dict]:
    """Return molecules a CPU second of each call, the calls taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()  # compile, fill caches
    for _ in range(repeats):
        for name, call in calls.items():
            seconds[name].append(cpu_seconds(call)[0])
    return {
        name: {
            "best": round(n / min(s)),
            "median": round(n / statistics.median(s)),
            "cpu_seconds": [round(x, 5) for x in s],
        }
        for name, s in seconds.items()
    }


def sklearn_forest(table: Path) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return scikit-learn's own ``predict_proba`` of a forest fitted to a table, or None without scikit-learn."""
    try:
        from sklearn.ensemble import RandomForestClassifier
    except ImportError:
        return None
    from scipy.sparse import csr_matrix

    from breadth.tasks.oracles.activity import read_activity
    from breadth.tasks.oracles.forest_walk import as_bits

    rows = read_activity(table)
    bits = csr_matrix(as_bits(ecfp4(rows.smiles)).astype(np.float32))
    trees = RandomForestClassifier(100, random_state=0, n_jobs=1).fit(bits, rows.active)
    return lambda packed: trees.predict_proba(as_bits(packed).astype(np.float32))[:, 1]


def main() -> None:
    """Print the figures, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forest", type=Path, action="append", required=True)
    parser.add_argument(
        "--table", type=Path, action="append", default=[], help="one for each forest, for scikit-learn's own speed"
    )
    parser.add_argument("--smiles", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    texts = [row.text for row in read_rows(args.smiles)]
    chosen = np.random.default_rng(0).choice(len(texts), 10_240, replace=False)
    smiles = [texts[i] for i in chosen.tolist()]
    packed = ecfp4(smiles)
    found: dict[str, dict] = {"forests": {}, "from_smiles": {}}
    engines = ["numpy"]
    try:
        import numba  # noqa: F401

        engines.append("numba")
    except ImportError:
        pass
    for i, path in enumerate(args.forest):
        forest = Forest.load(path)
        calls = {e: (lambda rows, e=e, forest=forest: forest.predict(rows, engine=e)) for e in engines}
        if i < len(args.table) and (peer := sklearn_forest(args.table[i])):
            calls["scikit-learn"] = peer
            worst = float(np.abs(peer(packed) - forest.predict(packed)).max())
            found["forests"].setdefault(path.stem, {})["largest_difference_from_scikit_learn"] = worst
        for batch in BATCHES:
            timed = rates({n: in_batches(c, packed, batch) for n, c in calls.items()}, len(packed), args.repeats)
            found["forests"].setdefault(path.stem, {})[f"batch_{batch}"] = timed
            for name, r in timed.items():
                print(
                    f"{path.stem:<14} batch {batch:>6}  {name:<12} {r['best']:>9,} best {r['median']:>9,} median  molecules a CPU second"
                )
    for name in ("qed", "sa", "logp", "osimertinib_mpo"):
        score = find_oracle(name).score
        score(smiles[:10])  # tables are read
        parts = [smiles[i : i + 1_024] for i in range(0, len(smiles), 1_024)][: args.repeats]
        seconds = []
        for part in parts:  # other molecules each time, and none of them parsed yet
            parse_smiles.cache_clear()
            seconds.append(cpu_seconds(lambda s=score, p=part: s(p))[0])
        best, median = round(1_024 / min(seconds)), round(1_024 / statistics.median(seconds))
        found["from_smiles"][name] = {"best": best, "median": median, "cpu_seconds": [round(x, 5) for x in seconds]}
        print(f"{name:<34} {best:>9,} best {median:>9,} median  molecules a CPU second, from SMILES")
    found["machine"] = {
        "processor": next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "molecules": len(packed),
    }  # fmt: skip
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
