"""The checkpoints behind a figure's points: their numbers, and their samples where a run kept them.

A point of the frontier or of a law is one checkpoint of one run. The page shows it by its key, ``"<run>@<step>"`` with the run's
place in the evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from breadth.experiments.evidence import Evidence, RunEvidence
from breadth.experiments.examples import Example, Gallery, PictureBook, gallery
from breadth.experiments.notation import is_number, number

LETTERS = {"quality": "R", "diversity": "D", "frontier_diversity": "D, valid", "entropy": "H"}
SAMPLE_BYTES = 1_200_000  # of the samples of checkpoints, before they are packed
MOST_CHECKPOINTS = 160  # whose samples are read
N_CLUSTERS, N_EXAMPLES = 6, 3  # of a checkpoint


def point_key(evidence: Evidence, run: RunEvidence, step: int) -> str:
    """Return the name of a checkpoint on the page."""
    return f"{next(i for i, other in enumerate(evidence.runs) if other is run)}@{step}"


def interval95(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the 95 % Student-t interval of a ledger row over its sample sets; None without at least two sets or an error.

    Examples
    --------
    >>> low, high = interval95({"value": 0.5, "error": 0.01, "sets": [0.5] * 10})
    >>> round(low, 4), round(high, 4)
    (0.4774, 0.5226)
    >>> interval95({"value": 0.5, "error": None, "sets": []}) is None
    True
    """
    n, error = len(row.get("sets") or ()), row.get("error")
    if n < 2 or not is_number(error) or not is_number(row.get("value")):
        return None
    half = float(student.ppf(0.975, n - 1)) * error
    return row["value"] - half, row["value"] + half


def with_spread(row: Mapping[str, Any]) -> str:
    """Return a row's value with its interval, or its standard error where there are no sets, or alone.

    Examples
    --------
    >>> with_spread({"value": 0.5, "error": 0.01, "sets": [0.5] * 10}), with_spread({"value": 0.5, "error": 0.01})
    ('0.500 (0.477 to 0.523)', '0.500 ± 0.010 s.e.')
    """
    interval = interval95(row)
    if interval is not None:
        return f"{number(row['value'])} ({number(interval[0])} to {number(interval[1])})"
    error = row.get("error")
    return f"{number(row['value'])} ± {number(error)} s.e." if is_number(error) else number(row["value"])


def hover_words(evidence: Evidence, run: RunEvidence) -> dict[int, str]:
    """Return step -> R, D and H of a checkpoint with their intervals and n, a line each."""
    lines: dict[int, list[str]] = {}
    sizes: dict[int, int] = {}
    for role, letter in LETTERS.items():
        if role == "frontier_diversity" and evidence.metric(role) == evidence.metric("diversity"):
            continue
        for step, row in run.series(evidence.metric(role)).items():
            lines.setdefault(step, []).append(f"{letter} {with_spread(row)}")
            sizes[step] = max(sizes.get(step, 0), int(row.get("n") or 0))
    return {
        step: "<br>".join([*found, f"n = {sizes[step]:,}" if sizes[step] else "n not recorded"])
        for step, found in lines.items()
    }


def checkpoint_data(evidence: Evidence, book: PictureBook) -> dict[str, Any] | None:
    """Return every measured checkpoint with its numbers, and the samples of those that kept them, for the page's script.

    The samples of last checkpoints come first, then those of the priors, then the others evenly; what does not fit is left out
    and counted in ``n_left_out``. None where nothing was measured.
    """
    runs = []
    for run in evidence.runs:
        series = {role: run.series(evidence.metric(role)) for role in LETTERS}
        steps = sorted(set().union(*series.values()))
        points = [
            {
                "step": step,
                "checkpoint": next((s[step].get("checkpoint") for s in series.values() if step in s), None),
                "numbers": {
                    letter: _reading(series[role][step], evidence.metric(role))
                    for role, letter in LETTERS.items()
                    if step in series[role]
                },
            }
            for step in steps
        ]
        kept = sorted(sample_files(run))
        name = {"name": evidence.names[run.label], "label": run.label, "seed": run.seed, "path": run.path}
        runs.append({**name, "points": points, "kept": kept})
    if not any(run["points"] for run in runs):
        return None
    samples, n_left_out = _samples(evidence, book)
    return {"runs": runs, "samples": samples, "n_left_out": n_left_out}


def sample_files(run: RunEvidence) -> dict[int, Path]:
    """Return step -> the Parquet file of a checkpoint's samples."""
    if run.samples is None:
        return {}
    return {int(path.stem.split("-")[1]): path for path in sorted(run.samples.parent.glob("step-*.parquet"))}


def _reading(row: Mapping[str, Any], metric: str) -> dict[str, Any]:
    interval = interval95(row)
    return {
        "metric": metric,
        "value": row["value"],
        "text": number(row["value"]),
        "spread": f"{number(interval[0])} to {number(interval[1])}" if interval else "no interval",
        "n": row.get("n"),
        "n_unscored": row.get("n_unscored"),
    }


def _samples(evidence: Evidence, book: PictureBook) -> tuple[dict[str, Any], int]:
    """Return key -> the samples of a checkpoint, and how many checkpoints with samples are left out."""
    wanted = _in_order_of_use(evidence)
    left, found = SAMPLE_BYTES, {}
    for run, step, path in wanted[:MOST_CHECKPOINTS]:
        shelf = gallery(replace(run, samples=path), "", book, n_clusters=N_CLUSTERS, n_examples=N_EXAMPLES)
        data = _shelf(shelf)
        left -= len(json.dumps(data))
        if left < 0:
            break
        found[point_key(evidence, run, step)] = data
    return found, len(wanted) - len(found)


def _in_order_of_use(evidence: Evidence) -> list[tuple[RunEvidence, int, Path]]:
    """Return the kept checkpoints: last ones, then priors, then every second of the rest, then what remains."""
    ranked = []
    for run in evidence.runs:
        files = sample_files(run)
        last = max(files, default=-1)
        middle = [step for step in files if step not in (0, last)]
        for step, path in files.items():
            rank = 0 if step == last else 1 if step == 0 else 2 + middle.index(step) % 2
            ranked.append((rank, run.seed, run, step, path))
    ranked.sort(key=lambda entry: entry[:2])
    return [(run, step, path) for _, _, run, step, path in ranked]


def _shelf(shelf: Gallery) -> dict[str, Any]:
    lists = {"clusters": shelf.clusters, "best": shelf.best, "typical": shelf.typical, "invalid": shelf.invalid}
    return {
        "n": shelf.n,
        "n_parsable": shelf.n_parsable,
        "n_valid": shelf.n_valid,
        "n_keys": shelf.n_keys,
        "rest_share": shelf.rest_share,
        **{name: [_card(example) for example in examples] for name, examples in lists.items()},
    }


def _card(example: Example) -> dict[str, Any]:
    return {
        "text": example.text,
        "picture": example.picture,
        "prompt": example.prompt,
        "quality": number(example.quality),
        "seq_logp": number(example.seq_logp, 1),
        "count": example.count,
        "share": example.share,
        "parsable": example.parsable,
        "n_characters": example.n_characters,
    }
