"""Forecast: what the first checkpoints of a run say about its quality and diversity later on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from breadth.laws.curves import CURVES
from breadth.laws.fit import fit_law
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.runs import rows_by_step
from breadth.laws.trend import fit_trend
from breadth.records import Forecast, LawFit, Prediction

LEAST_CHECKPOINTS = 3
SURE = 0.9  # from this probability on "yes", from 1 - SURE down "no"
_LEAST_SHARE = 0.05  # of draws that reach the target, below which D at the target is not told
_MOST_STEPS = 200  # future checkpoints that are drawn
_HORIZON = 10.0  # times the steps seen so far, where the end of training is not known
_UNKNOWN = Prediction()


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


def forecast(
    run: Any,
    target_quality: float = 0.9,
    at_step: float | None = None,
    final_step: float | None = None,
    *,
    metric: str = "diversity",
    quality_metric: str = "quality",
    n_draws: int = 2000,
    seed: int = 0,
) -> Forecast:
    """Return what the checkpoints up to ``at_step`` say about D at a target R, and about R and D at the end.

    Trends of R (which never falls) and D (which never rises) over steps are drawn from the monotone model
    (:func:`breadth.laws.trend.fit_trend`). Where the exponential law of R over D *holds* at the prefix, only the trend
    of D is: R at a step is the law at the drawn D, and D at the target is the law's, both with the bootstrap's
    uncertainty of the law and its scatter. Otherwise the two trends stand alone. ``model`` and ``reason`` say which.

    Parameters
    ----------
    run : a run
        As :func:`breadth.load_run` returns it: ``.seed``, ``.label``, ``.series(metric)`` with rows of ``step``,
        ``value``, ``sets`` and ``error``.
    target_quality : float
        R that is asked for, in the unit of R.
    at_step : float, optional
        Checkpoints after it are not looked at. None = all that there are.
    final_step : float, optional
        The end of training. None = ``train.steps`` of the run's settings; without either the end is not forecast.
    metric, quality_metric : str
        Ledger names of D and R.
    n_draws, seed : int
        Of the simulation. Equal inputs give equal forecasts.

    Returns
    -------
    Forecast
        Predictions are of *measurements*: median, 80 % and 95 % intervals, noise included. Fewer than 3 checkpoints
        with both values: all None, model "none", the reason. Target reached already: D on the attainment frontier of
        the prefix (not a prediction), ``target_model`` "measured". Fewer than 5 % of draws reach the target: D at it
        None. ``at_step`` at the end: the last measurement, model "measured".

    Raises
    ------
    TypeError
        For something that is not a run.
    ValueError
        For a target that is not finite, an ``at_step`` before the first checkpoint, a ``final_step`` before
        ``at_step``, fewer than 100 draws, or a run without rows of a metric.

    Source: this project's. Departures: without a law, the trends of R and D are drawn independently given the prefix.

    Examples
    --------
    >>> class Run:
    ...     label, seed = "grpo", 0
    ...     def series(self, metric):
    ...         t = np.arange(0, 110, 10)
    ...         d = 0.9 - 0.6 * (1 - np.exp(-t / 60))
    ...         y = 1.02 - 0.011 * np.exp(4.5 * d) if metric == "quality" else d
    ...         return [{"step": int(s), "value": float(v), "sets": [], "error": None} for s, v in zip(t, y)]
    >>> found = forecast(Run(), target_quality=0.95, final_step=300)
    >>> found.model, found.target_model, found.reached, round(found.diversity_at_target.value, 2)
    ('law', 'law', 'yes', 0.41)
    """
    if not np.isfinite(target_quality):
        raise ValueError(f"target_quality: expected a finite number, got {target_quality}")
    if n_draws < 100:
        raise ValueError(f"n_draws: expected at least 100, got {n_draws}")
    if not hasattr(run, "series") or not hasattr(run, "seed"):
        raise TypeError(f"run: expected a run as breadth.load_run(path) returns it, got {type(run).__name__}")
    prefix, last = read_prefix(run, at_step, metric, quality_metric)
    end = _end_of_training(run) if final_step is None else float(final_step)
    if end is not None and end < last:
        raise ValueError(f"final_step: expected {last:g} or later, where the checkpoints end, got {end:g}")
    about = {"label": run.label, "seed": run.seed, "target_quality": float(target_quality), "at_step": last}
    facts: dict[str, Any] = {**about, "final_step": end, "n": int(prefix.step.size)}
    if prefix.step.size < LEAST_CHECKPOINTS:
        n = prefix.step.size
        reason = f"only {n} checkpoint{'s' * (n != 1)} with R and D by step {last:g}; at least {LEAST_CHECKPOINTS} are needed"
        return _forecast(facts, "none", reason, "none", None, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    measured = _measured_at(prefix, target_quality)
    if end == last:
        final_r = _around(float(prefix.quality[-1]), prefix.last_errors[0])
        final_d = _around(float(prefix.diversity[-1]), prefix.last_errors[1])
        reason = f"step {last:g} is the end of training"
        at = measured or _UNKNOWN
        return _forecast(facts, "measured", reason, "measured", float(measured is not None), at, final_r, final_d)
    fit = fit_law(
        prefix.quality.tolist(),
        prefix.diversity.tolist(),
        step=prefix.step.tolist(),
        n_boot=min(n_draws, 1000),
        seed=seed,
    )
    generator = np.random.default_rng(seed)
    steps = _future(prefix.step, end)
    trend_d = fit_trend(prefix.step, prefix.diversity, -1, prefix.errors[1])
    d = trend_d.draw(steps, n_draws, generator)
    if fit.verdict == "holds":
        model, reason = "law", f"the law holds at this prefix ({fit.reason})"
        r = _quality_by_law(fit, d, generator)
    else:
        model, reason = "monotone", f"the law at this prefix: {fit.verdict} ({fit.reason})"
        r = fit_trend(prefix.step, prefix.quality, 1, prefix.errors[0]).draw(steps, n_draws, generator)
    reaches = (r >= target_quality).any(1)
    share = 1.0 if measured else float(reaches.mean())
    if measured:
        target_model, at_target = "measured", measured
    elif share < _LEAST_SHARE:
        target_model, at_target = model, _UNKNOWN
    elif model == "law":
        target_model, at_target = "law", _law_at(fit, target_quality, trend_d.bounds, n_draws, generator)
    else:
        first = (r[reaches] >= target_quality).argmax(1)
        target_model, at_target = "monotone", _summary(d[reaches, first])
    ends = (_UNKNOWN, _UNKNOWN) if end is None else (_summary(r[:, -1]), _summary(d[:, -1]))
    known = 1.0 if measured else None if end is None else share
    return _forecast(facts, model, reason, target_model, known, at_target, *ends)


def read_prefix(run: Any, at_step: float | None, metric: str, quality_metric: str) -> tuple[Prefix, float]:
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
    return Prefix(steps, q, v, sets[0], sets[1], errors, (last[0], last[1])), float(seen[-1])


def _value(row: Mapping[str, Any] | None) -> float | None:
    value = None if row is None else row["value"]
    return None if value is None or not np.isfinite(value) else value


def _typical(errors: list[float | None]) -> float | None:
    known = [e for e in errors if e is not None and np.isfinite(e)]
    return float(np.sqrt(np.mean(np.square(known)))) if known else None


def _end_of_training(run: Any) -> float | None:
    train = (getattr(run, "settings", None) or {}).get("train") or {}
    return None if train.get("steps") is None else float(train["steps"])


def _future(step: np.ndarray, end: float | None) -> np.ndarray:
    gap = float(np.median(np.diff(step)))
    stop = step[0] + _HORIZON * (step[-1] - step[0]) if end is None else end
    n = int(np.clip(round((stop - step[-1]) / gap), 1, _MOST_STEPS))
    return np.linspace(step[-1], stop, n + 1)[1:]


def _measured_at(prefix: Prefix, quality: float) -> Prediction | None:
    """D on the attainment frontier of the prefix; None where no checkpoint reached that quality."""
    if prefix.quality.max() < quality:
        return None
    found = diversity_at_quality(prefix.quality_sets, prefix.diversity_sets, quality, prefix.step.tolist())
    if found.value is None:  # the mean over all sets reached it, neither half did
        return _around(float(prefix.diversity[prefix.quality >= quality].max()), None)
    return _around(found.value, found.error)


def _around(value: float, error: float | None) -> Prediction:
    if error is None:
        return Prediction(float(value))
    z80, z95 = 1.2816 * error, 1.96 * error  # normal quantiles at 90 % and 97.5 %
    return Prediction(float(value), *(float(value + z) for z in (-z80, z80, -z95, z95)))


def _summary(draws: np.ndarray) -> Prediction:
    low95, low80, middle, high80, high95 = np.quantile(draws, (0.025, 0.1, 0.5, 0.9, 0.975)).tolist()
    return Prediction(middle, low80, high80, low95, high95)


def _law_draws(fit: LawFit, n: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = fit.draws[generator.integers(len(fit.draws), size=n)]
    return rows[:, :1], rows[:, 1:2], rows[:, 2:]


def _quality_by_law(fit: LawFit, d: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """R (n, m) that the law gives at drawn D (n, m), one bootstrap draw a row, with the scatter about the law."""
    beta, alpha, theta = _law_draws(fit, len(d), generator)
    curve = beta * CURVES[fit.form].shape(d, theta, max(fit.x)) + alpha
    return curve + float(fit.rmse or 0.0) * generator.standard_normal(d.shape)


def _law_at(
    fit: LawFit, quality: float, bounds: tuple[float, float], n: int, generator: np.random.Generator
) -> Prediction:
    """D that the law leaves at a quality, as a measurement: bootstrap draws and the scatter about the law."""
    curve, anchor = CURVES[fit.form], max(fit.x)
    beta, alpha, theta = _law_draws(fit, n, generator)
    target = quality - float(fit.rmse or 0.0) * generator.standard_normal((n, 1))
    phi = np.divide(target - alpha, beta, out=np.full_like(beta, np.nan), where=beta != 0)
    x = curve.shape_inverse(phi, theta, anchor)[:, 0]
    # a draw whose ceiling lies below the target leaves the least D that there can be
    least = bounds[0] if np.isfinite(bounds[0]) else min(fit.x)
    return _summary(np.clip(np.where(np.isfinite(x), x, least), *bounds))


def _forecast(
    facts: dict[str, Any],
    model: str,
    reason: str,
    target_model: str,
    probability: float | None,
    at_target: Prediction,
    final_quality: Prediction,
    final_diversity: Prediction,
) -> Forecast:
    sure = "cannot tell"
    if probability is not None and not 1 - SURE < probability < SURE:
        sure = "yes" if probability >= SURE else "no"
    found: dict[str, Any] = {
        **facts,
        "model": model,
        "reason": reason,
        "reached": sure,
        "probability": probability,
        "target_model": target_model,
        "diversity_at_target": at_target,
        "final_quality": final_quality,
        "final_diversity": final_diversity,
    }
    return Forecast(**found, sentence=_sentence(**found))


def _sentence(**f: Any) -> str:
    quality, who = f"R = {f['target_quality']:g}", f"{f['label']}, seed {f['seed']}, at step {f['at_step']:g}"
    if f["model"] == "none":
        return f"{who}: cannot tell: {f['reason']}."
    at = f["diversity_at_target"]
    named = {"law": "law", "monotone": "monotone model"}
    if f["target_model"] == "measured":
        place = (
            f"{quality} was reached, with D = {_words(at)}" if at.value is not None else f"{quality} was never reached"
        )
    elif at.value is None:
        place = f"at this pace {quality} is not reached ({named[f['target_model']]})"
    else:
        chance = "" if f["probability"] is None else f"; probability that it is reached {f['probability']:.2f}"
        place = f"at this pace {quality} leaves D = {_words(at)} ({named[f['target_model']]}{chance})"
    if f["final_step"] is None:
        return f"{who}: {place}; the end of training is not known."
    end = f"R = {_words(f['final_quality'])}, D = {_words(f['final_diversity'])}"
    basis = named.get(f["model"], "measured")
    return f"{who}: {place}; step {f['final_step']:g} ends at {end} ({basis})."


def _words(p: Prediction) -> str:
    if p.low80 is None or p.high80 is None:
        return f"{p.value:.3f}"
    return f"{p.value:.3f} (80 %: {p.low80:.3f} to {p.high80:.3f})"
