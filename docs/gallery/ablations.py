"""The tables of docs/ablations.md from run folders: where each line of an ablation ends, and its frontier against the baseline's.

    python docs/gallery/ablations.py batch=runs/ablation-batch [NAME=FOLDER …] [--at 0.9] [--across dr_grpo] [--json ablations.json]

Each NAME=FOLDER is the finished folder of a study; its own baseline is the one that it was started with. With `--across dr_grpo`
the first study is also compared with the others for that objective: priors differ there, so seeds are not pairs. Nothing is trained here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from findings import choose, lines, table
from scipy.stats import ttest_ind

from breadth.experiments.compare import Metrics, columns_of, load_runs
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.pooling import pool_fits
from breadth.laws.runs import run_sets
from breadth.ledger.run import Run


def ends(label: str, runs: list[Run]) -> dict[str, Any]:
    """Return R, D and H of a line's prior and last checkpoint, means over seeds; None where no seed has the number."""
    found: dict[str, Any] = {"label": label, "seeds": len(runs), "steps": runs[0].steps[-1]}
    for metric in ("quality", "diversity", "policy_entropy"):
        series = [run.series(metric) for run in runs]
        for where, at in (("prior", 0), ("end", -1)):
            values = [rows[at]["value"] for rows in series if rows and rows[at]["value"] is not None]
            found[f"{metric}, {where}"] = float(np.mean(values)) if values else None
    return found


def show(rows: list[dict[str, Any]]) -> str:
    """Return the ends as a Markdown table."""
    names = ("quality", "diversity", "policy_entropy")
    out = ["| line | seeds | steps | R, D, H of the prior | R, D, H at the end |", "|---|---:|---:|---|---|"]
    for row in rows:
        cells = (
            ", ".join("–" if (v := row[f"{m}, {w}"]) is None else f"{v:.3f}" for m in names) for w in ("prior", "end")
        )
        out.append(f"| {row['label']} | {row['seeds']} | {row['steps']} | " + " | ".join(cells) + " |")
    return "\n".join(out)


def across(label: str, studies: dict[str, list[Run]], at: float) -> dict[str, Any]:
    """Return D at R ≥ ``at`` of one objective in several studies, Welch intervals against the first, and whether one R–D curve serves them all."""
    values = {}
    for name, runs in studies.items():
        read = [run_sets(run, "quality", "diversity") for run in runs]
        found = [diversity_at_quality(r, d, at, steps).value for steps, r, d in read]
        values[name] = [value for value in found if value is not None]
    first = next(iter(values))
    rows = []
    for name, of in values.items():
        row: dict[str, Any] = {"study": name, "seeds": len(studies[name]), "reached": len(of), "D": float(np.mean(of)) if of else None}
        if name != first and min(len(of), len(values[first])) > 1:
            test = ttest_ind(of, values[first], equal_var=False)
            interval = test.confidence_interval(0.95)
            row |= {"difference": float(np.mean(of) - np.mean(values[first])), "low": float(interval.low), "high": float(interval.high)}
        rows.append(row)
    members = [(name, run) for name, runs in studies.items() for run in runs]
    q, d, _, number, step = columns_of([run for _, run in members], Metrics())
    pooled = pool_fits(q, d, group=[members[i][0] for i in number], run=number, step=step, n_boot=0)
    return {"objective": label, "at": at, "rows": rows, "one curve": pooled.verdict, "reason": pooled.reason}


def show_across(found: dict[str, Any]) -> str:
    """Return the comparison across studies as a Markdown table and a sentence."""
    out = [f"| {found['objective']} | seeds | D at R ≥ {found['at']:g} | against the first |", "|---|---:|---|---|"]
    for row in found["rows"]:
        value = "–" if row["D"] is None else f"{row['D']:.3f}" + (f" ({row['reached']} seeds)" if row["reached"] < row["seeds"] else "")
        beside = f"{row['difference']:+.3f} ({row['low']:.3f} to {row['high']:.3f})" if "difference" in row else ""
        out.append(f"| {row['study']} | {row['seeds']} | {value} | {beside} |")
    return "\n".join(out) + f"\n\none R–D curve for all: {found['one curve']}: {found['reason']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--at", type=float, default=0.9, help="the quality at which D is read on the frontier")
    parser.add_argument("--across", metavar="OBJECTIVE", help="compare this objective of the first study with that of the others")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    kept: dict[str, Any] = {}
    wanted: dict[str, list[Run]] = {}
    for text in args.studies:
        name, _, folder = text.partition("=")
        if not folder:
            parser.error(f"expected NAME=FOLDER, got {text!r}")
        baseline = json.loads((Path(folder) / "study.json").read_text())["study"]["baseline"]
        found = load_runs([Path(folder)])
        runs = choose(found, [baseline, *(label for label in found if label != baseline)])
        wanted |= {name: runs[args.across]} if args.across in runs else {}
        rows = [ends(label, members) for label, members in runs.items()]
        compared = lines("ablation", name, runs, args.at) if baseline in runs else []
        print(f"## {name}\n\n{show(rows)}\n\n{table(compared) if compared else 'Nothing to compare.'}\n")
        kept[name] = {"ends": rows, "lines": [dataclasses.asdict(one) for one in compared]}
    if len(wanted) > 1:
        kept["across"] = across(args.across, wanted, args.at)
        print(f"## across\n\n{show_across(kept['across'])}\n")
    if args.json:
        args.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
