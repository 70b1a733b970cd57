"""A scorer in a process of its own, which is ended where a call takes too long: a hard limit, whatever the scorer hangs in."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Scorer = Callable[[Sequence[str], Sequence[str] | None], Sequence[Any]]

HUNG_IN_A_ROW = 5  # then the other texts of a batch are not asked about
KEPT = 4  # processes that wait for the next call
_HEADER = struct.Struct("<Q")
_PDEATHSIG = 1  # of Linux's prctl


class ScorerHungError(TimeoutError):
    """A call of a scorer took longer than its limit."""


class ScorerDiedError(RuntimeError):
    """The scorer's process ended within a call: killed, out of memory, a crash in compiled code."""


class ScorerProcess:
    """A scorer that answers from a fork of this process, made at the first call and again after each that had to be ended.

    What the scorer keeps from call to call (a cache, a counter) lives in that process and is lost with it. A scorer that
    computes on a GPU cannot be called like this: CUDA does not survive a fork.

    Parameters
    ----------
    score : function of (texts, prompts)
    seconds : float
        For one call.

    Raises
    ------
    ValueError
        ``seconds`` not above 0.
    OSError
        Where the system cannot fork.
    """

    def __init__(self, score: Scorer, *, seconds: float) -> None:
        if not seconds > 0:
            raise ValueError(f"seconds: expected a number above 0, got {seconds}")
        if not hasattr(os, "fork"):
            raise OSError(
                "a time limit for scorers needs a system that can fork (Linux, macOS): leave train.reward_timeout out"
            )
        self.score, self.seconds = score, seconds
        self._pid: int | None = None
        self._hung = 0

    def __call__(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[Any]:
        """Return what the scorer returns, as numbers, lists of numbers, or None.

        Raises
        ------
        ScorerHungError
            After ``seconds``; also at once after five single texts in a row, until the next batch.
        ScorerDiedError
            The process ended.
        RuntimeError
            The scorer raised; its words are in the message.
        """
        if len(texts) > 1:
            self._hung = 0
        elif self._hung >= HUNG_IN_A_ROW:
            raise ScorerHungError(
                f"not asked, because {HUNG_IN_A_ROW} texts in a row took longer than {self.seconds:g} s"
            )
        if self._pid is None:
            self._start()
        try:
            _send(self._to, {"texts": list(texts), "prompts": None if prompts is None else list(prompts)})
            said = _receive(self._from, self.seconds)
        except (BrokenPipeError, EOFError):
            self.close()
            raise ScorerDiedError(
                f"the scorer's process ended while it scored {len(texts)} texts (killed? out of memory?)"
            ) from None
        except BaseException:  # an interrupt: an answer that comes later must not be taken for that of the next call
            self.close()
            raise
        if said is None:
            self.close()
            self._hung += len(texts) == 1
            raise ScorerHungError(f"longer than {self.seconds:g} s for {len(texts)} texts (train.reward_timeout)")
        self._hung = 0
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["values"]

    def close(self) -> None:
        """End the process."""
        if self._pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        os.close(self._to)
        os.close(self._from)
        self._pid = None

    def _start(self) -> None:
        ask_from, self._to = os.pipe()
        self._from, say_to = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                _follow(parent)
                os.close(self._to)
                os.close(self._from)
                _serve(self.score, ask_from, say_to)
            finally:
                os._exit(0)
        os.close(ask_from)
        os.close(say_to)
        self._pid = pid


_processes: OrderedDict[tuple[Any, float], ScorerProcess] = OrderedDict()


def limited(score: Scorer, seconds: float) -> ScorerProcess:
    """Return the process of a scorer; the same one for the same scorer, so that what it keeps survives from call to call."""
    key = (score, seconds)
    if key not in _processes:
        _processes[key] = ScorerProcess(score, seconds=seconds)
    _processes.move_to_end(key)
    while len(_processes) > KEPT:
        _processes.popitem(last=False)[1].close()
    return _processes[key]


def close_all() -> None:
    """End the processes of all scorers."""
    while _processes:
        _processes.popitem()[1].close()


def _serve(score: Scorer, ask_from: int, say_to: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; it ends this process
    while True:
        try:
            asked = _receive(ask_from, None)
        except EOFError:
            return
        try:
            answer = {"values": [_plain(v) for v in score(asked["texts"], asked["prompts"])]}
        except Exception as error:  # whatever a user's function raises goes back as words
            answer = {"error": f"{type(error).__name__}: {error}"}
        try:
            _send(say_to, answer)
        except BrokenPipeError:
            return


def _plain(value: Any) -> Any:
    if value is None:
        return None
    return float(value) if np.ndim(value) == 0 else [float(v) for v in value]


def _send(pipe: int, what: dict[str, Any]) -> None:
    data = json.dumps(what).encode()  # NaN and infinity travel as Python writes them
    data = _HEADER.pack(len(data)) + data
    while data:
        data = data[os.write(pipe, data) :]


def _receive(pipe: int, seconds: float | None) -> dict[str, Any] | None:
    """Return the next message, None after so many seconds; ``EOFError`` where the other side is gone."""
    end = None if seconds is None else time.monotonic() + seconds
    data = b""
    while len(data) < _HEADER.size or len(data) < _HEADER.size + _HEADER.unpack_from(data)[0]:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not select.select([pipe], [], [], left)[0]:
            return None
        part = os.read(pipe, 1 << 16)
        if not part:
            raise EOFError
        data += part
    return json.loads(data[_HEADER.size :])


def _follow(parent: int) -> None:
    """End with the parent, also where the parent is killed while the scorer hangs (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
