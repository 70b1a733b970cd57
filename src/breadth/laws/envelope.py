"""A run's decoding sweep beside its checkpoints, and what "bought" is worth against the envelope of the baseline's.

A method that keeps diversity at a quality may only do what a lower temperature does to the baseline for nothing. The envelope is
the attainment frontier over all checkpoints *and* all decoding conditions of a run; a method that bought diversity against the plain
frontier is held against that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from breadth.laws.frontier import Attainment, diversity_at_quality
from breadth.laws.lift import lift
from breadth.laws.multiple import correct_lifts
from breadth.laws.runs import run_sets
from breadth.records import Lift

CONDITIONS = ("temperature", "top_k", "top_p", "min_p")
PLAIN: Mapping[str, float] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}


class Swept:
    """A run with its sweep, as the laws read runs: every pair (checkpoint, condition) stands as a checkpoint of its own.

    Parameters
    ----------
    run : a run
        As :func:`breadth.load_run` returns it.
    rows : sequence of mappings
        Rows of its ``sweep.jsonl``: ledger rows with the columns of ``CONDITIONS``.

    Raises
    ------
    ValueError
        For a sweep row that was made from other weights than the ledger's at the same step, or one that lacks a condition.
    """

    def __init__(self, run: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self.run, self.label, self.seed = run, run.label, run.seed
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._names: dict[float, str] = {}
        weights = {row["step"]: row.get("checkpoint") for row in getattr(run, "rows", ())}
        places: dict[tuple[Any, ...], float] = {}
        first = max([*weights, *(row["step"] for row in rows), 0]) + 1  # numbers that no checkpoint has
        for row in rows:
            missing = [name for name in CONDITIONS if name not in row]
            if missing:
                raise ValueError(f"{self.label}, seed {self.seed}: a row of its sweep lacks {', '.join(missing)}")
            step = row["step"]
            if step in weights and row.get("checkpoint") != weights[step]:
                raise ValueError(
                    f"{self.label}, seed {self.seed}: its sweep at step {step} was made from weights {row.get('checkpoint')}, the ledger "
                    f"has {weights[step]}: the run was trained again; delete its sweep.jsonl and sweep it again"
                )
            key = (step, *(row[name] for name in CONDITIONS))
            place = places.setdefault(key, first + len(places))
            self._names[place] = f"step {step}, {condition_words(row)}"
            self._rows.setdefault(row["metric"], []).append({**row, "step": place})
        self.n_conditions = len(places)

    def series(self, metric: str) -> list[dict[str, Any]]:
        """Return the rows of a metric: those of the ledger, then those of the sweep under numbers of their own."""
        return [*self.run.series(metric), *self._rows.get(metric, ())]

    def point(self, step: float) -> str:
        """Return the words for a number that stands for a checkpoint under a condition.

        Examples
        --------
        >>> class Run:
        ...     label, seed, rows = "grpo", 0, ()
        >>> row = {"step": 50, "metric": "quality", "value": 1.0, "sets": [1.0], **PLAIN, "temperature": 0.5}
        >>> Swept(Run(), [row]).point(51)
        'step 50, temperature 0.5'
        """
        return self._names.get(step, f"step {step:g}, as measured in the ledger")


@dataclass(frozen=True)
class EnvelopeLift:
    """Diversity of method A against the baseline at one quality: plain, against the baseline's envelope, envelope on envelope."""

    quality: float
    plain: Lift
    against_envelope: Lift
    both: Lift | None  # A's envelope against the baseline's; None where a run of A was not swept
    verdict: str  # "survives" | "does not survive" | "cannot tell" | "nothing was bought"
    baseline_points: tuple[str, ...]  # the points of the envelope that the baseline's readings rest on
    sentence: str


def condition_words(row: Mapping[str, Any]) -> str:
    """Return the decoding conditions of a row that are not those of plain sampling, in words.

    Examples
    --------
    >>> condition_words({**PLAIN, "temperature": 0.5, "top_p": 0.9}), condition_words(PLAIN)
    ('temperature 0.5, top_p 0.9', 'temperature 1')
    """
    said = [f"{name} {row[name]:g}" for name in CONDITIONS if row[name] != PLAIN[name]]
    return ", ".join(said) or "temperature 1"


