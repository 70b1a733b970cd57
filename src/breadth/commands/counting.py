"""A bar for work that counts up, on standard error; plain lines where that is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from breadth.commands.output import errors
from breadth.commands.progress import PLAIN_EVERY


@contextmanager
def counter(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (done, total) that shows how far the work is; ``quiet`` shows nothing."""
    if quiet:
        yield lambda done, total: None
        return
    if not errors.is_terminal:
        last = time.perf_counter()

        def line(done: int, total: int) -> None:
            nonlocal last
            if time.perf_counter() - last >= PLAIN_EVERY:
                last = time.perf_counter()
                errors.print(f"{done:,} of {total:,} {what}", highlight=False)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
