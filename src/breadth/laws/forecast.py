"""Forecast: what the first checkpoints of a run say about its quality and diversity later on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from breadth.laws.drift import LEARNT, DriftSettings
from breadth.laws.frontier import diversity_at_quality
from breadth.laws.future import WIDEN_QUALITY, Future, Widening, draw_future, law_at
from breadth.laws.prefix import Prefix, read_prefix
from breadth.records import Forecast, Prediction

LEAST_CHECKPOINTS = 3
SURE = 0.9  # from this probability on "yes", from 1 - SURE down "no"
_LEAST_SHARE = 0.05  # of draws that reach the target, below which D at the target is not told
_UNKNOWN = Prediction()


def forecast(
    run: Any,
    target_quality: float = 0.9,
    at_step: float | None = None,
    final_step: float | None = None,
    *,
    metric: str = "diversity",
    quality_metric: str = "quality",
    entropy_metric: str = "policy_entropy",
    n_draws: int = 2000,
    seed: int = 0,
    settings: DriftSettings = LEARNT,
    widen_quality: Widening = WIDEN_QUALITY,
) -> Forecast:
    """Return what the checkpoints up to ``at_step`` say about D at a target R, and about R and D at the end.

    D over steps is drawn through the entropy (:func:`breadth.laws.drift.fit_drift`), which moves first; without entropies from
    the monotone model (:func:`breadth.laws.trend.fit_trend`), which never rises. R is drawn from the monotone model, which never
    falls. Where the exponential law of R over D *holds* at the prefix, R at a step is the law at the drawn D instead, and D at
    the target is the law's, both with the bootstrap's uncertainty of the law and its scatter. ``model`` and ``reason`` say
    which.

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
    metric, quality_metric, entropy_metric : str
        Ledger names of D, R and H. A run without H at one of the checkpoints is forecast without it.
    n_draws, seed : int
        Of the simulation. Equal inputs give equal forecasts.
    settings, widen_quality
        Numbers of the drift model, and the widening of R's intervals: the defaults unless a calibration tries others.

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
    ...         if metric not in ("quality", "diversity"):
    ...             return []
    ...         return [{"step": int(s), "value": float(v), "sets": [], "error": None} for s, v in zip(t, y)]
    >>> found = forecast(Run(), target_quality=0.95, final_step=300)
    >>> found.model, found.target_model, found.reached, round(found.diversity_at_target.value, 2)
    ('law', 'law', 'yes', 0.41)
    """
    return forecasts(
        run,
        (target_quality,),
        at_step,
        final_step,
        metric=metric,
        quality_metric=quality_metric,
        entropy_metric=entropy_metric,
        n_draws=n_draws,
        seed=seed,
        settings=settings,
        widen_quality=widen_quality,
    )[0]


def forecasts(
    run: Any,
    target_qualities: Sequence[float],
    at_step: float | None = None,
    final_step: float | None = None,
    *,
    metric: str = "diversity",
    quality_metric: str = "quality",
    entropy_metric: str = "policy_entropy",
    n_draws: int = 2000,
    seed: int = 0,
    settings: DriftSettings = LEARNT,
    widen_quality: Widening = WIDEN_QUALITY,
) -> list[Forecast]:
    """Return :func:`forecast` for several targets, from the same draws.

    Raises, Source, Departures: as there.
    """
    wrong = next((q for q in target_qualities if not np.isfinite(q)), None)
    if wrong is not None:
        raise ValueError(f"target_quality: expected a finite number, got {wrong}")
    if n_draws < 100:
        raise ValueError(f"n_draws: expected at least 100, got {n_draws}")
    if not hasattr(run, "series") or not hasattr(run, "seed"):
        raise TypeError(f"run: expected a run as breadth.load_run(path) returns it, got {type(run).__name__}")
    prefix, last = read_prefix(run, at_step, metric, quality_metric, entropy_metric)
    end = _end_of_training(run) if final_step is None else float(final_step)
    if end is not None and end < last:
        raise ValueError(f"final_step: expected {last:g} or later, where the checkpoints end, got {end:g}")
    n = prefix.step.size
    about = {"label": run.label, "seed": run.seed, "at_step": last, "final_step": end, "n": int(n)}
    every = [{**about, "target_quality": float(q)} for q in target_qualities]
    if n < LEAST_CHECKPOINTS:
        reason = f"only {n} checkpoint{'s' * (n != 1)} with R and D by step {last:g}; at least {LEAST_CHECKPOINTS} are needed"
        return [_forecast(facts, "none", reason, "none", None, _UNKNOWN, _UNKNOWN, _UNKNOWN) for facts in every]
    if end == last:
        final_r = _around(float(prefix.quality[-1]), prefix.last_errors[0])
        final_d = _around(float(prefix.diversity[-1]), prefix.last_errors[1])
        reason = f"step {last:g} is the end of training"
        read = [_measured_at(prefix, facts["target_quality"]) for facts in every]
        return [
            _forecast(facts, "measured", reason, "measured", float(at is not None), at or _UNKNOWN, final_r, final_d)
            for facts, at in zip(every, read, strict=True)
        ]
    future = draw_future(prefix, last, end, n_draws=n_draws, seed=seed, settings=settings, widen_quality=widen_quality)
    return [_at_target(facts, prefix, future, n_draws, seed) for facts in every]


def _at_target(facts: dict[str, Any], prefix: Prefix, future: Future, n_draws: int, seed: int) -> Forecast:
    target, model, r, d = facts["target_quality"], future.model, future.quality, future.diversity
    measured = _measured_at(prefix, target)
    reaches = (r >= target).any(1)
    chance = 1.0 if measured else float(reaches.mean())
    if measured:
        target_model, at_target = "measured", measured
    elif chance < _LEAST_SHARE:
        target_model, at_target = model, _UNKNOWN
    elif model == "law" and future.fit is not None:
        generator = np.random.default_rng([seed, 1])
        target_model, at_target = "law", _summary(law_at(future.fit, target, future.bounds, n_draws, generator))
    else:
        target_model, at_target = model, _summary(d[reaches, (r[reaches] >= target).argmax(1)])
    known_end = facts["final_step"] is not None
    ends = (_summary(r[:, -1]), _summary(d[:, -1])) if known_end else (_UNKNOWN, _UNKNOWN)
    known = 1.0 if measured else chance if known_end else None
    return _forecast(facts, model, future.reason, target_model, known, at_target, *ends)


def _end_of_training(run: Any) -> float | None:
    train = (getattr(run, "settings", None) or {}).get("train") or {}
    return None if train.get("steps") is None else float(train["steps"])


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
    named = {"law": "law", "monotone": "monotone model", "entropy": "through the entropy"}
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
