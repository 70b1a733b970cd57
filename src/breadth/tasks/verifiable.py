"""What is measured beside quality where answers to a prompt are right or wrong: pass@k, how many different right answers, coverage."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from breadth.metrics.conditions import TextMeasurement
from breadth.metrics.success import coverage, distinct_correct_at_k
from breadth.records import Measurement


def tries(n: int) -> list[int]:
    """Return 1, 2, 4, … up to n, and n itself.

    Examples
    --------
    >>> tries(12), tries(1)
    ([1, 2, 4, 8, 12], [1])
    """
    return sorted({n, *(1 << i for i in range(n.bit_length()))}) if n > 0 else []


def success_rows(
    correct: Sequence[float],
    kind: Sequence[Hashable],
    group: Sequence[int],
    *,
    solutions: Sequence[int] | None = None,
    distinct: bool = True,
) -> list[Measurement]:
    """Return ``pass_at_k`` and ``distinct_correct_at_k`` for k = 1, 2, 4, … , n, and ``solution_coverage``; means over prompts.

    Parameters
    ----------
    correct : (N,) floats
        1 right, 0 wrong, NaN unscored.
    kind : N labels
        Which answers to one prompt are the same.
    group : (N,) ints
        Which sample set (one prompt each); n is the size of the smallest.
    solutions : one number for each set, in order of appearance; optional
        How many different right answers its prompt has in all. ``solution_coverage`` is the share of them that the set found,
        and is not estimated for a prompt without any.
    distinct : bool
        False: no ``distinct_correct_at_k`` (where all right answers are the same).

    Returns
    -------
    list of Measurement
        ``sets`` holds the value of each prompt; ``error`` is the standard error over prompts.

    Source: Chen et al. 2021, arXiv 2107.03374, eq. 1 (pass@k). Departures: none.

    Examples
    --------
    >>> rows = success_rows([1, 1, 0, 0], ["a", "b", "c", "c"], [0, 0, 1, 1], solutions=[4, 1])
    >>> {row.metric: row.value for row in rows}
    {'pass_at_1': 0.5, 'pass_at_2': 0.5, 'distinct_correct_at_1': 0.5, 'distinct_correct_at_2': 1.0, 'solution_coverage': 0.25}
    """
    labels, sizes = np.unique(np.asarray(group), return_counts=True)
    if not labels.size:
        return []
    rows = [_row(coverage(correct, group, k=k)) for k in tries(int(sizes.min()))]
    if distinct:
        rows += [_row(distinct_correct_at_k(correct, kind, group, k=k)) for k in tries(int(sizes.min()))]
    if solutions is not None:
        rows.append(_solution_coverage(correct, kind, group, solutions))
    return rows


def _solution_coverage(
    correct: Sequence[float], kind: Sequence[Hashable], group: Sequence[int], solutions: Sequence[int]
) -> Measurement:
    found: dict[int, set[Hashable]] = {}
    for right, which, label in zip(correct, kind, group, strict=True):
        members = found.setdefault(label, set())
        if right == 1:  # NaN is not
            members.add(which)
    if len(solutions) != len(found):
        raise ValueError(f"solutions: expected one number for each of {len(found)} sets, got {len(solutions)}")
    shares = [len(members) / total if total else None for members, total in zip(found.values(), solutions, strict=True)]
    known = np.array([share for share in shares if share is not None])
    right = np.asarray(correct, dtype=float)
    return Measurement(
        "solution_coverage",
        float(known.mean()) if known.size else None,
        float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else None,
        int((~np.isnan(right)).sum()), int(np.isnan(right).sum()), "share", tuple(shares),
    )  # fmt: skip


def _row(measured: TextMeasurement) -> Measurement:
    """Return the plain row of the ledger."""
    return Measurement(
        measured.metric,
        measured.value,
        measured.error,
        measured.n,
        measured.n_unscored,
        measured.unit,
        tuple(measured.sets),
    )
