"""A group of processes that the kernel gives only so much memory: what a test of the out-of-memory killer needs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoGroup(RuntimeError):
    """No memory group can be made here; the message says why."""


def _own() -> tuple[Path, str]:
    """Return the folder of this process's own group, and the name of the file that limits a group's memory."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, name in lines:
        if "memory" in controllers.split(","):
            return Path("/sys/fs/cgroup/memory") / name.lstrip("/"), "memory.limit_in_bytes"
    for number, _, name in lines:
        folder = Path("/sys/fs/cgroup") / name.lstrip("/")
        if number == "0" and "memory" in (folder / "cgroup.subtree_control").read_text().split():
            return folder, "memory.max"
    raise NoGroup("the kernel gives this process's group no account of memory that could be handed on")


class MemoryGroup:
    """Processes with a limit in common, inside the group that the test itself is in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(f"{pid}\n")

    def kills(self) -> int:
        """Return how many processes the kernel has killed in here."""
        for name in ("memory.events", "memory.oom_control"):
            path = self.folder / name
            if path.is_file():
                return int(dict(line.split() for line in path.read_text().splitlines())["oom_kill"])
        raise NoGroup("the kernel does not count what it kills in a group")


@contextmanager
def memory_group(limit: int) -> Iterator[MemoryGroup]:
    """Make a group of at most ``limit`` bytes, and remove it when its processes are gone.

    Raises
    ------
    NoGroup
        With the reason.
    """
    try:
        own, file = _own()
        folder = own / f"breadth-test-{os.getpid()}"
        folder.mkdir()
    except OSError as error:
        raise NoGroup(f"no memory group can be made here: {error}") from error
    try:
        try:
            (folder / file).write_text(str(limit))
            group = MemoryGroup(folder)
            group.kills()
        except OSError as error:
            raise NoGroup(f"no memory can be limited here: {error}") from error
        yield group
    finally:
        for _ in range(100):
            try:
                folder.rmdir()
                break
            except OSError:  # a process of it is not gone yet
                time.sleep(0.05)
