"""The tables of docs/ablations.md from run folders: where each line of an ablation ends, and its frontier against the baseline's.

    python docs/gallery/ablations.py batch=runs/ablation-batch [NAME=FOLDER …] [--at 0.9] [--json ablations.json]

Each NAME=FOLDER is the finished folder of a study; its own baseline is the one that it was started with. Nothing is trained here.
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

from breadth.experiments.compare import load_runs
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--at", type=float, default=0.9, help="the quality at which D is read on the frontier")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    kept: dict[str, Any] = {}
    for text in args.studies:
        name, _, folder = text.partition("=")
        if not folder:
            parser.error(f"expected NAME=FOLDER, got {text!r}")
        baseline = json.loads((Path(folder) / "study.json").read_text())["study"]["baseline"]
        found = load_runs([Path(folder)])
        runs = choose(found, [baseline, *(label for label in found if label != baseline)])
        rows = [ends(label, members) for label, members in runs.items()]
        compared = lines("ablation", name, runs, args.at) if baseline in runs else []
        print(f"## {name}\n\n{show(rows)}\n\n{table(compared) if compared else 'Nothing to compare.'}\n")
        kept[name] = {"ends": rows, "lines": [dataclasses.asdict(one) for one in compared]}
    if args.json:
        args.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
