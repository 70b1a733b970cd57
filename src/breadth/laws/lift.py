"""Method against method: what A bought or lost in diversity against B at equal quality, paired over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import t as t_distribution

from breadth.laws.frontier import Attainment, diversity_at_quality
from breadth.laws.power import seeds_that_would_tell
from breadth.laws.runs import by_seed, rows_by_step, run_sets
from breadth.records import Lift


def lift(
    runs_a: Any,
    runs_b: Any,
    at_quality: float | None = 0.9,
    metric: str = "diversity_valid",
    margin: float = 0.02,
    quality_metric: str = "quality",
) -> Lift:
    """Return the diversity of method A minus that of method B at equal quality, paired over seeds, with its verdict.

    Parameters
    ----------
    runs_a, runs_b : a run or a sequence of runs
        As :func:`breadth.load_run` returns them: each has ``.seed``, ``.label`` and ``.series(metric)``, a list of rows
        with ``step``, ``value`` and ``sets``. Runs are paired by seed.
    at_quality : float or None
        q of "mean R ≥ q": D is read on the attainment frontier (:func:`breadth.laws.frontier.diversity_at_quality`).
        None = at equal rollouts: the last step that all paired runs share.
    metric, quality_metric : str
        Ledger names of D and R.
    margin : float
        δ of "the same within δ", in units of D.

    Returns
    -------
    Lift
        A run that never reaches q has None in ``values_a`` or ``values_b``, and the sentence says so; so it does for
        seeds that only one method has.

    Raises
    ------
    TypeError
        For something that is not a run (a path: load it first).
    ValueError
        For no runs, a seed that occurs twice, runs without rows of the metric, or margin ≤ 0.

    Source: this project's four verdicts. Departures: none.

    Examples
    --------
    >>> class Run:
    ...     def __init__(self, label, seed, d):
    ...         self.label, self.seed, self.d = label, seed, d
    ...     def series(self, metric):
    ...         value = 0.95 if metric == "quality" else self.d
    ...         return [{"step": 0, "value": value, "sets": [value] * 4}]
    >>> a, b = ([Run(name, s, d + s / 500) for s in range(3)] for name, d in (("darling", 0.8), ("grpo", 0.3)))
    >>> lift(a, b).verdict
    'bought'
    """
    side_a, side_b = by_seed(runs_a, "runs_a"), by_seed(runs_b, "runs_b")
    label_a, label_b = (next(iter(side.values())).label for side in (side_a, side_b))
    seeds = sorted(set(side_a) | set(side_b))
    if at_quality is None:
        values, at = _at_the_end([side_a, side_b], seeds, metric)
    else:
        at = f"R >= {at_quality:.2f}" if round(at_quality, 2) == at_quality else f"R >= {at_quality:.4g}"
        values = [
            [_on_frontier(side[s], at_quality, quality_metric, metric).value if s in side else None for s in seeds]
            for side in (side_a, side_b)
        ]
    lonely = [s for s in seeds if s not in side_a or s not in side_b]
    return lift_from_values(
        values[0],
        values[1],
        seeds=seeds,
        at=at,
        quality=at_quality,
        margin=margin,
        labels=(label_a, label_b),
        unpaired=lonely,
    )


def lift_from_values(
    values_a: Sequence[float | None],
    values_b: Sequence[float | None],
    *,
    seeds: Sequence[int] | None = None,
    at: str = "end of run",
    quality: float | None = None,
    margin: float = 0.02,
    labels: tuple[str, str] = ("A", "B"),
    unpaired: Sequence[int] = (),
) -> Lift:
    """Return the paired difference A − B over seeds, its Student-t 95 % interval and one of four verdicts.

    *the same*: two one-sided t-tests at 5 % place the difference inside (−δ, δ), that is, its 90 % interval lies there.
    *bought* / *lost*: otherwise, the 95 % interval lies above / below 0. *cannot tell*: neither, with the number of
    seeds that would tell (80 % power for the larger of the observed difference and δ, at the observed spread).

    Parameters
    ----------
    values_a, values_b : S numbers or None
        D of A and of B in each seed, same order; None = never reached (not a zero, not dropped silently).
    seeds : S ints, optional
        Their names; None = 0, 1, 2, …
    at : str
        Where D was read: "R >= 0.90", "end of run".
    quality, margin : float
    labels : (str, str)
        Names of A and B in the sentence.
    unpaired : ints
        Seeds that only one method has: named in the sentence apart from those that did not reach q.

    Returns
    -------
    Lift
        ``value``, ``low``, ``high`` are None with no pair, ``low`` and ``high`` also with one. ``n_seeds`` counts
        pairs. ``p`` is the paired t-test's; ``seeds_for_margin`` is how many seeds would find a difference of δ with 80 %
        power at the observed spread (None below two pairs, or beyond 10,000).

    Raises
    ------
    ValueError
        Lengths that differ, no seed, margin ≤ 0, values that are not finite.

    Source: Schuirmann (1987) for the two one-sided tests; the verdicts are this project's. Departures: a difference
    that is both significant and inside (−δ, δ) counts as "the same": δ says what is worth a name.

    Examples
    --------
    >>> found = lift_from_values([0.80, 0.83, 0.79], [0.31, 0.30, 0.33], labels=("darling", "grpo"), at="R >= 0.90")
    >>> found.verdict, round(found.value, 3)
    ('bought', 0.493)
    >>> found.sentence
    'darling bought 0.493 of diversity against grpo at R >= 0.90 (95 % interval 0.406 to 0.581; 3 seeds).'
    """
    names = list(range(len(values_a))) if seeds is None else list(seeds)
    a, b = _finite(values_a, "values_a"), _finite(values_b, "values_b")
    if not len(a) == len(b) == len(names):
        raise ValueError(f"values_a, values_b, seeds: expected equal lengths, got {len(a)}, {len(b)} and {len(names)}")
    if not a:
        raise ValueError("values_a: expected at least one seed, got none")
    if not margin > 0:
        raise ValueError(f"margin: expected a positive number, got {margin}")
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    missing = _missing([a, b], labels, names, at, unpaired, quality is None)
    value: float | None = None
    low = high = needed = p_value = for_margin = None
    difference = np.array([x - y for x, y in pairs])
    if pairs:
        value = float(difference.mean())
    if value is not None and len(pairs) >= 2:
        error = float(difference.std(ddof=1) / np.sqrt(len(pairs)))
        low, high = (value + float(t_distribution.ppf(p, len(pairs) - 1)) * error for p in (0.025, 0.975))
        half = float(t_distribution.ppf(0.95, len(pairs) - 1)) * error
        verdict = _verdict(value, low, high, half, margin)
        spread = float(difference.std(ddof=1))
        freedom = len(pairs) - 1
        p_value = float(2 * t_distribution.sf(abs(value) / error, freedom)) if error > 0 else float(value == 0)
        for_margin = seeds_that_would_tell(spread, margin, 1)
    else:
        verdict = "cannot tell"
    if value is not None and verdict == "cannot tell" and len(pairs) >= 2:
        needed = seeds_that_would_tell(spread, max(abs(value), margin), len(pairs))
    return Lift(
        at=at,
        quality=quality,
        value=value,
        low=low,
        high=high,
        n_seeds=len(pairs),
        margin=margin,
        verdict=verdict,
        seeds_needed=needed,
        sentence=_sentence(verdict, value, low, high, len(pairs), needed, margin, at, labels, missing),
        a=labels[0],
        b=labels[1],
        values_a=tuple(a),
        values_b=tuple(b),
        p=p_value,
        seeds_for_margin=for_margin,
    )


def _verdict(value: float, low: float, high: float, half: float, margin: float) -> str:
    if -margin < value - half and value + half < margin:
        return "the same"
    if low > 0:
        return "bought"
    return "lost" if high < 0 else "cannot tell"


def _sentence(
    verdict: str,
    value: float | None,
    low: float | None,
    high: float | None,
    n: int,
    needed: int | None,
    margin: float,
    at: str,
    labels: tuple[str, str],
    missing: str,
) -> str:
    a, b = labels
    end = f"; {missing}." if missing else "."
    place = at if at.startswith("the ") else f"the {at}" if at.startswith("end") else at
    if value is None:
        return f"Cannot tell whether {a} bought or lost diversity against {b} at {place}: no seed has both values{end}"
    if low is None or high is None:
        return (
            f"Cannot tell whether {a} bought or lost diversity against {b} at {place}: difference {value:+.3f} "
            f"in one seed only, no interval{end}"
        )
    interval = f"95 % interval {low:.3f} to {high:.3f}; {n} seeds"
    if verdict in ("bought", "lost"):
        return f"{a} {verdict} {abs(value):.3f} of diversity against {b} at {place} ({interval}){end}"
    if verdict == "the same":
        found = f"difference {value:+.3f}, {interval}"
        return f"{a} and {b} keep the same diversity within {margin:g} at {place} ({found}){end}"
    more = "no feasible number of seeds would tell" if needed is None else f"about {needed} seeds would tell"
    return (
        f"Cannot tell whether {a} bought or lost diversity against {b} at {place}: difference {value:+.3f} "
        f"({interval}); {more}{end}"
    )


def _missing(
    values: list[Any], labels: tuple[str, str], seeds: list[Any], at: str, unpaired: Sequence[int], at_a_step: bool
) -> str:
    parts = []
    for label, side in zip(labels, values, strict=True):
        gone = [seed for seed, value in zip(seeds, side, strict=True) if value is None and seed not in unpaired]
        if gone and len(gone) == len(seeds) - len(unpaired):
            what = f"{label} has no diversity there" if at_a_step else f"{label} never reached {at}"
            parts.append(what + (f" in any of {len(gone)} seeds" if len(gone) > 1 else ""))
        elif gone:
            what = f"{label} has no diversity there" if at_a_step else f"{label} did not reach {at}"
            parts.append(f"{what} in {_listed(gone)}, left out of the pairs")
    if unpaired:
        parts.append(f"only one of the two has {_listed(list(unpaired))}")
    return "; ".join(parts)


def _listed(seeds: list[Any]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(map(str, seeds))}"


def _finite(values: Sequence[float | None], name: str) -> list[float | None]:
    found = [None if value is None else float(value) for value in values]
    for i, value in enumerate(found):
        if value is not None and not np.isfinite(value):
            raise ValueError(f"{name}: entry {i} is {value}; a missing value is None, every other one is finite")
    return found


def _on_frontier(run: Any, quality: float, quality_metric: str, metric: str) -> Attainment:
    steps, r, d = run_sets(run, quality_metric, metric)
    return diversity_at_quality(r, d, quality, steps)


def _at_the_end(sides: list[dict[int, Any]], seeds: list[Any], metric: str) -> tuple[list[list[Any]], str]:
    rows = [{seed: rows_by_step(run, metric) for seed, run in side.items()} for side in sides]
    # a run without a partner (one that has only begun, say) takes no part in the difference, nor in where it is read
    pairs = [s for s in seeds if all(s in side for side in rows)] or seeds
    every = [side[s] for side in rows for s in pairs if s in side]
    shared = set.intersection(*(set(series) for series in every))
    if not shared:
        raise ValueError(f"{metric!r}: the runs share no step, so there is no equal number of rollouts to compare at")
    last = max(shared)
    at = "end of run" if all(last == max(series) for series in every) else f"the last step that all runs share ({last})"
    return [[side[s][last]["value"] if s in side and last in side[s] else None for s in seeds] for side in rows], at
