"""How the process of a run died that left no word: by which signal, and whether the kernel says that memory ran out."""

from __future__ import annotations

import signal
from pathlib import Path

# Linux counts here every process that its out-of-memory killer ended, in whichever memory group
KERNEL = Path("/proc/vmstat")
MEMORY = "fewer runs at a time (study.workers) take less memory, which may be changed; so does a smaller train.micro_batch, in a new folder"


def memory_kills() -> int | None:
    """Return how many processes the kernel has killed for their memory since it started; None where it does not say."""
    try:
        counts = dict(line.split() for line in KERNEL.read_text().splitlines())
        return int(counts["oom_kill"])
    except (OSError, KeyError, ValueError):
        return None


def cause_of_death(exitcode: int | None, *, kills_before: int | None, kills_now: int | None) -> str:
    """Return what is known of a process that ended without a word.

    Parameters
    ----------
    exitcode : int
        As :mod:`multiprocessing` gives it: minus the signal's number where it was a signal.
    kills_before, kills_now : int
        :func:`memory_kills` when the runs were started and now.

    Examples
    --------
    >>> cause_of_death(-9, kills_before=2, kills_now=3)
    'its process was killed by signal 9 (SIGKILL), probably out of memory: the kernel has ended 1 process for that since the runs were started'
    >>> cause_of_death(-11, kills_before=2, kills_now=2)
    'its process was killed by signal 11 (SIGSEGV)'
    >>> cause_of_death(3, kills_before=None, kills_now=None)
    'its process ended with code 3 and without a word'
    """
    if exitcode is None or exitcode >= 0:
        return f"its process ended with code {exitcode} and without a word"
    try:
        name = signal.Signals(-exitcode).name
    except ValueError:
        name = "no name"
    said = f"its process was killed by signal {-exitcode} ({name})"
    if -exitcode != signal.SIGKILL:
        return said
    if kills_before is None or kills_now is None:
        return f"{said}, probably out of memory"
    if (n := kills_now - kills_before) > 0:
        return f"{said}, probably out of memory: the kernel has ended {n} process{'es' * (n > 1)} for that since the runs were started"
    return f"{said}, by hand or by another program: the kernel has ended no process for its memory since the runs were started"


def lost_runs(lost: list[str], n_runs: int, *, finished: bool) -> str:
    """Return the message on the runs that lost their process: which, why, what became of the others, what to do."""
    others = "the others are done" if finished else "the others were stopped"
    what_to_do = ["Nothing that was written is lost: the same command goes on from the last checkpoint"]
    if any("out of memory" in line for line in lost):
        what_to_do.append(MEMORY)
    head = f"{len(lost)} of {n_runs} runs lost {'its' if len(lost) == 1 else 'their'} process; {others}:"
    if n_runs == 1:
        head = "the run lost its process:"
    return "\n".join([head, *(f"  - {line}" for line in lost), "; ".join(what_to_do)])
