"""Where a run computes: device, precision, threads, trackers. The settings decide; nothing is picked up from elsewhere."""

from __future__ import annotations

import ctypes
import hashlib
import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import get_available_trackers
from accelerate.utils import LoggerType

from breadth.config import ConfigError, EngineSettings, nearest
from breadth.engine.graph_sampling import GraphSampling

KEPT_BYTES = 1 << 30  # freed memory up to this much stays with the process, and so does every block up to this size
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory, and return whether it does: page faults are up to 30 % of some steps otherwise.

    Only glibc has these settings. The environment variables ``MALLOC_TRIM_THRESHOLD_`` and ``MALLOC_MMAP_THRESHOLD_`` do the same.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    kept = [library.mallopt(which, KEPT_BYTES) for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD)]
    return kept == [1, 1]


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that accelerate does not know or whose package is absent: it would leave them out without a word.

    Raises
    ------
    ConfigError
        An unknown name, with the nearest.
    ImportError
        With the pip line.
    """
    known = [t.value for t in LoggerType if t is not LoggerType.ALL]
    available = {str(getattr(t, "value", t)) for t in get_available_trackers()}
    for name in names:
        if name not in known:
            raise ConfigError("engine.trackers", [f"unknown tracker {name!r}{nearest(name, known)}"])
        if name not in available:
            raise ImportError(f"engine.trackers: {name!r} needs its package: pip install {name}")


class Machine:
    """One process on a CPU or one GPU, through accelerate.

    With a ``folder``, trackers get the numbers of ``steps.jsonl`` and of the ledger under the same names.
    """

    def __init__(
        self, settings: EngineSettings, folder: Path | None = None, *, tracker_settings: Mapping[str, Any] | None = None
    ) -> None:
        if settings.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "engine.device", ["'cuda' was asked for, but torch sees no CUDA device: use 'cpu' or 'auto'"]
            )
        torch.set_num_threads(settings.threads)
        keep_freed_memory()
        check_trackers(settings.trackers)
        AcceleratorState._reset_state(
            reset_partial_state=True
        )  # several runs in one process may differ in device and precision
        self.accelerator = Accelerator(
            cpu=settings.device == "cpu",
            mixed_precision="bf16" if settings.precision == "bf16" else "no",
            log_with=list(settings.trackers) if settings.trackers and folder is not None else None,
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
        if settings.cuda_graphs and self.device.type != "cuda":
            raise ConfigError(
                "engine.cuda_graphs", [f"expected a CUDA device, 'auto' found {self.device.type!r}: leave cuda_graphs out on this machine"]
            )
        self.graphs = GraphSampling() if settings.cuda_graphs else None  # of the models that are sampled from
        self._tracking = bool(settings.trackers) and folder is not None
        if self._tracking:
            assert folder is not None
            known = dict(tracker_settings or {})
            name = "-".join(str(known[k]) for k in ("study", "objective", "seed") if known.get(k) not in (None, ""))
            same = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]  # a resumed run goes on as one run
            named = {
                "wandb": {"name": name, "id": same, "resume": "allow", "dir": str(folder)},
                "trackio": {"name": f"{name}-{same[:6]}", "resume": "allow"},
            }
            self.accelerator.init_trackers("breadth", config=known, init_kwargs=named)

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context in which forward passes run in the precision of the settings."""
        return self.accelerator.autocast()

    def track(self, values: Mapping[str, Any], step: int) -> None:
        """Send numbers to the trackers, if there are any."""
        if self._tracking:
            numbers = {k: v for k, v in values.items() if isinstance(v, int | float) and k != "step"}
            self.accelerator.log(numbers, step=step)

    def close(self) -> None:
        if self._tracking:
            self.accelerator.end_training()
