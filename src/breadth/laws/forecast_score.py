"""How good forecasts were: finished runs, forecast from their first checkpoints, held against what happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.interpolate import make_smoothing_spline

from breadth.laws.drift import LEARNT, DriftSettings
from breadth.laws.forecast import LEAST_CHECKPOINTS, forecasts
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.future import WIDEN_QUALITY, Widening
from breadth.laws.prefix import read_prefix
from breadth.laws.runs import run_sets
from breadth.records import Prediction

AT_SHARES = (0.1, 0.2, 0.3, 0.5)
TARGETS = (0.9, 0.95)
_LEAST_FOR_SPLINE = 5  # points that a smoothing spline with a chosen penalty needs; below it, a straight line
FINAL_D, FINAL_R = "D at the end", "R at the end"


@dataclass(frozen=True)
class Case:
    """One forecast number and what happened; None where a side has none."""

    run: str
    share: float  # of training that was seen
    quantity: str  # "D at R >= 0.9", FINAL_D, FINAL_R
    truth: float
    predicted: Prediction
    persistence: float
    spline: float
    model: str


@dataclass(frozen=True)
class Reach:
    """One probability that a target is reached, and whether it was; targets that the prefix had reached are left out."""

    run: str
    share: float
    target: float
    probability: float
    verdict: str
    happened: bool


@dataclass(frozen=True)
class Score:
    """Absolute errors of one quantity at one share of training, over runs. None where no run has the number."""

    share: float
    quantity: str
    n: int  # forecasts with a truth and a prediction: the errors are over these
    n_untold: int  # with a truth, but no prediction
    n_law: int  # of n, made by the law
    median: float | None
    median_persistence: float | None
    median_spline: float | None
    mean: float | None
    mean_persistence: float | None
    mean_spline: float | None
    coverage80: float | None  # share of truths inside the 80 % interval
    coverage95: float | None

    def skill(self, against: str, by: str = "median") -> float | None:
        """Return 1 − error / error of the rival ("persistence" or "spline"); None where that is 0 or not known."""
        own, other = getattr(self, by), getattr(self, f"{by}_{against}")
        return None if own is None or not other else 1 - own / other


@dataclass(frozen=True)
class ReachScore:
    """Probabilities of reaching a target at one share of training, over runs and targets."""

    share: float
    n: int
    happened: float  # share of them that were reached
    brier: float  # mean of (probability - happened)^2
    brier_base: float  # of always saying the share that happened, which nobody knows beforehand
    n_yes: int
    n_yes_right: int
    n_no: int
    n_no_right: int


def score_forecasts(
    runs: Iterable[Any],
    shares: Sequence[float] = AT_SHARES,
    targets: Sequence[float] = TARGETS,
    *,
    metric: str = "diversity",
    quality_metric: str = "quality",
    entropy_metric: str = "policy_entropy",
    n_draws: int = 2000,
    seed: int = 0,
    settings: DriftSettings = LEARNT,
    widen_quality: Widening = WIDEN_QUALITY,
) -> tuple[list[Case], list[Reach]]:
    """Return every forecast of finished runs beside what happened.

    Parameters
    ----------
    runs : runs
        As :func:`breadth.forecast` takes them, finished: their last checkpoint is the end of training.
    shares : numbers in (0, 1)
        A forecast at share s sees the checkpoints up to step s·(last step).
    targets : numbers
        Qualities. D at a target is scored where the prefix had not reached it and the run did; the truth is D on the
        attainment frontier of the whole run. Whether it is reached is scored wherever the prefix had not reached it.
    metric, quality_metric, entropy_metric : str
        Ledger names of D, R and H.
    n_draws, seed : int
        Of the forecasts.
    settings, widen_quality
        Of :func:`breadth.forecast`: a calibration on other runs hands over its own.

    Returns
    -------
    list of Case, list of Reach
        The rivals: *persistence* is the last value (D for D at a target), *spline* a smoothing spline over steps
        (cubic, penalty by generalised cross-validation, straight outside; a least-squares line below 5 points) read at
        the end, or at the first later checkpoint where that of R is at the target (none: at the end). It is clipped to
        [0, 1] where all that was seen lies there, as forecasts are. Prefixes with fewer than 3 checkpoints give none.

    Raises
    ------
    ValueError
        For a share outside (0, 1), or a run without rows of a metric.

    Source: none. Departures: none.

    Examples
    --------
    >>> class Run:
    ...     label, seed = "grpo", 0
    ...     def series(self, metric):
    ...         t = np.arange(0, 110, 10)
    ...         d = 0.9 - 0.006 * t
    ...         return [{"step": int(s), "value": float(v), "sets": [], "error": None} for s, v in
    ...                 zip(t, 1.1 - d if metric == "quality" else d)]
    >>> cases, _ = score_forecasts([Run()], shares=[0.5], targets=[0.7])
    >>> [(c.quantity, round(c.truth, 2), round(c.persistence, 2), round(c.spline, 2)) for c in cases]
    [('D at R >= 0.7', 0.36, 0.6, 0.36), ('D at the end', 0.3, 0.6, 0.3), ('R at the end', 0.8, 0.5, 0.8)]
    """
    wrong = next((s for s in shares if not 0 < s < 1), None)
    if wrong is not None:
        raise ValueError(f"shares: expected numbers between 0 and 1, got {wrong}")
    cases: list[Case] = []
    reaches: list[Reach] = []
    for run in runs:
        name = f"{run.label}, seed {run.seed}"
        whole, last = read_prefix(run, None, metric, quality_metric)
        if whole.step.size == 0:
            continue
        steps, r_sets, d_sets = run_sets(run, quality_metric, metric)
        for share in shares:
            seen, _ = read_prefix(run, share * last, metric, quality_metric)
            if seen.step.size < LEAST_CHECKPOINTS:
                continue
            later = whole.step[whole.step > seen.step[-1]]
            path_r, path_d = (_spline(seen.step, y, later) for y in (seen.quality, seen.diversity))
            made = forecasts(
                run,
                targets,
                share * last,
                last,
                metric=metric,
                quality_metric=quality_metric,
                entropy_metric=entropy_metric,
                n_draws=n_draws,
                seed=seed,
                settings=settings,
                widen_quality=widen_quality,
            )
            for target, found in zip(targets, made, strict=True):
                if seen.quality.max() >= target:
                    continue
                happened = bool(whole.quality.max() >= target)
                reaches.append(Reach(name, share, target, float(found.probability or 0.0), found.reached, happened))
                truth = diversity_at_quality(r_sets, d_sets, target, steps).value
                if happened and truth is not None:
                    at = path_d[(path_r >= target).argmax()] if (path_r >= target).any() else path_d[-1]
                    quantity = f"D at R >= {target:g}"
                    rivals = (float(seen.diversity[-1]), float(at))
                    cases.append(
                        Case(name, share, quantity, truth, found.diversity_at_target, *rivals, found.target_model)
                    )
            if not made:
                continue
            found = made[-1]
            ends = (
                (FINAL_D, whole.diversity, found.final_diversity, seen.diversity, path_d),
                (FINAL_R, whole.quality, found.final_quality, seen.quality, path_r),
            )
            for quantity, values, predicted, known, path in ends:
                rivals = (float(known[-1]), float(path[-1]))
                cases.append(Case(name, share, quantity, float(values[-1]), predicted, *rivals, found.model))
    return cases, reaches


def tabulate(cases: Sequence[Case]) -> list[Score]:
    """Return one :class:`Score` for each share and quantity, in the order in which they occur.

    Source: none. Departures: none.

    Examples
    --------
    >>> one = Case("a, seed 0", 0.3, FINAL_D, 0.5, Prediction(0.4, 0.3, 0.6, 0.1, 0.9), 0.9, 0.0, "monotone")
    >>> score = tabulate([one])[0]
    >>> round(score.median, 3), round(score.skill("persistence"), 3), score.coverage80
    (0.1, 0.75, 1.0)
    """
    table = []
    for quantity in dict.fromkeys(c.quantity for c in cases):
        for share in sorted({c.share for c in cases if c.quantity == quantity}):
            every = [c for c in cases if (c.share, c.quantity) == (share, quantity)]
            told = [c for c in every if c.predicted.value is not None]
            errors = [np.array([abs(getattr(c, side) - c.truth) for c in told]) for side in ("persistence", "spline")]
            own = np.array([abs(float(c.predicted.value or 0.0) - c.truth) for c in told])
            medians, means = [], []  # of our own errors, then of the rivals'
            for e in (own, *errors):
                medians.append(float(np.median(e)) if told else None)
                means.append(float(e.mean()) if told else None)
            table.append(
                Score(
                    share,
                    quantity,
                    len(told),
                    len(every) - len(told),
                    sum(c.model == "law" for c in told),
                    *(medians[0], medians[1], medians[2]),
                    *(means[0], means[1], means[2]),
                    coverage80=_coverage(told, "80"),
                    coverage95=_coverage(told, "95"),
                )
            )
    return table


def tabulate_reach(reaches: Sequence[Reach]) -> list[ReachScore]:
    """Return one :class:`ReachScore` for each share of training, ascending.

    Source: Brier (1950). Departures: none.

    Examples
    --------
    >>> made = [Reach("a, seed 0", 0.3, 0.9, 0.95, "yes", True), Reach("a, seed 1", 0.3, 0.9, 0.5, "cannot tell", False)]
    >>> found = tabulate_reach(made)[0]
    >>> round(found.brier, 3), found.brier_base, found.n_yes, found.n_yes_right
    (0.126, 0.25, 1, 1)
    """
    table = []
    for share in sorted({r.share for r in reaches}):
        rows = [r for r in reaches if r.share == share]
        rate = float(np.mean([r.happened for r in rows]))
        brier = float(np.mean([(r.probability - r.happened) ** 2 for r in rows]))
        yes, no = ([r.happened for r in rows if r.verdict == word] for word in ("yes", "no"))
        table.append(
            ReachScore(share, len(rows), rate, brier, rate * (1 - rate), len(yes), sum(yes), len(no), len(no) - sum(no))
        )
    return table


def _coverage(cases: Sequence[Case], level: str) -> float | None:
    inside = [
        getattr(c.predicted, f"low{level}") <= c.truth <= getattr(c.predicted, f"high{level}")
        for c in cases
        if getattr(c.predicted, f"low{level}") is not None
    ]
    return float(np.mean(inside)) if inside else None


def _spline(step: np.ndarray, y: np.ndarray, later: np.ndarray) -> np.ndarray:
    if step.size < _LEAST_FOR_SPLINE:
        path = np.polyval(np.polyfit(step, y, 1), later)
    elif np.ptp(y) == 0:
        path = np.full(later.size, y[0])
    else:
        spline = make_smoothing_spline(step, y)
        end = step[-1]
        path = spline(end) + spline.derivative()(end) * (later - end)
    return np.clip(path, 0, 1) if y.min() >= 0 and y.max() <= 1 else path
