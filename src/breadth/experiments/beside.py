"""Runs on disk at one and the same quality, beside their own laws, a published law and a tilted corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from breadth.experiments.compare import Metrics, check_comparable, fit_group
from breadth.experiments.equal_quality import Level, levels, read_tilt
from breadth.experiments.summary import over_seeds
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.published import law_from_text, published_law
from breadth.laws.runs import run_sets
from breadth.ledger.rows import finite
from breadth.ledger.run import Run


@dataclass(frozen=True, slots=True)
class Beside:
    """The lines, and which law and which file stand beside the policies (None = none)."""

    law: str | None
    tilt: str | None
    rows: tuple[Level, ...]


def beside_runs(
    runs: dict[str, list[Run]],
    *,
    qualities: Sequence[float],
    diversity: str = "diversity_valid",
    tilt: Path | None = None,
    law: str | None = None,
) -> Beside:
    """Return D of every objective at each quality, read on its attainment frontier, beside what else there is at it.

    Parameters
    ----------
    runs : label -> runs
        As :func:`breadth.experiments.compare.load_runs`.
    qualities : floats
    diversity : str
        Metric read as D on the frontier; the laws are fitted to ``diversity``.
    tilt : Path, optional
        What ``breadth tilt`` wrote.
    law : str, optional
        ``a,b,c``; default: the law that was published for the runs' oracle, if any.

    Raises
    ------
    ValueError, FileNotFoundError
        Runs that cannot be compared; a file or a law that cannot be read.
    """
    check_comparable(runs)
    points = [] if tilt is None else read_tilt(tilt)
    task = next(iter(runs.values()))[0].settings.get("task") or {}
    other = law_from_text(law) if law is not None else published_law(task.get("kind"), task.get("oracle"))
    entries = {}
    for label, members in runs.items():
        read = [run_sets(run, "quality", diversity) for run in members]
        rows = [
            {"quality": q, **over_seeds([finite(diversity_at_quality(r, d, q, steps).value) for steps, r, d in read])}
            for q in qualities
        ]
        fit = fit_group(members, Metrics(frontier_diversity=diversity)).get("R-D")
        fits = (
            {}
            if fit is None
            else {
                "R-D": {
                    "form": fit.form,
                    "verdict": fit.verdict,
                    "reason": fit.reason,
                    "params": {k: asdict(p) for k, p in fit.params.items()},
                }
            }
        )
        entries[label] = {"at_quality": rows, "fits": fits}
    found = levels(entries, qualities, tilt=points, published=other)
    return Beside(None if other is None else other.name, None if tilt is None else str(tilt), tuple(found))
