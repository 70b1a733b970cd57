"""Scoring by another program: one SMILES a line into its standard input, one number a line out of its standard output."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping, Sequence

LONGEST_LINE = 65_536  # bytes of an answer; a number is far shorter


class CommandOracle:
    """An oracle that asks a program, kept running between calls.

    The program reads one SMILES a line and answers each with one line: a number, or ``nan`` where it cannot tell. It must
    flush after every line. Where it answers too late, with anything but a number, or ends, that molecule is unscored, the
    program is started anew, and the reason is kept.

    Parameters
    ----------
    command : str or list of str
        The program and its arguments; a string is split as a shell would, no shell is run.
    timeout : float
        Seconds for one answer.
    start_timeout : float
        Seconds more for the first answer after a start.
    workers : int
        Copies of the program that answer side by side.
    environment : mapping, optional
        Variables added to the program's environment.

    Raises
    ------
    ValueError
        No command, a program that is not found, a number out of range.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        timeout: float = 60.0,
        start_timeout: float = 60.0,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.command = shlex.split(command) if isinstance(command, str) else [str(part) for part in command]
        if not self.command:
            raise ValueError("command: expected a program and its arguments, got nothing")
        if shutil.which(self.command[0]) is None:
            raise ValueError(f"command: the program {self.command[0]!r} is not found, or may not be run")
        for name, number in (("timeout", timeout), ("start_timeout", start_timeout)):
            if not (math.isfinite(number) and number > 0):
                raise ValueError(f"{name}: expected seconds > 0, got {number}")
        if workers < 1:
            raise ValueError(f"workers: expected at least 1, got {workers}")
        settings = (self.command, timeout, start_timeout, dict(environment or {}))
        self._programs = [_Program(*settings) for _ in range(workers)]
        self._reasons: list[str] = []
        self._finalizer = weakref.finalize(self, _stop_all, self._programs)

    def __call__(self, smiles: Sequence[str]) -> list[float]:
        """Return one number for each SMILES; NaN where the program gave none."""
        values = [math.nan] * len(smiles)
        lock, waiting = threading.Lock(), iter(enumerate(smiles))

        def serve(program: _Program) -> None:
            while True:
                with lock:
                    place, text = next(waiting, (None, ""))
                if place is None:
                    return
                try:
                    values[place] = program.ask(text)
                except _NoAnswerError as error:
                    with lock:
                        self._reasons.append(f"{self.command[0]}: {error}")

        threads = [threading.Thread(target=serve, args=(p,), daemon=True) for p in self._programs[: len(smiles)]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return values

    def take_reasons(self) -> list[str]:
        """Return why molecules were left unscored since the last call."""
        found, self._reasons = self._reasons, []
        return found

    def close(self) -> None:
        """Stop the programs; they start again when they are asked."""
        _stop_all(self._programs)


class _NoAnswerError(RuntimeError):
    """The program gave no number for one SMILES; the message says why."""


class _Program:
    """One running copy of the program."""

    def __init__(self, command: list[str], timeout: float, start_timeout: float, environment: dict[str, str]) -> None:
        self.command, self.timeout, self.start_timeout = command, timeout, start_timeout
        self.environment = environment
        self.process: subprocess.Popen | None = None

    def ask(self, text: str) -> float:
        """Return the program's number for one SMILES; ``_NoAnswerError`` where it gives none, after stopping it."""
        seconds = self.timeout
        if self.process is None or self.process.poll() is not None:
            self._start()
            seconds += self.start_timeout
        try:
            line = self._exchange(text, time.monotonic() + seconds, seconds)
            try:
                value = float(line)
            except ValueError:
                raise _NoAnswerError(f"expected a number, got {line[:80]!r}") from None
        except _NoAnswerError:
            self.stop()
            raise
        if not math.isfinite(value):
            raise _NoAnswerError(f"it answered {line.strip()}{self._last_words()}")
        return value

    def _start(self) -> None:
        self.stop()
        self.buffer, self.errors = b"", b""
        try:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **self.environment},
                start_new_session=True,  # so that stopping it also stops what it started
            )
        except OSError as error:
            raise _NoAnswerError(f"cannot be started ({error})") from error
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            os.set_blocking(stream.fileno(), False)

    def _exchange(self, text: str, until: float, seconds: float) -> str:
        """Write one line and read one, whatever the program does meanwhile; both pipes are served at once."""
        process, left = self.process, text.encode() + b"\n"
        self.buffer += _read_rest(process.stdout)  # what came unasked since the last answer
        if self.buffer:
            raise _NoAnswerError(f"more lines than questions: {self.buffer[:80]!r}")
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.stderr, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if len(self.buffer) > LONGEST_LINE:
                    raise _NoAnswerError(f"an answer of more than {LONGEST_LINE:,} bytes")
                ready = selector.select(max(0.0, until - time.monotonic()))
                if time.monotonic() >= until:
                    raise _NoAnswerError(f"no answer within {seconds:g} s")
                for key, _ in ready:
                    if key.fileobj is process.stdin:
                        try:
                            left = left[os.write(process.stdin.fileno(), left) :]
                        except BrokenPipeError:
                            left = b""
                        if not left:
                            selector.unregister(process.stdin)
                        continue
                    chunk = os.read(key.fd, 65_536)
                    if key.fileobj is process.stdout:
                        self.buffer += chunk
                        if not chunk:
                            raise _NoAnswerError(self._obituary())
                    elif chunk:
                        self.errors = (self.errors + chunk)[-2_000:]
                    else:
                        selector.unregister(process.stderr)
        line, self.buffer = self.buffer.split(b"\n", 1)
        if len(line) > LONGEST_LINE:
            raise _NoAnswerError(f"an answer of more than {LONGEST_LINE:,} bytes")
        return line.decode("utf-8", "replace")

    def _obituary(self) -> str:
        try:
            code: object = self.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        return f"it ended with code {code}{self._last_words()}"

    def _last_words(self) -> str:
        """Return the last line of its standard error in brackets, or ""."""
        while chunk := _read_rest(self.process.stderr):
            self.errors = (self.errors + chunk)[-2_000:]
        last = self.errors.decode("utf-8", "replace").strip().splitlines()
        return f" ({last[-1][:200]})" if last else ""

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it is gone already
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):  # nobody reads the rest of a question any more
                stream.close()


def _read_rest(stream) -> bytes:
    try:
        return os.read(stream.fileno(), 65_536)
    except BlockingIOError:
        return b""


def _stop_all(programs: Sequence[_Program]) -> None:
    for program in programs:
        program.stop()
