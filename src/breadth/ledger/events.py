"""What happened when: clock, machine, versions, warnings. Kept apart from the ledger, so that equal runs have equal ledgers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from breadth.ledger.rows import append_rows


class EventLog:
    """Appends events to ``events.jsonl`` of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_file():  # a torn last line must not run into the next event
            data = path.read_bytes()
            if data and not data.endswith(b"\n"):
                with open(path, "ab") as file:
                    file.write(b"\n")

    def add(self, event: str, **facts: Any) -> None:
        append_rows(self.path, [{"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **facts}])


def machine_facts() -> dict[str, Any]:
    """Return what a reader needs to repeat a timing: machine, cores, versions, commit, command."""
    packages: dict[str, str | None] = {}
    for name in ("breadth", "torch", "numpy", "scipy", "accelerate", "rdkit"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "packages": packages,
        "commit": commit(),
        "command": command(),
    }


@cache
def processor() -> str | None:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


@cache
def commit() -> str | None:
    """Return the git commit of the package's source tree (with "+" where it has changes), or None outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        top = subprocess.run(["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", __file__],
            capture_output=True,
            text=True,
            timeout=10,
        )
        if top.returncode or tracked.returncode:  # installed inside somebody else's checkout
            return None
        dirty = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return top.stdout.strip()[:12] + ("+" if dirty.stdout.strip() else "")


def command() -> str:
    """Return the command line that started this process, without the path of the program."""
    program = Path(sys.argv[0]).name
    return " ".join(["breadth" if program == "app.py" else program, *sys.argv[1:]])
