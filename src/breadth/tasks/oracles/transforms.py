"""From a raw value to a score: small curves that can be put one behind the other.

A transform is written as a table: ``{kind = "sigmoid", low = 0.0, high = 5.0}``, or as a list of such tables, the first applied
first. NaN stays NaN: what could not be scored is not scored by any curve.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Transform = Callable[[np.ndarray], np.ndarray]

SIDES = ("both", "below", "above")


def sigmoid(x: np.ndarray, *, low: float, high: float, k: float = 0.25) -> np.ndarray:
    """Return 1 / (1 + 10^(−10k·(x − m)/(high − low))) with m the middle of low and high: rises from 0 to 1.

    At k = 0.25 it is 0.053 at ``low`` and 0.947 at ``high``. Source: REINVENT, Blaschke et al. 2020. Departures: none.

    Examples
    --------
    >>> sigmoid(np.array([0.0, 2.5, 5.0]), low=0.0, high=5.0).round(3).tolist()
    [0.053, 0.5, 0.947]
    """
    _check(low < high, f"low < high, got low {low:g} and high {high:g}")
    _check(k > 0, f"k > 0, got {k:g}")
    exponent = 10 * k * (np.asarray(x, dtype=np.float64) - (low + high) / 2) / (high - low)
    return 1 / (1 + 10 ** np.clip(-exponent, -300, 300))


def reverse_sigmoid(x: np.ndarray, *, low: float, high: float, k: float = 0.25) -> np.ndarray:
    """Return 1 − :func:`sigmoid`: falls from 1 to 0, for values that should be small (an energy of docking).

    Examples
    --------
    >>> reverse_sigmoid(np.array([-12.0, -6.0]), low=-12.0, high=-6.0).round(3).tolist()
    [0.947, 0.053]
    """
    return sigmoid(-np.asarray(x, dtype=np.float64), low=-high, high=-low, k=k)


def step(x: np.ndarray, *, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Return 1 where low ≤ x ≤ high, else 0.

    Examples
    --------
    >>> step(np.array([1.0, 2.0, 3.0]), low=2.0).tolist()
    [0.0, 1.0, 1.0]
    """
    _check(
        low <= high and (low > -np.inf or high < np.inf), f"low <= high and one of them given, got {low:g} and {high:g}"
    )
    x = np.asarray(x, dtype=np.float64)
    return np.where(np.isnan(x), np.nan, ((x >= low) & (x <= high)).astype(np.float64))


def gaussian(x: np.ndarray, *, mu: float, sigma: float, side: str = "both") -> np.ndarray:
    """Return exp(−½((x − mu)/sigma)²); 1 for all x below mu with ``side="below"``, above it with ``side="above"``.

    ``side`` names where values are good without limit. Source: GuacaMol, Brown et al. 2019 (``below`` is its MinGaussian,
    ``above`` its MaxGaussian). Departures: none.

    Examples
    --------
    >>> gaussian(np.array([0.0, 1.0, 2.0]), mu=1.0, sigma=1.0, side="below").round(3).tolist()
    [1.0, 1.0, 0.607]
    """
    _check(sigma > 0, f"sigma > 0, got {sigma:g}")
    _check(side in SIDES, f"side one of {SIDES}, got {side!r}")
    distance = (np.asarray(x, dtype=np.float64) - mu) / sigma
    if side != "both":
        distance = np.maximum(distance, 0) if side == "below" else np.minimum(distance, 0)
    return np.exp(-0.5 * distance**2)


def clip(x: np.ndarray, *, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Return (x − low)/(high − low) cut to [0, 1]; with the defaults a plain cut.

    Source: GuacaMol, Brown et al. 2019 (clipped similarity). Departures: none.

    Examples
    --------
    >>> clip(np.array([-1.0, 0.4, 0.9]), high=0.8).tolist()
    [0.0, 0.5, 1.0]
    """
    _check(low < high, f"low < high, got low {low:g} and high {high:g}")
    return np.clip((np.asarray(x, dtype=np.float64) - low) / (high - low), 0.0, 1.0)


def affine(x: np.ndarray, *, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Return scale·x + shift.

    Examples
    --------
    >>> affine(np.array([0.5]), scale=0.5).tolist()
    [0.25]
    """
    return scale * np.asarray(x, dtype=np.float64) + shift


def power(x: np.ndarray, *, exponent: float) -> np.ndarray:
    """Return x^exponent for x ≥ 0; NaN where x is negative.

    Examples
    --------
    >>> power(np.array([0.5]), exponent=2).tolist()
    [0.25]
    """
    _check(exponent > 0, f"exponent > 0, got {exponent:g}")
    x = np.asarray(x, dtype=np.float64)
    return np.where(x >= 0, np.abs(x) ** exponent, np.nan)


TRANSFORMS: dict[str, Callable[..., np.ndarray]] = {
    f.__name__: f for f in (sigmoid, reverse_sigmoid, step, gaussian, clip, affine, power)
}


def build_transform(spec: str | Mapping[str, Any] | Sequence[Any] | None) -> Transform:
    """Return the function of a transform as it is written in settings; None gives the identity.

    Raises
    ------
    ValueError
        An unknown kind or number (with the nearest name), a number missing or out of range.

    Examples
    --------
    >>> build_transform([{"kind": "clip", "high": 2.0}, {"kind": "power", "exponent": 2}])(np.array([1.0])).tolist()
    [0.25]
    """
    if spec is None:
        return lambda x: np.asarray(x, dtype=np.float64)
    if isinstance(spec, str):
        spec = {"kind": spec}
    if not isinstance(spec, Mapping):
        steps = [build_transform(one) for one in spec]

        def chain(x: np.ndarray) -> np.ndarray:
            for one in steps:
                x = one(x)
            return np.asarray(x, dtype=np.float64)

        return chain
    numbers = dict(spec)
    kind = numbers.pop("kind", None)
    if kind not in TRANSFORMS:
        raise ValueError(
            f"transform: expected a kind among {sorted(TRANSFORMS)}, got {kind!r}{_nearest(str(kind), TRANSFORMS)}"
        )
    function = TRANSFORMS[kind]
    known = {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for name in numbers:
        if name not in known:
            raise ValueError(f"transform {kind}: unknown number {name!r}{_nearest(name, known)}; it has {list(known)}")
    missing = [name for name, p in known.items() if p.default is p.empty and name not in numbers]
    if missing:
        raise ValueError(f"transform {kind}: missing {', '.join(missing)}")
    try:
        function(np.zeros(1), **numbers)  # numbers out of range are found here, not in the middle of a run
    except (ValueError, TypeError) as error:
        raise ValueError(f"transform {kind}: {error}") from error
    return lambda x: function(x, **numbers)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"expected {what}")


def _nearest(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
