"""A forecast while a run goes on: one sentence, what is to be warned of, and whether the floor of diversity is reached.

The native loop and the TRL callback call the same function; neither knows how a forecast is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from breadth.laws.forecast import forecast
from breadth.laws.runs import rows_by_step
from breadth.records import Forecast, Prediction


@dataclass(frozen=True)
class LiveForecast:
    """What is said at one checkpoint. ``stop`` is the reason to stop, None to go on."""

    forecast: Forecast
    sentence: str
    warnings: tuple[str, ...]
    stop: str | None

    def row(self) -> dict[str, Any]:
        """Return the forecast as it was made, as one JSON-able row: what ``forecasts.jsonl`` holds."""
        return {
            **_plain(asdict(self.forecast)),
            "live": self.sentence,
            "warnings": list(self.warnings),
            "stop": self.stop,
        }


def live_forecast(
    run: Any,
    target_quality: float = 0.9,
    *,
    final_step: float | None = None,
    stop_at_diversity: float | None = None,
    metric: str = "diversity",
    quality_metric: str = "quality",
    entropy_metric: str = "policy_entropy",
) -> LiveForecast:
    """Return what the checkpoints so far say, in the words of a log line.

    Parameters
    ----------
    run : a run
        As :func:`breadth.forecast` takes it: ``.seed``, ``.label`` and ``.series(metric)``.
    target_quality : float
        R at which the diversity left is asked for.
    final_step : float, optional
        The end of training. None = that of the run's settings.
    stop_at_diversity : float, optional
        The floor: ``stop`` is set where the last *measured* D is at or below it. Forecasts never stop a run, they warn.
    metric, quality_metric, entropy_metric : str
        Ledger names of D, R and H.

    Returns
    -------
    LiveForecast
        ``±`` in the sentence is half the 80 % interval. Fewer than 3 checkpoints: the sentence says that it is too early.
        Warnings: the target is not reached at this pace; the forecast at the target, or at the end, lies below the floor.

    Raises
    ------
    ValueError
        As :func:`breadth.forecast`.

    Source: this project's. Departures: none.

    Examples
    --------
    >>> class Run:
    ...     label, seed = "grpo", 0
    ...     def series(self, metric):
    ...         if metric not in ("quality", "diversity"):
    ...             return []
    ...         return [{"step": t, "value": 0.5 + t / 250 if metric == "quality" else 0.9 - t / 125, "sets": [], "error": None}
    ...                 for t in range(0, 80, 10)]
    >>> found = live_forecast(Run(), 0.9, final_step=200, stop_at_diversity=0.4)
    >>> found.sentence[:36], found.stop
    ('step 70: at this pace R = 0.9 leaves', 'measured diversity 0.340 is at or below the floor 0.4')
    """
    made = forecast(
        run,
        target_quality,
        final_step=final_step,
        metric=metric,
        quality_metric=quality_metric,
        entropy_metric=entropy_metric,
    )
    rows = rows_by_step(run, metric)
    last = rows[max(rows)]["value"]
    stop = None
    if stop_at_diversity is not None and last is not None and last <= stop_at_diversity:
        stop = f"measured {metric} {last:.3f} is at or below the floor {stop_at_diversity:g}"
    return LiveForecast(made, _sentence(made), _warnings(made, stop_at_diversity), stop)


def _sentence(made: Forecast) -> str:
    where, quality, at = f"step {made.at_step:g}", f"R = {made.target_quality:g}", made.diversity_at_target
    if made.target_model == "measured":
        if made.reached == "yes":
            return f"{where}: {quality} is reached; it left D = {_spread(at)}"
        return f"{where}: {quality} was not reached"
    if made.model == "none":
        return f"{where}: too early for a forecast ({made.reason})"
    if at.value is None:
        return f"{where}: at this pace {quality} is not reached"
    chance = "" if made.probability is None else f" (probability that it is reached {made.probability:.2f})"
    return f"{where}: at this pace {quality} leaves D = {_spread(at)}{chance}"


def _warnings(made: Forecast, floor: float | None) -> tuple[str, ...]:
    said = []
    if made.reached == "no" and made.target_model != "measured":
        said.append(f"R = {made.target_quality:g} is not likely to be reached by step {made.final_step:g}")
    if floor is not None:
        for what, at in ((f"R = {made.target_quality:g}", made.diversity_at_target), ("the end", made.final_diversity)):
            if at.value is not None and at.value <= floor and made.model != "measured":
                said.append(f"at {what} D = {_spread(at)} lies at or below the floor {floor:g}")
    return tuple(said)


def _spread(at: Prediction) -> str:
    if at.value is None:
        return "–"
    if at.low80 is None or at.high80 is None:
        return f"{at.value:.2f}"
    return f"{at.value:.2f} ± {(at.high80 - at.low80) / 2:.2f}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return None if isinstance(value, float) and value != value else value
