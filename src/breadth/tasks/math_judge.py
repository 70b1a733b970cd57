"""math-verify behind a wall: a worker process with a hard time limit, so that a hostile answer costs one item and nothing else."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

_START_SECONDS = 120.0  # importing sympy on a busy machine


class MathVerify:
    """Asks math-verify whether an answer is the gold answer.

    Parameters
    ----------
    timeout : float
        Seconds for one answer; the worker is then killed and another one started.

    Raises
    ------
    ImportError
        Without the package; with the pip line.

    ``failures`` counts what went wrong by reason.
    """

    _worker: subprocess.Popen[bytes] | None = None

    def __init__(self, *, timeout: float = 5.0) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise ImportError('checking answers with math-verify needs an extra:\npip install "breadth[math]"')
        if timeout <= 0:
            raise ValueError(f"timeout: expected seconds above 0, got {timeout}")
        self.timeout = timeout
        self.failures: dict[str, int] = {}
        self._rest = b""

    def same(self, gold: Sequence[str], answer: str) -> bool | None:
        """Return whether the answer is one of the gold answers; None where that could not be told (time, memory, a crash).

        Parameters
        ----------
        gold : answers without dollar signs
        answer : str
            A whole text, or only its final answer.
        """
        if self._worker is None or self._worker.poll() is not None:
            self._start()
        assert self._worker is not None and self._worker.stdin is not None
        try:
            self._worker.stdin.write((json.dumps({"gold": list(gold), "answer": answer}) + "\n").encode())
            self._worker.stdin.flush()
            said = self._line(self.timeout)
        except (BrokenPipeError, EOFError):
            return self._failed("the worker crashed")
        if said is None:
            return self._failed(f"no answer within {self.timeout:g} s")
        if "error" in said:
            reason = said["error"].split(":")[0]
            self.failures[reason] = self.failures.get(reason, 0) + 1
            return None
        return said["same"]

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            for pipe in (self._worker.stdin, self._worker.stdout):
                if pipe is not None:
                    pipe.close()
            self._worker = None

    def __del__(self) -> None:
        self.close()

    def _failed(self, reason: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1
        self.close()

    def _start(self) -> None:
        self.close()
        self._rest = b""
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "breadth.tasks.math_worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        try:
            ready = self._line(_START_SECONDS)
        except EOFError:
            ready = None
        if not ready or not ready.get("ready"):
            self.close()
            raise RuntimeError(
                "math-verify: its worker process did not start: try python -m breadth.tasks.math_worker by hand"
            )

    def _line(self, seconds: float) -> dict[str, Any] | None:
        """Return the worker's next line, None after so many seconds; ``EOFError`` where it is gone."""
        assert self._worker is not None and self._worker.stdout is not None
        pipe, end = self._worker.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                return None
            read = os.read(pipe, 1 << 16)
            if not read:
                raise EOFError
            self._rest += read
        line, self._rest = self._rest.split(b"\n", 1)
        return json.loads(line)
