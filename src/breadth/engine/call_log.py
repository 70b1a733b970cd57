"""Which distinct answers a run asked its task to score, in the order of the calls: what hits per oracle call rest on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breadth.ledger.rows import keep_rows, read_rows

CALLS = "calls.jsonl"


class CallLog:
    """Rows ``{"step", "key", "quality"}`` of a run's file, one for each answer that it had not written before; null = unscored.

    A log is whole or is not kept: a run that went on from a checkpoint without one goes on without.

    Parameters
    ----------
    folder : Path
        The run's.
    step : int
        The step that the run goes on from: later rows are cut off, for they are written again, equal.
    n_calls : int, optional
        How many rows there were at that checkpoint; None = its state does not say, as no log was kept.
    """

    def __init__(self, folder: Path, *, step: int, n_calls: int | None) -> None:
        self.path = folder / CALLS
        self.kept = step == 0 or n_calls is not None
        self._seen: set[str] = set()
        if not self.kept:
            return
        if step == 0:
            self.path.unlink(missing_ok=True)
            return
        rows: list[dict[str, Any]] = []
        if self.path.is_file():
            keep_rows(self.path, lambda row: row["step"] <= step, on_repair=lambda text: None)
            rows = read_rows(self.path) if self.path.is_file() else []
        self.kept = len(rows) == n_calls
        self._seen = {row["key"] for row in rows}

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, step: int, keys: Sequence[str | None], quality: np.ndarray) -> None:
        """Write the answers that are new, in the order in which they were judged; unparsable ones (None) cost no call.

        ``step`` counts the updates done after this batch, as in ``steps.jsonl``.
        """
        if not self.kept:
            return
        lines = []
        for key, value in zip(keys, quality.tolist(), strict=True):
            if key is None or key in self._seen:
                continue
            self._seen.add(key)
            row = {"step": step, "key": key, "quality": None if np.isnan(value) else value}
            lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
        if lines:
            with open(self.path, "ab") as file:
                file.write("".join(lines).encode())
