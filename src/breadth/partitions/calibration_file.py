"""A threshold and a calibration curve as a plain JSON file, with the backend that they are of and how they were found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from breadth.partitions.calibration import Calibration

FORMAT = "breadth-partition-calibration"
VERSION = 1


@dataclass(frozen=True)
class CalibrationFile:
    """What was found for a backend: ``threshold`` on its score, ``curve`` from score to probability (None: none fitted).

    ``backend`` its name; ``fingerprint`` what tells it from others of that name (None: not known); ``record`` how it was
    found: data, objective, its value on prompts that the cut was not chosen on, folds.
    """

    backend: str
    fingerprint: str | None
    threshold: float
    curve: Calibration | None
    record: Mapping[str, Any]

    def check(self, backend: Any) -> None:
        """Raise ``ValueError`` where this is the calibration of another backend."""
        fingerprint = getattr(backend, "fingerprint", None)
        if backend.name != self.backend:
            raise ValueError(
                f"calibration: it is of the backend {self.backend!r}, not of {backend.name!r}; calibrate that one"
            )
        if fingerprint and self.fingerprint and fingerprint != self.fingerprint:
            raise ValueError(
                f"calibration: it is of another {self.backend!r} ({self.fingerprint}, not {fingerprint}); calibrate this one"
            )

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        curve = None
        if self.curve is not None:
            curve = {"method": self.curve.method, "knots": list(self.curve.knots), "values": list(self.curve.values)}
        document = {
            "format": FORMAT, "version": VERSION, "backend": self.backend, "fingerprint": self.fingerprint,
            "threshold": self.threshold, "curve": curve, "record": dict(self.record),
        }  # fmt: skip
        Path(path).write_text(
            json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def load_calibration(path: str | Path) -> CalibrationFile:
    """Return a calibration from its JSON file.

    Raises
    ------
    ValueError
        Not such a file, a version that this breadth does not know, or numbers that are no threshold or no curve.
    FileNotFoundError
        There is no such file.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f"{path}: expected a JSON object with format {FORMAT!r}; make one by breadth partition calibrate"
        )
    if document.get("version") != VERSION:
        raise ValueError(f"{path}: expected version {VERSION}, got {document.get('version')!r}; calibrate again")
    try:
        threshold = float(document["threshold"])
        curve = None
        if document["curve"] is not None:
            parts = document["curve"]
            curve = Calibration(parts["method"], tuple(map(float, parts["knots"])), tuple(map(float, parts["values"])))
        found = CalibrationFile(document["backend"], document["fingerprint"], threshold, curve, document["record"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: a field is missing or of the wrong kind ({error!r}); calibrate again") from error
    if not 0 <= threshold < 1:
        raise ValueError(f"{path}: expected a threshold in [0, 1), got {threshold}")
    if curve is not None:
        _check_curve(path, curve)
    return found


def _check_curve(path: str | Path, curve: Calibration) -> None:
    knots, values = np.array(curve.knots), np.array(curve.values)
    plain = np.isfinite(knots).all() and np.isfinite(values).all()
    if curve.method == "platt":
        right = plain and len(knots) == 2 and not len(values)
    else:
        rising = (np.diff(knots) > 0).all() and (np.diff(values) >= 0).all()
        right = curve.method == "isotonic" and plain and 0 < len(knots) == len(values) and rising
        right = right and values.min() >= 0 and values.max() <= 1
    if not right:
        raise ValueError(
            f"{path}: expected a Platt curve of two numbers or a rising isotonic one in [0, 1]; calibrate again"
        )
