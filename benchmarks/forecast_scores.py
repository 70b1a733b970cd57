"""Forecasts of finished runs, scored on studies that their numbers were not learnt on.

    OMP_NUM_THREADS=1 python benchmarks/forecast_scores.py circle=runs/circle qed=runs/qed ... --out scores.json
    OMP_NUM_THREADS=1 python benchmarks/forecast_scores.py circle=... --tasks circle,objectives qed     # leave whole tasks out

Each NAME=PATH[,PATH…] is a study. For every study the drift model and the widths are learnt on the others; ``before`` is the
monotone model alone, which uses no entropy and learns nothing. Prints the scores of both, the numbers learnt, and what is learnt from
all studies together: the defaults in ``laws/drift.py`` and ``laws/future.py``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from breadth.experiments.compare import load_runs
from breadth.laws.calibrate import learn_drift, learn_quality, read_finished
from breadth.laws.forecast_score import Case, score_forecasts, tabulate


def show(name: str, cases: list[Case]) -> list[dict]:
    """Print one line a quantity and share; return them as dictionaries."""
    rows = []
    for s in tabulate(cases):
        row = {**dataclasses.asdict(s), "skill_persistence": s.skill("persistence"), "skill_spline": s.skill("spline")}
        rows.append({"of": name, **row})
        words = " ".join(
            f"{key} {'–' if row[key] is None else format(row[key], '.3f')}"
            for key in (
                "median", "median_persistence", "median_spline", "mean", "mean_persistence", "mean_spline", "coverage80", "coverage95",
            )
        )  # fmt: skip
        print(f"{name:24s} {s.quantity:12s} {s.share:.0%} n {s.n}+{s.n_untold} law {s.n_law} {words}", flush=True)
    return rows


def main() -> None:
    """Score each study with numbers learnt on the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME=PATH[,PATH]")
    parser.add_argument("--tasks", nargs="+", help="groups of names, joined by commas, that are left out together")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--no-before", action="store_true", help="do not score the monotone model")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    runs = {}
    for text in args.studies:
        name, _, paths = text.partition("=")
        loaded = [load_runs([Path(p)]) for p in paths.split(",")]
        runs[name] = [run for found in loaded for members in found.values() for run in members if run.complete]
        print(f"{name}: {len(runs[name])} finished runs", flush=True)
    seen = {name: read_finished(members) for name, members in runs.items()}
    groups = [g.split(",") for g in args.tasks] if args.tasks else [[name] for name in runs]
    rows, learnt, all_before, all_after = [], [], [], []
    for group in groups:
        rest = [case for name in runs if name not in group for case in seen[name]]
        members = [run for name in group for run in runs[name]]
        if not rest or not members:
            continue
        settings, widen = learn_drift(rest), learn_quality(rest)
        learnt.append({"left_out": group, "n": len(rest), "drift": dataclasses.asdict(settings), "quality": widen})
        print(json.dumps(learnt[-1]), flush=True)
        if not args.no_before:
            cases, _ = score_forecasts(members, entropy_metric="", n_draws=args.draws)
            all_before += cases
            rows += show("before " + ",".join(group), cases)
        cases, _ = score_forecasts(members, n_draws=args.draws, settings=settings, widen_quality=widen)
        all_after += cases
        rows += show("after " + ",".join(group), cases)
    if all_before:
        rows += show("before all", all_before)
    rows += show("after all", all_after)
    every = [case for cases in seen.values() for case in cases]
    learnt.append(
        {
            "left_out": [],
            "n": len(every),
            "drift": dataclasses.asdict(learn_drift(every)),
            "quality": learn_quality(every),
        }
    )
    print(json.dumps(learnt[-1]))
    if args.out:
        args.out.write_text(json.dumps({"learnt": learnt, "scores": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
