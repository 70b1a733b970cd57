"""The first checkpoints of a run: what a forecast may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from breadth.laws.runs import rows_by_step


@dataclass(frozen=True)
class Prefix:
    """The checkpoints of a run up to a step that have both R and D."""

    step: np.ndarray  # (n,)
    quality: np.ndarray  # (n,)
    diversity: np.ndarray  # (n,)
    quality_sets: list[list[float | None]]
    diversity_sets: list[list[float | None]]
    errors: tuple[float | None, float | None]  # of one measurement of R, of D: root mean square over checkpoints
    last_errors: tuple[float | None, float | None]  # of the last one
    entropy: np.ndarray | None = None  # (n,) nats per token; None where a checkpoint has none


def read_prefix(
    run: Any, at_step: float | None, metric: str, quality_metric: str, entropy_metric: str | None = None
) -> tuple[Prefix, float]:
    """Return the checkpoints of a run up to a step, and the last of their steps (with or without values).

    Raises
    ------
    ValueError
        Where the run has no rows of a metric, or none up to ``at_step``.

    Source: none. Departures: none.
    """
    r, d = rows_by_step(run, quality_metric), rows_by_step(run, metric)
    every = sorted(set(r) | set(d))
    seen = [s for s in every if at_step is None or s <= at_step]
    if not seen:
        raise ValueError(
            f"at_step: expected {every[0]:g} or later, where the checkpoints of the run begin, got {at_step}"
        )
    both = [s for s in seen if _value(r.get(s)) is not None and _value(d.get(s)) is not None]
    q, v = (np.array([rows[s]["value"] for s in both], dtype=float) for rows in (r, d))
    sets = [[list(rows[s].get("sets") or []) or [rows[s]["value"]] for s in both] for rows in (r, d)]
    columns = [[rows[s].get("error") for s in both] for rows in (r, d)]
    errors, last = (_typical(columns[0]), _typical(columns[1])), tuple(_typical(column[-1:]) for column in columns)
    steps = np.array(both, dtype=float)
    h = None if entropy_metric is None else _entropies(run, entropy_metric, both)
    return Prefix(steps, q, v, sets[0], sets[1], errors, (last[0], last[1]), h), float(seen[-1])


def _entropies(run: Any, metric: str, steps: list[float]) -> np.ndarray | None:
    try:
        rows = rows_by_step(run, metric)
    except ValueError:  # a run that was measured without it
        return None
    values = [_value(rows.get(s)) for s in steps]
    return None if None in values else np.array(values, dtype=float)


def _value(row: Mapping[str, Any] | None) -> float | None:
    value = None if row is None else row["value"]
    return None if value is None or not np.isfinite(value) else value


def _typical(errors: list[float | None]) -> float | None:
    known = [e for e in errors if e is not None and np.isfinite(e)]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None
