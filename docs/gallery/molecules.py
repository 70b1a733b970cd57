"""The tables of docs/molecule-laws.md from run folders: where each objective ends, which law it follows, and what it kept beside REINVENT.

    python docs/gallery/molecules.py jnk3=runs/molecules-jnk3 gsk3b=runs/molecules-gsk3b qed=runs/molecules-qed
        [--at 0.8] [--tilt jnk3=tilt.json] [--json molecules.json]

Each NAME=FOLDER is the folder of a finished study on molecules; what is not finished is left out and said. Nothing is trained here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breadth.experiments.compare import compare_frontiers, compare_runs, compose, fit_group, load_runs
from breadth.experiments.law_questions import pool_runs
from breadth.laws.endpoint import endpoint
from breadth.ledger.rows import read_rows
from breadth.ledger.run import Run
from breadth.metrics.oracle_calls import auc_top_k
from breadth.tasks.molecule_sets import diverse_hits

ENDS = (
    ("quality", "R, all", 3), ("quality_parsable", "R, readable", 3), ("diversity", "D", 3), ("policy_entropy", "H", 3),
    ("parsable_share", "readable", 2), ("unique_share", "distinct", 2), ("hits", "hits", 0), ("diverse_hits", "distant hits", 0),
    ("circles", "circles", 0), ("scaffolds", "scaffolds", 0),
)  # fmt: skip
KEPT = ("verdict", "reason", "r2", "rmse", "rmse_x", "interval", "rivals", "n", "n_effective")  # of a fit, in the JSON
BASELINE = "reinvent"


def last(run: Run, metric: str) -> float | None:
    """Return a metric at the last checkpoint."""
    rows = run.series(metric)
    return rows[-1]["value"] if rows else None


def per_call(run: Run, budget: int) -> tuple[float, int] | None:
    """Return (AUC top-10, distant hits) over the first ``budget`` distinct molecules asked for; None without a log."""
    path = run.path / "calls.jsonl"
    rows = read_rows(path) if path.is_file() else []
    if len(rows) < budget:
        return None
    keys = [row["key"] for row in rows]
    scores = [float("nan") if row["quality"] is None else row["quality"] for row in rows]
    hit = float(run.settings["task"].get("correct_at", 0.5))
    every = max(1, min(100, budget // 10))
    auc = auc_top_k(scores, keys=keys, k=10, budget=budget, every=every).auc
    return auc or 0.0, diverse_hits(keys, scores, at_score=hit, calls=budget).n


def calls(runs: dict[str, list[Run]]) -> int:
    """Return the budget of distinct oracle calls that every run made, at most 10,000; 0 where a run has no log."""
    made = [
        len(read_rows(path)) if (path := run.path / "calls.jsonl").is_file() else 0
        for members in runs.values()
        for run in members
    ]
    return min([10_000, *made])


def ends(runs: dict[str, list[Run]]) -> str:
    """Return the ends as a Markdown table, means over seeds, D of each seed in brackets."""
    budget = calls(runs)
    out = [
        "| objective | seeds | "
        + " | ".join(title for _, title, _ in ENDS)
        + f" | AUC top-10, distant hits in {budget:,} calls |"
    ]
    out.append("|---|---:|" + "---:|" * (len(ENDS) + 1))
    for label, members in runs.items():
        cells = []
        for metric, _, digits in ENDS:
            values = [v for run in members if (v := last(run, metric)) is not None]
            text = f"{np.mean(values):.{digits}f}" if values else "–"
            if metric == "diversity":
                text += f" ({', '.join(f'{v:.3f}' for v in values)})"
            cells.append(text)
        found = [pair for run in members if budget and (pair := per_call(run, budget))]
        asked = f"{np.mean([a for a, _ in found]):.3f}, {np.mean([h for _, h in found]):.0f}" if found else "–"
        out.append(f"| {label} | {len(members)} | " + " | ".join(cells) + f" | {asked} |")
    return "\n".join(out)


def laws(runs: dict[str, list[Run]]) -> tuple[str, dict[str, Any]]:
    """Return the fits of each objective, all seeds together, as a Markdown table, and as plain values."""
    out = [
        "| objective | R–D | R² | a | b | c | R–H: R², c₀ | H–D: R², line | composed c, R_max | R at D = 0 |",
        "|---|---|---:|---|---|---|---|---|---|---|",
    ]
    kept: dict[str, Any] = {}
    for label, members in runs.items():
        fits = fit_group(members)
        rd, rh, hd = fits["R-D"], fits["R-H"], fits["H-D"]
        both, end = compose(fits), endpoint(rd, 1.0)
        line = (
            f"{_r2(hd)}, {hd.params['a'].value:.3f}·D {hd.params['b'].value:+.3f} ({hd.verdict})"
            if hd.params["a"].value is not None
            else "–"
        )
        made = "–" if both is None or both.c is None else f"{both.c:.2f}, {both.r_max:.3f}"
        out.append(
            f"| {label} | {rd.verdict} | {_r2(rd)} | {_estimate(rd.params['a'], 3, 'g')} | {_estimate(rd.params['b'], 3)} | "
            f"{_estimate(rd.params['c'], 2)} | {_r2(rh)}, {_estimate(rh.params['c'], 1)} ({rh.verdict}) | {line} | "
            f"{made} | {_estimate(end.r_max, 3)} ({end.verdict} for 1) |"
        )
        kept[label] = {name: {key: getattr(fit, key) for key in KEPT} for name, fit in fits.items()}
    return "\n".join(out), kept


def against(runs: dict[str, list[Run]], at: Sequence[float]) -> str:
    """Return every objective against REINVENT: by area, at each quality and at the end, intervals paired over seeds."""
    if BASELINE not in runs or len(runs) < 2:
        return "Nothing to compare."
    tests = {test.a: test for test in compare_frontiers(runs, baseline=BASELINE)}
    lifts = compare_runs(runs, baseline=BASELINE, at_quality=at)
    out = ["| objective | where | D beside REINVENT | verdict, after Holm |", "|---|---|---|---|"]
    for label in list(runs)[1:]:
        area = tests[label].area
        if area is not None:
            out.append(f"| {label} | area | {_lift(area)} | {area.verdict}, {area.verdict_holm} |")
        out += [
            f"| {label} | {lift.at} | {_lift(lift)} | {lift.verdict}, {lift.verdict_holm} |"
            for lift in lifts
            if lift.a == label
        ]
    return "\n".join(out)


def tilted(path: Path, at: Sequence[float]) -> str:
    """Return what the tilted corpus has at some qualities."""
    points = [p for p in json.loads(path.read_text())["points"] if p.get("diversity") is not None]
    q, d = zip(*sorted((p["quality"], p["diversity"]) for p in points), strict=True)
    return "tilted corpus: " + ", ".join(f"D {np.interp(r, q, d):.3f} at R {r:g}" for r in at)


def _lift(x: Any) -> str:
    if x.value is None:
        return "–"
    return f"{x.value:+.3f}" + ("" if x.low is None or x.high is None else f" ({x.low:+.3f} to {x.high:+.3f})")


def _r2(fit: Any) -> str:
    return "–" if fit.r2 is None else f"{fit.r2:.3f}"


def _estimate(x: Any, digits: int, kind: str = "f") -> str:
    if x.value is None:
        return "–"
    low, high = ("open" if v is None or not np.isfinite(v) else f"{v:.{digits}{kind}}" for v in (x.low, x.high))
    return f"{x.value:.{digits}{kind}} ({low} to {high})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument(
        "--at", type=float, action="append", help="a quality at which D is compared; default 0.7, 0.8, 0.85"
    )
    parser.add_argument(
        "--tilt", action="append", default=[], metavar="NAME=FILE", help="what breadth tilt --out wrote for a study"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    at = args.at or [0.7, 0.8, 0.85]
    tilts = dict(text.split("=", 1) for text in args.tilt)
    kept = {}
    for text in args.studies:
        name, _, folder = text.partition("=")
        if not folder:
            parser.error(f"expected NAME=FOLDER, got {text!r}")
        found = load_runs([Path(folder)])
        for run in (run for members in found.values() for run in members if not run.complete):
            print(f"left out, not finished: {run.path}")
        runs = {label: members for label, every in found.items() if (members := [run for run in every if run.complete])}
        runs = {
            label: runs[label]
            for label in [*([BASELINE] if BASELINE in runs else []), *(x for x in runs if x != BASELINE)]
        }
        table, fits = laws(runs)
        print(f"## {name}\n\n{ends(runs)}\n\n{table}\n\n{against(runs, at)}\n")
        pools = {
            "seeds": {k: v for k, v in runs.items() if k == BASELINE and len(v) > 1},
            "objectives": runs if len(runs) > 1 else {},
        }
        for by, some in pools.items():
            for row in pool_runs(some, by, n_boot=0) if some else ():
                if row["law"] == "R-D":
                    whose = row["objective"] or "all"
                    print(f"one curve over {by} ({whose}): {row['pooled'].verdict}: {row['pooled'].reason}")
        if name in tilts:
            print(tilted(Path(tilts[name]), at))
        print()
        tests = compare_runs(runs, baseline=BASELINE, at_quality=at) if BASELINE in runs and len(runs) > 1 else []
        kept[name] = {"fits": fits, "tests": [dataclasses.asdict(one) for one in tests]}
    if args.json:
        args.json.write_text(json.dumps(kept, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
