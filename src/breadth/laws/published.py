"""Laws that were published for a task, and what any law R = −a·exp(c·D) + b leaves of D at a wanted R."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedLaw:
    """R = −a·exp(c·D) + b as printed: for one policy, one oracle, one way of training."""

    name: str
    a: float
    b: float
    c: float
    source: str


#: (task, oracle) -> the law. The paper prints coefficients for JNK3 under REINVENT alone.
PUBLISHED = {
    ("molecules", "jnk3"): PublishedLaw(
        "published law (REINVENT, JNK3)",
        0.0109,
        1.023,
        5.024,
        "the quality-diversity law paper, R over D on JNK3, R² 0.996",
    )
}


def published_law(task: str | None, oracle: object) -> PublishedLaw | None:
    """Return the published law of a task's oracle, or None where none was printed."""
    return PUBLISHED.get((task or "", oracle)) if isinstance(oracle, str) else None


def law_from_text(text: str) -> PublishedLaw:
    """Return the law of three numbers ``a,b,c``.

    Raises
    ------
    ValueError
        Other than three finite numbers with a > 0 and c > 0.

    Examples
    --------
    >>> law_from_text("0.0109,1.023,5.024").c
    5.024
    """
    try:
        a, b, c = (float(part) for part in text.split(","))
    except ValueError:
        a = b = c = math.nan
    if not (math.isfinite(a * b * c) and a > 0 and c > 0):
        raise ValueError(
            f"law: expected a,b,c of R = −a·exp(c·D) + b with a > 0 and c > 0, such as 0.0109,1.023,5.024; got {text!r}"
        )
    return PublishedLaw(f"given law (a {a:g}, b {b:g}, c {c:g})", a, b, c, "given by hand")


def diversity_on_law(quality: float, *, a: float, b: float, c: float) -> float | None:
    """Return D = ln((b − R)/a)/c; None where the law never reaches R at D ≥ 0 (R > b − a), or R is below its value at D = 1.

    Source: the law, solved for D. Departures: none.

    Examples
    --------
    >>> round(diversity_on_law(0.95, a=0.0109, b=1.023, c=5.024), 2), diversity_on_law(1.02, a=0.0109, b=1.023, c=5.024)
    (0.38, None)
    """
    if not (a > 0 and c > 0 and quality < b):
        return None
    found = math.log((b - quality) / a) / c
    return found if 0 <= found <= 1 else None
