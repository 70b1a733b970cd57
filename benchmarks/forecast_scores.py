"""Forecasts of finished runs, scored on studies that their numbers were not learnt on.

    OMP_NUM_THREADS=1 python benchmarks/forecast_scores.py circle=runs/circle qed=runs/qed ... --out scores.json
    OMP_NUM_THREADS=1 python benchmarks/forecast_scores.py circle=... --tasks circle,objectives qed     # leave whole tasks out

Each NAME=PATH[,PATH…] is a study; a run whose ledger stood in an earlier one already is left out. For every study the drift model and
the widths are learnt on the others; ``before`` is the monotone model alone, which uses no entropy and learns nothing. Prints the scores
of both, bootstrap intervals of what the goals ask for (studies drawn with replacement, then runs of each), the numbers learnt, and what
is learnt from all studies together: the defaults in ``laws/drift.py`` and ``laws/future.py``. ``--unseen`` names studies that nothing was
chosen on; they are summed up by themselves too.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from breadth.experiments.compare import load_runs
from breadth.laws.calibrate import learn_drift, learn_quality, read_finished, read_lessons
from breadth.laws.forecast_score import AT_SHARES, FINAL_D, FINAL_R, Case, score_forecasts, tabulate, tabulate_reach

RESAMPLES = 4000


def read_studies(texts: list[str]) -> dict[str, list[Any]]:
    """Return the finished runs of each NAME=PATH[,PATH], each ledger once."""
    runs: dict[str, list[Any]] = {}
    known: set[str] = set()
    for text in texts:
        name, _, paths = text.partition("=")
        found = [run for p in paths.split(",") for members in load_runs([Path(p)]).values() for run in members]
        runs[name] = []
        twice = 0
        for run in found:
            ledger = hashlib.sha256((run.path / "ledger.jsonl").read_bytes()).hexdigest()
            twice += ledger in known
            if run.complete and ledger not in known:
                runs[name].append(run)
                known.add(ledger)
        unfinished = sum(not run.complete for run in found)
        print(f"{name}: {len(runs[name])} finished runs ({unfinished} unfinished, {twice} known already)", flush=True)
    return runs


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


def clustered(name: str, by_study: dict[str, list[Case]]) -> list[dict]:
    """Print and return 95 % intervals of the skills and the 80 % coverage of D at the end: studies are drawn, then their runs."""
    rows = []
    for share in AT_SHARES:
        tables = [
            np.array(
                [
                    _numbers(c)
                    for c in cases
                    if (c.share, c.quantity) == (share, FINAL_D) and c.predicted.value is not None
                ]
            )
            for cases in by_study.values()
        ]
        tables = [t for t in tables if t.size]
        if not tables:
            continue
        generator = np.random.default_rng(0)
        drawn = []
        for _ in range(RESAMPLES):
            picked = [tables[i] for i in generator.integers(len(tables), size=len(tables))]
            drawn.append(_goals(np.concatenate([t[generator.integers(len(t), size=len(t))] for t in picked])))
        low, high = np.nanquantile(np.array(drawn), (0.025, 0.975), axis=0)
        value = _goals(np.concatenate(tables))
        for what, v, lo, hi in zip(("skill_persistence", "skill_spline", "coverage80"), value, low, high, strict=True):
            about = {"of": name, "share": share, "n": sum(map(len, tables)), "n_studies": len(tables)}
            rows.append({**about, "what": what, "value": v, "low": float(lo), "high": float(hi)})
            print(
                f"{name:24s} {share:.0%} {what:18s} {v:+.3f} ({lo:+.3f} to {hi:+.3f}), {len(tables)} studies",
                flush=True,
            )
    return rows


def _numbers(c: Case) -> tuple[float, ...]:
    p = c.predicted
    return (
        abs(p.value - c.truth),
        abs(c.persistence - c.truth),
        abs(c.spline - c.truth),
        float(p.low80 <= c.truth <= p.high80),
    )


def _goals(table: np.ndarray) -> tuple[float, float, float]:
    own, still, spline = np.median(table[:, :3], axis=0)
    return (
        float(1 - own / still) if still else np.nan,
        float(1 - own / spline) if spline else np.nan,
        float(table[:, 3].mean()),
    )


def raw(name: str, cases: list[Case]) -> list[list]:
    """Return the ends as short rows: study, run, share, quantity, truth, median, 80 % interval, 95 % interval, persistence, spline."""
    rows = []
    for c in cases:
        if c.quantity in (FINAL_D, FINAL_R):
            p = c.predicted
            numbers = (c.truth, p.value, p.low80, p.high80, p.low95, p.high95, c.persistence, c.spline)
            rows.append(
                [name, c.run, c.share, c.quantity[0], *(None if v is None else round(float(v), 5) for v in numbers)]
            )
    return rows


def write(out: Path, lists: dict[str, list]) -> None:
    """Write the lists as JSON, a line for each row."""
    parts = [f' "{name}": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]" for name, rows in lists.items()]
    out.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def main() -> None:
    """Score each study with numbers learnt on the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME=PATH[,PATH]")
    parser.add_argument(
        "--tasks", nargs="+", default=[], help="groups of names, joined by commas, that are left out together"
    )
    parser.add_argument("--unseen", default="", help="names, joined by commas, that nothing was chosen on")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--no-before", action="store_true", help="do not score the monotone model")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    runs = read_studies(args.studies)
    seen = {name: read_finished(members) for name, members in runs.items()}
    study = np.array([name for name, cases in seen.items() for _ in cases])
    lessons = read_lessons([case for cases in seen.values() for case in cases])
    groups = [g.split(",") for g in args.tasks]
    groups += [[name] for name in runs if not any(name in g for g in groups)]
    rows, learnt, reached, before, after = [], [], [], {}, {}
    every_reach = []
    for group in groups:
        rest = lessons[~np.isin(study, group)]
        if not rest.share.size or not any(runs[name] for name in group):
            continue
        settings, widen = learn_drift(rest), learn_quality(rest)
        learnt.append(
            {"left_out": group, "n": rest.share.size, "drift": dataclasses.asdict(settings), "quality": widen}
        )
        print(json.dumps(learnt[-1]), flush=True)
        for name in group:
            if not args.no_before:
                before[name], _ = score_forecasts(runs[name], entropy_metric="", n_draws=args.draws)
                rows += show(f"before {name}", before[name])
            after[name], reaches = score_forecasts(
                runs[name], n_draws=args.draws, settings=settings, widen_quality=widen
            )
            reached += [{"of": name, **dataclasses.asdict(r)} for r in tabulate_reach(reaches)]
            every_reach += reaches
            rows += show(f"after {name}", after[name])
    if before:
        rows += show("before all", [case for cases in before.values() for case in cases])
    rows += show("after all", [case for cases in after.values() for case in cases])
    reached += [{"of": "all", **dataclasses.asdict(r)} for r in tabulate_reach(every_reach)]
    intervals = clustered("all", after)
    unseen = {name: after[name] for name in args.unseen.split(",") if name in after}
    if unseen:
        rows += show("after unseen", [case for cases in unseen.values() for case in cases])
        intervals += clustered("unseen", unseen)
    every = {"drift": dataclasses.asdict(learn_drift(lessons)), "quality": learn_quality(lessons)}
    learnt.append({"left_out": [], "n": lessons.share.size, **every})
    print(json.dumps(learnt[-1]))
    if args.out:
        ends = [row for name, cases in after.items() for row in raw(name, cases)]
        write(args.out, {"learnt": learnt, "scores": rows, "reach": reached, "intervals": intervals, "ends": ends})


if __name__ == "__main__":
    main()
