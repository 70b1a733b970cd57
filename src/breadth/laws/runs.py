"""What the laws take from a run, by its manners and not by its type: ``.seed``, ``.label`` and ``.series(metric)``.

``series`` returns rows (mappings with ``step``, ``value``, ``sets``), as :func:`breadth.load_run` provides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def by_seed(runs: Any, name: str) -> dict[int, Any]:
    """Return the runs by seed.

    Raises
    ------
    TypeError
        For something that is not a run.
    ValueError
        For no runs, or a seed that occurs twice.
    """
    many = list(runs) if isinstance(runs, Iterable) and not isinstance(runs, str | bytes) else [runs]
    if not many:
        raise ValueError(f"{name}: expected at least one run, got none")
    found: dict[int, Any] = {}
    for run in many:
        if not hasattr(run, "series") or not hasattr(run, "seed"):
            raise TypeError(f"{name}: expected runs as breadth.load_run(path) returns them, got {type(run).__name__}")
        if run.seed in found:
            raise ValueError(f"{name}: seed {run.seed} occurs twice; runs are paired by seed")
        found[run.seed] = run
    return found


def rows_by_step(run: Any, metric: str) -> dict[float, Any]:
    """Return a run's rows of one metric by step; ValueError where it has none."""
    rows = {row["step"]: row for row in run.series(metric)}
    if not rows:
        raise ValueError(f"{run.label}, seed {run.seed}: no rows of {metric!r} in its ledger")
    return rows


def run_sets(run: Any, quality_metric: str = "quality", metric: str = "diversity_valid") -> tuple[list[Any], list[Any], list[Any]]:
    """Return (steps, quality_sets, diversity_sets) of the checkpoints where a run has both metrics.

    A row without ``sets`` counts as one set that holds its value.

    Raises
    ------
    ValueError
        Where the run has no rows of a metric, or no step has both.

    Source: none. Departures: none.
    """
    r, d = rows_by_step(run, quality_metric), rows_by_step(run, metric)
    steps = sorted(set(r) & set(d))
    if not steps:
        raise ValueError(f"{run.label}, seed {run.seed}: no step has both {quality_metric!r} and {metric!r}")
    quality, diversity = ([list(rows[s]["sets"]) or [rows[s]["value"]] for s in steps] for rows in (r, d))
    return steps, quality, diversity
