"""How a number, an interval and a verdict are written, in the terminal and on the page alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DASH = "–"
MINUS = "\N{MINUS SIGN}"

# verdict -> (sign, tone); the sign stands beside the word, so that nothing rests on colour alone
VERDICTS = {
    "holds": ("✓", "good"),
    "does not hold": ("✗", "bad"),
    "bought": ("▲", "good"),
    "lost": ("▼", "bad"),
    "the same": ("=", "even"),
    "cannot tell": ("?", "open"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A number as it is shown: its text, its interval's text, and for a missing one the reason."""

    text: str
    interval: str = ""
    plus_minus: str = ""
    value: float | None = None
    reason: str = ""
    link: str = ""  # words that find its rows in the table of all numbers


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a finite number (a bool is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any, digits: int = 3) -> str:
    """Return a number with ``digits`` decimals; a dash for what is not known.

    Examples
    --------
    >>> number(0.98412), number(None), number(0.0), number(4e-5), number(1500), number(-0.5, 1)
    ('0.984', '–', '0.000', '4.0e−05', '1,500', '−0.5')
    """
    if not is_number(value):
        return DASH
    size = abs(value)
    if size and size < 0.5 * 10**-digits:
        text = f"{value:.1e}"
    elif size >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{max(digits - 2, 0) if size >= 100 else digits}f}"
    return text.replace("-", MINUS)


def level(quality: float) -> str:
    """Return a quality that was asked for: three decimals, the last one left out where it is 0.

    Examples
    --------
    >>> level(0.9), level(0.95), level(0.937)
    ('0.90', '0.95', '0.937')
    """
    text = f"{quality:.3f}"
    return text[:-1] if text.endswith("0") else text


def significant(value: Any, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits: for parameters, whose size is not known beforehand.

    Examples
    --------
    >>> significant(0.00012345), significant(31.4159), significant(None), significant(2.5e-120)
    ('0.000123', '31.4', '–', '2.5e−120')
    """
    return f"{value:.{digits}g}".replace("-", MINUS) if is_number(value) else DASH


def shown(estimate: Mapping[str, Any] | None, *, reason: str = "", digits: int = 3, write: Any = None) -> Shown:
    """Return how an estimate ``{"value", "low", "high"}`` or ``{"value", "error"}`` is written; an interval without one end says so.

    ``reason`` says why the value is missing, or, where only the interval is missing, is replaced by a word on that.
    ``write`` is :func:`number` unless given.

    Examples
    --------
    >>> shown({"value": 0.984, "low": 0.974, "high": 0.994}).plus_minus
    '± 0.010'
    >>> shown({"value": 4.25, "low": 4.02, "high": None}, digits=2).interval
    'from 4.02, no upper limit'
    >>> shown(None, reason="no complete run").reason
    'no complete run'
    """
    write = write or (lambda value: number(value, digits))
    value = estimate.get("value") if estimate else None
    if not is_number(value):
        return Shown(DASH, reason=reason or "not measured")
    low, high, error = estimate.get("low"), estimate.get("high"), estimate.get("error")
    if is_number(low) and is_number(high):
        half = (high - low) / 2
        small = 0 < half < 0.5 * 10**-digits  # "< 0.001" beside a value of three decimals, not "2.2e−04"
        spread = f"±<{10**-digits:g}" if small else f"± {write(half)}"
        return Shown(write(value), f"{write(low)} to {write(high)}", spread, value)
    if is_number(error):
        return Shown(write(value), f"± {write(error)} s.e.", f"± {write(error)}", value)
    if is_number(low) or is_number(high):
        open_side = f"from {write(low)}, no upper limit" if is_number(low) else f"up to {write(high)}, no lower limit"
        return Shown(write(value), open_side, value=value)
    why = (
        "one seed: no interval over seeds"
        if estimate.get("n_seeds") == 1
        else "no interval: the data do not determine it"
    )
    return Shown(write(value), value=value, reason=why)


#: how intervals of laws are made, in words
INTERVALS = {
    "profile": "profile of the sum of squares at the effective number of points",
    "bootstrap": "block bootstrap over checkpoints",
    "bca": "block bootstrap over checkpoints, corrected for bias and skewness",
}


def interval_kinds(summary: Mapping[str, Any]) -> str:
    """Return how the intervals of a summary's laws were made; summaries that do not say were made by block bootstrap.

    Examples
    --------
    >>> interval_kinds({"objectives": {"a": {"fits": {"R-D": {"interval": "profile"}, "R-H": None}}}})
    'profile of the sum of squares at the effective number of points'
    """
    fits = (fit for entry in summary["objectives"].values() for fit in (entry.get("fits") or {}).values() if fit)
    kinds = dict.fromkeys(fit.get("interval") or "bootstrap" for fit in fits)
    return "; ".join(INTERVALS.get(kind, kind) for kind in kinds) or INTERVALS["profile"]


def display_names(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return label -> the name to show: the objective's title, with its label beside it where titles repeat."""
    titles = {label: str(entry.get("title") or label) for label, entry in summary.get("objectives", {}).items()}
    seen = list(titles.values())
    return {label: title if seen.count(title) == 1 else f"{title} ({label})" for label, title in titles.items()}


def plural(count: int, word: str) -> str:
    """Return "1 seed", "3 seeds".

    Examples
    --------
    >>> plural(1, "seed"), plural(1200, "sample")
    ('1 seed', '1,200 samples')
    """
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def duration(seconds: Any) -> str:
    """Return seconds as people say them; a dash for what is not known.

    Examples
    --------
    >>> duration(20.44), duration(103.2), duration(4000), duration(None)
    ('20.4 s', '1 min 43 s', '1 h 07 min', '–')
    """
    if not is_number(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{round(seconds) // 60} min {round(seconds) % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
