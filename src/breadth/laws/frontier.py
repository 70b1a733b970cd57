"""The attainment frontier: the most diversity that a run still had while its quality was at least q.

The highest of many noisy readings is too high on average (winner's curse). So the checkpoint is chosen on one half of
the sample sets and read on the other half, both ways round, and the two readings are averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Sets = Sequence[Sequence[float | None]]  # per checkpoint, the value in each independent sample set (None = it had none)


@dataclass(frozen=True, slots=True)
class Attainment:
    """Diversity at a quality; ``value`` is None with the ``reason`` where the quality was never reached."""

    quality: float
    value: float | None
    error: float | None  # standard error of the reading; None where a half has one set only
    n: int  # sample sets that the value rests on
    steps: tuple[float, ...]  # the checkpoints chosen: by the even sets, by the odd sets
    quality_read: float | None  # mean R of those checkpoints on the sets they were not chosen on
    reason: str | None = None


def diversity_at_quality(
    quality_sets: Sets, diversity_sets: Sets, quality: float, steps: Sequence[float] | None = None
) -> Attainment:
    """Return the highest diversity among the checkpoints with mean R ≥ q, free of the winner's curse.

    Sets 0, 2, 4, … choose: of the checkpoints whose mean R over them is at least q, the one with the highest mean D
    over them. Sets 1, 3, 5, … are read: their mean D at that checkpoint. Then the other way round; the value is the
    average.

    Parameters
    ----------
    quality_sets, diversity_sets : C sequences of K numbers or None
        Per checkpoint, R and D in each of K independent sample sets, in the same order of sets. None = the set had no
        value.
    quality : float
        q, in the unit of R.
    steps : C numbers, optional
        Training step of each checkpoint; None = 0, 1, 2, …

    Returns
    -------
    Attainment
        ``error`` = √(e₁² + e₂²)/2 with eᵢ the standard error of the mean over the read half. Reached on one half
        only: the one reading, and ``reason`` says so. Checkpoints with fewer than two sets cannot be split: where
        none has two, the plain maximum is given and ``reason`` says that it is biased upwards.

    Raises
    ------
    ValueError
        Lengths that differ, or no checkpoint at all.

    Source: this project's definition of diversity at a quality. Departures: none.

    Examples
    --------
    >>> R = [[0.5, 0.5, 0.5, 0.5], [0.9, 0.92, 0.91, 0.93], [1.0, 1.0, 1.0, 1.0]]
    >>> D = [[0.9, 0.9, 0.9, 0.9], [0.6, 0.62, 0.6, 0.62], [0.1, 0.1, 0.1, 0.1]]
    >>> found = diversity_at_quality(R, D, 0.9, steps=[0, 50, 100])
    >>> round(found.value, 3), found.steps
    (0.61, (50.0, 50.0))
    >>> diversity_at_quality(R, D, 1.1).reason
    'R >= 1.1 was never reached: the highest mean R is 1.000'
    """
    r, d, where = _matrices(quality_sets, diversity_sets, steps)
    if np.isfinite(r).sum(1).max() < 2:
        return _unsplit(_row_means(r), _row_means(d), quality, where)
    readings, chosen = [], []
    for choose, read in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        mean_r, mean_d = _row_means(r[:, choose]), _row_means(d[:, choose])
        eligible = (mean_r >= quality) & np.isfinite(mean_d)
        if not eligible.any():
            continue
        best = int(np.where(eligible, mean_d, -np.inf).argmax())
        chosen.append(float(where[best]))
        values = d[best, read][np.isfinite(d[best, read])]
        if values.size:
            error = float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else None
            readings.append((float(values.mean()), error, values.size, float(_row_means(r[best : best + 1, read])[0])))
    if not readings:
        if chosen:
            reason = f"no diversity was measured in the sets that read the checkpoint at step {chosen[0]:g}"
        else:
            reason = _never(_row_means(r), quality)
        return Attainment(quality, None, None, 0, tuple(chosen), None, reason)
    errors = [error for _, error, _, _ in readings if error is not None]
    return Attainment(
        quality=quality,
        value=float(np.mean([value for value, _, _, _ in readings])),
        error=None if len(errors) < len(readings) else float(np.sqrt(np.sum(np.square(errors)))) / len(errors),
        n=sum(size for _, _, size, _ in readings),
        steps=tuple(chosen),
        quality_read=float(np.mean([read for _, _, _, read in readings])),
        reason=None if len(readings) == 2 else f"R >= {quality:g} was reached on one half of the sample sets only",
    )


def attainment_curve(
    quality_sets: Sets, diversity_sets: Sets, qualities: Iterable[float], steps: Sequence[float] | None = None
) -> tuple[Attainment, ...]:
    """Return :func:`diversity_at_quality` over a grid of qualities, for plots.

    The curve falls by definition; read on fresh sets it may rise a little between neighbours, by noise.

    Source, Departures: as there.

    Examples
    --------
    >>> curve = attainment_curve([[0.5, 0.5], [0.9, 0.9]], [[0.8, 0.8], [0.3, 0.3]], [0.4, 0.8, 1.0])
    >>> [point.value for point in curve]
    [0.8, 0.3, None]
    """
    return tuple(diversity_at_quality(quality_sets, diversity_sets, float(q), steps) for q in qualities)


def attainment_matrix(quality_sets: Sets, diversity_sets: Sets, qualities: np.ndarray) -> np.ndarray:
    """Return the values of :func:`attainment_curve` as one (m,) array, NaN where there is none: the same, at once.

    Source, Departures: as :func:`diversity_at_quality`.

    Examples
    --------
    >>> attainment_matrix([[0.5, 0.5], [0.9, 0.9]], [[0.8, 0.8], [0.3, 0.3]], np.array([0.4, 0.8, 1.0]))
    array([0.8, 0.3, nan])
    """
    r, d, _ = _matrices(quality_sets, diversity_sets, None)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    split = np.isfinite(r).sum(1).max() >= 2
    halves = ((even, odd), (odd, even)) if split else ((slice(None), slice(None)),)
    readings = []
    for choose, read in halves:
        mean_r, mean_d, fresh = _row_means(r[:, choose]), _row_means(d[:, choose]), _row_means(d[:, read])
        eligible = (mean_r[None, :] >= qualities[:, None]) & np.isfinite(mean_d)  # (m, C)
        best = np.where(eligible, mean_d, -np.inf).argmax(1)
        readings.append(np.where(eligible.any(1), fresh[best], np.nan))
    return _row_means(np.array(readings).T)


def highest_reached(quality_sets: Sets, diversity_sets: Sets) -> float | None:
    """Return the highest q that a run reaches on both halves of its sample sets, so that D can be read at it both ways.

    The maximum over checkpoints of mean R, on the even and on the odd sets: the lower of the two. None where no
    checkpoint has a value. With fewer than two sets per checkpoint: the plain maximum.

    Source: this project's. Departures: none.

    Examples
    --------
    >>> highest_reached([[0.5, 0.6], [0.8, 0.9]], [[0.4, 0.4], [0.3, 0.3]])
    0.8
    """
    r, d, _ = _matrices(quality_sets, diversity_sets, None)
    parts = [slice(0, None, 2), slice(1, None, 2)] if np.isfinite(r).sum(1).max() >= 2 else [slice(None)]
    peaks = []
    for part in parts:
        mean_r = np.where(np.isfinite(_row_means(d[:, part])), _row_means(r[:, part]), np.nan)
        if np.isnan(mean_r).all():
            return None
        peaks.append(float(np.nanmax(mean_r)))
    return min(peaks)


def highest_common_quality(methods: Mapping[str, Iterable[tuple[Sets, Sets]]]) -> float | None:
    """Return the highest quality that every run of every method reaches.

    Parameters
    ----------
    methods : mapping from a method's label to the (quality_sets, diversity_sets) of each of its runs

    Returns
    -------
    float or None
        The minimum of :func:`highest_reached`; None where a run has no value or there are no runs.

    Source: this project's. Departures: none.

    Examples
    --------
    >>> weak, strong = ([[0.7, 0.7]], [[0.5, 0.5]]), ([[0.9, 0.9]], [[0.5, 0.5]])
    >>> highest_common_quality({"a": [strong], "b": [weak, strong]})
    0.7
    """
    reached = [highest_reached(r, d) for runs in methods.values() for r, d in runs]
    if not reached or None in reached:
        return None
    return min(reached)  # type: ignore[type-var]


def _matrices(quality_sets: Sets, diversity_sets: Sets, steps: Sequence[float] | None) -> tuple[Any, ...]:
    n = len(quality_sets)
    if n == 0:
        raise ValueError("quality_sets: expected at least one checkpoint, got none")
    if len(diversity_sets) != n:
        raise ValueError(f"quality_sets and diversity_sets: expected equal lengths, got {n} and {len(diversity_sets)}")
    if steps is not None and len(steps) != n:
        raise ValueError(f"steps: expected {n} numbers, got {len(steps)}")
    width = max(1, *(len(row) for row in (*quality_sets, *diversity_sets)))
    r, d = (_padded(sets, width) for sets in (quality_sets, diversity_sets))
    return r, d, np.arange(n) if steps is None else np.asarray(steps, dtype=float)


def _padded(sets: Sets, width: int) -> np.ndarray:
    matrix = np.full((len(sets), width), np.nan)
    for i, row in enumerate(sets):
        matrix[i, : len(row)] = np.array(row, dtype=float)  # None becomes NaN
    return matrix  # (C, K)


def _row_means(values: np.ndarray) -> np.ndarray:
    """Mean over the sets that have a value; NaN where none has."""
    known = np.isfinite(values)
    count = known.sum(1)
    total = np.where(known, values, 0.0).sum(1)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def _unsplit(r: np.ndarray, d: np.ndarray, quality: float, steps: np.ndarray) -> Attainment:
    eligible = (np.nan_to_num(r, nan=-np.inf) >= quality) & np.isfinite(d)
    if not eligible.any():
        return Attainment(quality, None, None, 0, (), None, _never(r, quality))
    best = int(np.where(eligible, d, -np.inf).argmax())
    reason = "one sample set per checkpoint: chosen and read on the same data, so biased upwards"
    return Attainment(quality, float(d[best]), None, 1, (float(steps[best]),), float(r[best]), reason)


def _never(mean_r: np.ndarray, quality: float) -> str:
    if not np.isfinite(mean_r).any():
        return "no checkpoint has a measured quality"
    highest = float(np.nanmax(mean_r))
    if highest >= quality:
        return f"no diversity was measured at the checkpoints with R >= {quality:g}"
    return f"R >= {quality:g} was never reached: the highest mean R is {highest:.3f}"
