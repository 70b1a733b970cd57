"""Many methods against one baseline: p-values that keep the chance of any false finding at 5 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from breadth.records import Lift

LEVEL = 0.05


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values, in the order given; None stays None and is not counted.

    p̃₍ⱼ₎ = max over i ≤ j of min(1, (m − i + 1)·p₍ᵢ₎) for the m sorted p-values.

    Source: Holm (1979). Departures: none.

    Examples
    --------
    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    known = [(p, i) for i, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(sorted(known)):
        highest = max(highest, min(1.0, (len(known) - rank) * p))
        adjusted[i] = highest
    return adjusted


def correct_lifts(lifts: Sequence[Lift]) -> list[Lift]:
    """Return the lifts of one family (one place, one baseline) with ``p_holm`` and ``verdict_holm``.

    "bought" and "lost" become "cannot tell" where Holm's p exceeds 5 %; the other verdicts stay.

    Source, Departures: as :func:`holm`.
    """
    adjusted = holm([lift.p for lift in lifts])
    return [
        replace(
            lift,
            p_holm=p,
            verdict_holm="cannot tell"
            if lift.verdict in ("bought", "lost") and not (p is not None and p <= LEVEL + np.finfo(float).eps)
            else lift.verdict,
        )
        for lift, p in zip(lifts, adjusted, strict=True)
    ]
