"""D at one and the same R: the policies', their own laws', a published law's, and the tilted corpus's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from breadth.experiments.notation import is_number, level
from breadth.laws.published import PublishedLaw, diversity_on_law


@dataclass(frozen=True, slots=True)
class Level:
    """One objective at one wanted quality. None = not known; the reason stands beside it."""

    label: str
    quality: float
    policy: Mapping[str, Any]  # value, low, high, n_seeds
    policy_reason: str
    own_law: float | None
    own_law_reason: str
    published: float | None
    tilt: float | None
    tilt_reason: str


def read_tilt(path: Path) -> list[dict[str, Any]]:
    """Return the points of a file that ``breadth tilt`` wrote, by rising quality.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Another kind of file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file: `breadth tilt STUDY --out {path}` writes it")
    try:
        points = json.loads(Path(path).read_text(encoding="utf-8"))["points"]
        good = [p for p in points if is_number(p["quality"]) and is_number(p["diversity"])]
        return sorted(good, key=lambda p: p["quality"])
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not what `breadth tilt` writes ({error}): write it again, or delete it") from None


def tilt_diversity(points: Sequence[Mapping[str, Any]], quality: float) -> tuple[float | None, str]:
    """Return D of the tilted corpus at R, on straight lines between its points, and why there is none ("" where there is)."""
    if not points:
        return None, "no corpus was tilted: `breadth tilt` on the study's folder, or --tilt FILE"
    first, last = points[0], points[-1]
    if quality < first["quality"]:
        return None, f"the corpus as it is has R {first['quality']:.3f}"
    if quality > last["quality"]:
        return None, f"the last tilted point has R {last['quality']:.3f}: add it by `breadth tilt --target {quality:g}`"
    for a, b in zip(points, points[1:], strict=False):
        if a["quality"] <= quality <= b["quality"]:
            width = b["quality"] - a["quality"]
            share = 0.0 if width == 0 else (quality - a["quality"]) / width
            return float(a["diversity"] + share * (b["diversity"] - a["diversity"])), ""
    return float(last["diversity"]), ""


def levels(
    objectives: Mapping[str, Mapping[str, Any]],
    qualities: Sequence[float],
    *,
    tilt: Sequence[Mapping[str, Any]] = (),
    published: PublishedLaw | None = None,
) -> list[Level]:
    """Return one line for each objective and quality.

    Parameters
    ----------
    objectives : mapping
        Label -> ``at_quality`` (rows with ``quality``, ``value``, ``low``, ``high``, ``n_seeds``) and ``fits`` (``R-D`` with ``params``,
        ``verdict``), as in a study's ``summary.json``.
    qualities : floats
    tilt : points, optional
        From :func:`read_tilt`.
    published : PublishedLaw, optional
    """
    found = []
    for label, entry in objectives.items():
        rows = {round(row["quality"], 6): row for row in entry.get("at_quality") or ()}
        for quality in qualities:
            own, why = _own_law((entry.get("fits") or {}).get("R-D"), quality)
            tilted, reason = tilt_diversity(tilt, quality)
            row = rows.get(round(quality, 6)) or {"value": None, "low": None, "high": None, "n_seeds": 0}
            on = None if published is None else diversity_on_law(quality, a=published.a, b=published.b, c=published.c)
            missing = "" if is_number(row["value"]) else f"no seed reaches R {level(quality)}"
            found.append(Level(label, quality, row, missing, own, why, on, tilted, reason))
    return found


def _own_law(fit: Mapping[str, Any] | None, quality: float) -> tuple[float | None, str]:
    """Return D on an objective's own fitted law, and why there is none."""
    if not fit or fit.get("form", "exponential") != "exponential":
        return None, "no exponential law was fitted"
    if fit["verdict"] == "cannot tell":
        return None, f"its law: cannot tell ({fit.get('reason') or 'no reason given'})"
    values = {name: p["value"] for name, p in fit["params"].items()}
    if not all(is_number(values.get(name)) for name in "abc"):
        return None, "its law has no parameters"
    found = diversity_on_law(quality, a=values["a"], b=values["b"], c=values["c"])
    return found, "" if found is not None else f"its law does not pass R {level(quality)} between D 0 and 1"
