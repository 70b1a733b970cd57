"""Where a run computes: device, precision, threads, trackers. The settings decide; nothing is picked up from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from breadth.config import ConfigError, EngineSettings


class Machine:
    """One process on a CPU or one GPU, through accelerate; trackers get the same names as ``steps.jsonl`` and the ledger."""

    def __init__(
        self, settings: EngineSettings, folder: Path | None = None, *, tracker_settings: Mapping[str, Any] | None = None
    ) -> None:
        if settings.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "engine.device", ["'cuda' was asked for, but torch sees no CUDA device: use 'cpu' or 'auto'"]
            )
        torch.set_num_threads(settings.threads)
        AcceleratorState._reset_state(
            reset_partial_state=True
        )  # several runs in one process may differ in device and precision
        self.accelerator = Accelerator(
            cpu=settings.device == "cpu",
            mixed_precision="bf16" if settings.precision == "bf16" else "no",
            log_with=list(settings.trackers) or None,
            project_dir=None if folder is None else str(folder),
        )
        if self.accelerator.num_processes > 1:
            raise ConfigError(
                "engine",
                [
                    f"the native engine runs in one process, accelerate started {self.accelerator.num_processes}: use the TRL plug-in"
                ],
            )
        self.device = self.accelerator.device
        self._tracking = bool(settings.trackers)
        if self._tracking:
            self.accelerator.init_trackers("breadth", config=dict(tracker_settings or {}))

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which forward passes run in the precision of the settings."""
        return self.accelerator.autocast()

    def track(self, values: Mapping[str, Any], step: int) -> None:
        """Send numbers to the trackers, if there are any."""
        if self._tracking:
            self.accelerator.log({k: v for k, v in values.items() if isinstance(v, int | float)}, step=step)

    def close(self) -> None:
        if self._tracking:
            self.accelerator.end_training()
