"""The run folder of a training in TRL: the files that breadth's own loop writes, so that the same commands read them."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from breadth.config import RunSettings, build_settings
from breadth.ledger.events import EventLog, machine_facts
from breadth.ledger.rows import append_rows, finite, keep_rows, measurement_row, write_atomic
from breadth.ledger.run import Run, load_run
from breadth.ledger.samples import write_samples
from breadth.records import Measurement

_WEIGHTS = "model.safetensors"
#: TRL's names in the log -> the names of our steps.jsonl
_NAMES = {"completions/mean_length": "length", "entropy": "token_entropy", "reward_std": "reward_deviation"}
_GROWING = ("train", "steps")


class RunRecord:
    """One run folder. Only the first process writes.

    Parameters
    ----------
    folder : path
    settings : dict
        As a TOML file of ``breadth train`` says them: study, label, seed, task, objective, prior, train, sample, measure.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.settings = build_settings(RunSettings, settings, where=str(folder))
        self.events = EventLog(self.folder / "events.jsonl")
        self._started = time.perf_counter()

    def open(self, step: int, arguments: Mapping[str, Any]) -> None:
        """Write the settings, or check that they are those of the run that lies here, and cut its files back to ``step``.

        ``arguments`` are all of TRL's, for ``trl.json``: what a TOML file of breadth has no name for.

        Raises
        ------
        ValueError
            A run of other settings lies here, or one that this training does not resume.
        """
        path = self.folder / "config.json"
        wanted = self.settings.model_dump(mode="json")
        if path.is_file():
            before = json.loads(path.read_text())
            differs = [name for name in _differences(before, wanted) if name != ".".join(_GROWING)]
            if differs:
                raise ValueError(
                    f"{self.folder}: a run of other settings lies here ({', '.join(differs)} differ): use another folder, or delete this one"
                )
            if not step and (self.folder / "ledger.jsonl").is_file():
                raise ValueError(
                    f"{self.folder}: a run lies here already, and this training starts at step 0: resume it "
                    "(train(resume_from_checkpoint=True)), use another folder, or delete this one"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(wanted, indent=1) + "\n").encode())

        write_atomic(self.folder / "trl.json", (json.dumps(arguments, indent=1, default=str) + "\n").encode())

        def say(text: str) -> None:
            self.events.add("repaired", what=text)

        for name in ("ledger.jsonl", "steps.jsonl"):
            keep_rows(self.folder / name, lambda row: row["step"] <= step, on_repair=say)
        keep_rows(self.folder / "forecasts.jsonl", lambda row: row["at_step"] <= step, on_repair=say)
        self.events.add("resumed" if step else "started", step=step, **machine_facts())

    def measured(self, step: int) -> bool:
        """Return whether the ledger holds this step."""
        return (self.folder / "ledger.jsonl").is_file() and step in load_run(self.folder).steps

    def write_measurements(self, rows: Sequence[Measurement], *, step: int, checkpoint: str) -> None:
        """Append the ledger rows of a step."""
        s = self.settings
        about = {"study": s.study, "objective": s.name, "seed": s.seed, "step": step, "checkpoint": checkpoint}
        append_rows(self.folder / "ledger.jsonl", [measurement_row(row, **about) for row in rows])

    def write_step(self, step: int, logs: Mapping[str, Any]) -> None:
        """Append a row of the training log, TRL's numbers under our names where we have one."""
        numbers = {
            _NAMES.get(name, name): finite(value) for name, value in logs.items() if isinstance(value, int | float)
        }
        append_rows(self.folder / "steps.jsonl", [{"step": step, **numbers}])

    def write_samples(self, step: int, columns: Mapping[str, Sequence[Any]]) -> None:
        """Write the samples of a measurement where the settings keep them."""
        keep = self.settings.measure.keep_samples
        if keep == "all" or (keep == "ends" and step in (0, self.settings.train.steps)):
            write_samples(self.folder, step, columns)

    def close(self, step: int) -> None:
        """Say that the training ended; ``done.json`` only where it took its last step."""
        if step >= self.settings.train.steps:
            write_atomic(self.folder / "done.json", (json.dumps({"step": step}) + "\n").encode())
        self.events.add("finished", step=step, seconds=round(time.perf_counter() - self._started, 3))

    def run(self) -> Run:
        """Return the run as it lies on disk."""
        return load_run(self.folder)


def sample_columns(
    task: Any,
    texts: Sequence[str],
    prompts: Sequence[str],
    quality: np.ndarray,
    per_set: int,
    numbers: Mapping[str, Sequence[float]],
) -> dict[str, list[Any]]:
    """Return the columns of a samples file."""
    keys = task.key(texts, prompts)
    return {
        "set": [i // per_set for i in range(len(texts))],
        "index": [i % per_set for i in range(len(texts))],
        "prompt": list(prompts),
        "text": list(texts),
        "quality": [None if math.isnan(value) else float(value) for value in quality],
        "parsable": [key is not None for key in keys],
        "valid": [bool(value) for value in task.valid(texts, quality, keys=keys)],
        "key": list(keys),
        "seq_logp": [float(value) for value in numbers["seq_logp"]],
        "length": [int(value) for value in numbers["length"]],
    }


def weights_hash(model: Any, *, from_file: bool) -> str | None:
    """Return the first 16 hex digits of a SHA-256 of the weights, None where they are spread over processes.

    With ``from_file`` that of the model's own ``model.safetensors``, if it was loaded from a folder with one: the number that
    breadth's own loop gives the same prior.
    """
    path = Path(getattr(getattr(model, "config", None), "_name_or_path", "") or ".") / _WEIGHTS
    digest = hashlib.sha256()
    if from_file and path.is_file():
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()[:16]
    for name, values in sorted(model.state_dict().items()):
        if type(values).__name__ == "DTensor" or values.is_meta or not values.numel():
            return None
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _differences(before: Any, now: Any, prefix: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        names = dict.fromkeys([*before, *now])
        return [d for name in names for d in _differences(before.get(name), now.get(name), f"{prefix}{name}.")]
    return [] if before == now else [prefix.rstrip(".")]