def envelope_lifts(
    runs: Sequence[Any],
    baseline: Sequence[Any],
    qualities: Sequence[float],
    *,
    metric: str = "diversity_valid",
    quality_metric: str = "quality",
    margin: float = 0.02,
) -> list[EnvelopeLift]:
    """Return at each quality whether what a method bought survives against the envelope of the baseline's sweep.

    Parameters
    ----------
    runs : runs of the method, plain or :class:`Swept`
    baseline : :class:`Swept` runs of the baseline
    qualities : numbers
        q of "mean R ≥ q".

    Returns
    -------
    list of EnvelopeLift
        Every D is read on sample sets that did not choose the checkpoint and condition, so a larger sweep has no winner's curse.
        *survives*: "bought" against the plain frontier and against the envelope. *does not survive*: bought, then the same or
        lost. *cannot tell*: bought, then cannot tell.

    Raises
    ------
    TypeError
        Where a run of the baseline was not swept.

    Source: this project's. Departures: none.
    """
    unswept = next((run for run in baseline if not isinstance(run, Swept)), None)
    if unswept is not None:
        raise TypeError(
            f"baseline: expected swept runs, got {type(unswept).__name__} for seed {getattr(unswept, 'seed', '?')}"
        )
    plain_a = [run.run if isinstance(run, Swept) else run for run in runs]
    plain_b = [run.run for run in baseline]
    swept = all(isinstance(run, Swept) for run in runs)
    options: dict[str, Any] = {"metric": metric, "margin": margin, "quality_metric": quality_metric}
    found = []
    for q in qualities:
        plain = lift(plain_a, plain_b, at_quality=q, **options)
        against = lift(plain_a, list(baseline), at_quality=q, **options)
        both = lift(list(runs), list(baseline), at_quality=q, **options) if swept else None
        points = []
        for run in baseline:
            at = _attained(run, q, quality_metric, metric)
            points += [f"seed {run.seed}: {run.point(step)}" for step in dict.fromkeys(at.steps)]
        found.append(_judged(q, plain, against, both, tuple(points)))
    return found


def _judged(q: float, plain: Lift, against: Lift, both: Lift | None, points: tuple[str, ...]) -> EnvelopeLift:
    bought, held = (one.verdict_holm or one.verdict for one in (plain, against))
    verdict = {"bought": "survives", "cannot tell": "cannot tell"}.get(held, "does not survive")
    verdict = verdict if bought == "bought" else "nothing was bought"
    return EnvelopeLift(q, plain, against, both, verdict, points, _sentence(plain, against, both, verdict))


def correct_envelopes(family: Sequence[EnvelopeLift]) -> list[EnvelopeLift]:
    """Return the lifts of several methods at one quality, each kind corrected for their number (Holm), and judged after that."""
    lifts: dict[str, list[Lift | None]] = {}
    for kind in ("plain", "against_envelope", "both"):
        lifts[kind] = [getattr(one, kind) for one in family]
        there = [i for i, found in enumerate(lifts[kind]) if found is not None]
        for i, corrected in zip(
            there, correct_lifts([found for found in lifts[kind] if found is not None]), strict=True
        ):
            lifts[kind][i] = corrected
    rows = zip(family, lifts["plain"], lifts["against_envelope"], lifts["both"], strict=True)
    return [
        _judged(one.quality, plain, against, both, one.baseline_points)
        for one, plain, against, both in rows
        if plain is not None and against is not None  # they always are; only `both` may be missing
    ]


def _attained(run: Swept, quality: float, quality_metric: str, metric: str) -> Attainment:
    steps, r, d = run_sets(run, quality_metric, metric)
    return diversity_at_quality(r, d, quality, steps)


def _sentence(plain: Lift, against: Lift, both: Lift | None, verdict: str) -> str:
    a, b, at = plain.a, plain.b, plain.at
    head = {
        "survives": f"What {a} bought against {b} at {at} survives the envelope of {b}'s decoding sweep",
        "does not survive": f"What {a} bought against {b} at {at} does not survive the envelope of {b}'s decoding sweep",
        "cannot tell": f"Cannot tell whether what {a} bought against {b} at {at} survives the envelope of {b}'s decoding sweep",
        "nothing was bought": f"{a} did not demonstrably buy diversity against {b} at {at} to begin with",
    }[verdict]
    parts = [f"plain {_number(plain)}", f"against the envelope {_number(against)}"]
    if both is not None:
        parts.append(f"envelope against envelope {_number(both)}: {both.verdict}")
    return f"{head} ({'; '.join(parts)})."


def _number(found: Lift) -> str:
    if found.value is None:
        return "–"
    tail = "" if found.low is None or found.high is None else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{found.value:+.3f}{tail}"
