"""Ledger rows that only molecules have: circles, hits, diverse hits and scaffolds among all samples of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breadth.records import Measurement
from breadth.tasks.molecule_cache import Entry
from breadth.tasks.molecule_sets import CIRCLE_DISTANCE, murcko_scaffolds, sphere_exclusion

HIT_DISTANCE = 0.7  # of diverse hits, Renz et al. 2024


def molecule_measurements(
    entries: Sequence[Entry | None], scores: np.ndarray, *, correct_at: float
) -> list[Measurement]:
    """Return four counts over the distinct molecules of all sample sets together.

    Parameters
    ----------
    entries : n entries of a molecule cache
        None where a text cannot be parsed.
    scores : (n,) float
        NaN where the oracle failed: that molecule is no hit and is counted in ``n_unscored``.
    correct_at : float
        Score from which a molecule is a hit.

    Returns
    -------
    list of Measurement
        - ``circles``: molecules that are pairwise further apart than 0.75, taken greedily in the order of sampling.
        - ``hits``: distinct molecules with a score of ``correct_at`` or more.
        - ``diverse_hits``: hits that are pairwise further apart than 0.7, in the same way.
        - ``scaffolds``: distinct Murcko scaffolds; molecules without a ring have none.

        Counts of a fixed number of samples: they grow with it, so compare equal ``n``. No error, no sets. ``circles`` and
        ``diverse_hits`` are lower bounds, as all greedy packings.

    Source: circles: Xie et al., arXiv 2112.12542; diverse hits: Renz et al., J. Chem. Inf. Model. 64, 5756 (2024).
    Departures: greedy in the order of sampling; hits are those of the samples, not of all oracle calls of the training.
    """
    scores = np.asarray(scores, dtype=float)
    failed = np.isnan(scores)
    distinct: dict[str, tuple[Entry, float]] = {}
    for entry, score in zip(entries, scores.tolist(), strict=True):
        if entry is not None:
            distinct.setdefault(entry.canonical, (entry, score))
    prints = np.array([entry.fingerprint for entry, _ in distinct.values()], dtype=np.uint64)
    hit = np.array([score >= correct_at for _, score in distinct.values()], dtype=bool)  # NaN compares False
    counts = {"circles": 0, "hits": int(hit.sum()), "diverse_hits": 0, "scaffolds": 0}
    if distinct:
        counts["circles"] = len(sphere_exclusion(prints, distance=CIRCLE_DISTANCE))
        counts["diverse_hits"] = len(sphere_exclusion(prints[hit], distance=HIT_DISTANCE))
        counts["scaffolds"] = len(set(murcko_scaffolds(distinct)) - {None, ""})
    n, n_failed = int((~failed).sum()), int(failed.sum())
    unit = {"scaffolds": "scaffolds"}
    return [Measurement(name, float(v), None, n, n_failed, unit.get(name, "molecules")) for name, v in counts.items()]
