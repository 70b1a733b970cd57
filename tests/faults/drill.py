"""The drill: a stage of the work is killed at its k-th change of a file, started again, and compared with one that was left alone.

Run by ``tests/faults/test_crash_points.py`` with the counter of ``crash_points.c`` loaded before libc, or by hand:

    gcc -O1 -shared -fPIC -o crash_points.so tests/faults/crash_points.c -ldl
    LD_PRELOAD=./crash_points.so CRASH_POINTS=./crash_points.so python -m tests.faults.drill prior,train,measure,report,study /tmp/drill

Each point is a process of its own (a fork of this one, which has done a run before and so has everything loaded). A write is two points:
death before it, and death with half of its bytes on the disk. Prints one JSON object a stage.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUN = """
study = "drill"
[task]
kind = "circle"
vertices = 6
edges = 3
[model]
n_layer = 1
n_head = 1
n_embd = 8
[prior]
steps = 4
batch_size = 8
checkpoint_every = 2
[objective]
kind = "ucb"
[train]
steps = 4
group_size = 8
[measure]
every = 2
sets = 2
samples_per_set = 8
"""
STUDY = RUN.replace('study = "drill"', 'name = "drill"').replace(
    '[objective]\nkind = "ucb"',
    "[study]\nseeds = [0, 1]\nat_quality = [0.1]\nn_boot = 20\n[objectives.dr_grpo]\n[objectives.darling]\n",
)
CLOCKED = ("seconds", "machine", "commit")  # of a summary: differ between equal runs


def settings_of_run() -> Any:
    from breadth.config import RunSettings, build_settings
    from breadth.experiments.assemble import CHECKS

    return build_settings(RunSettings, tomllib.loads(RUN), where="drill", checks=CHECKS)


def train(folder: Path) -> None:
    from breadth.experiments.front import train_settings

    train_settings(settings_of_run(), folder / "run")


def prior(folder: Path) -> None:
    os.environ["BREADTH_CACHE"] = str(folder / "cache")
    settings = settings_of_run()
    from breadth.experiments.assemble import prepare_prior, resolve, task_of

    settings = resolve(settings)
    prepare_prior(settings, task_of(settings), folder / "prior")


def measure(folder: Path) -> None:
    from breadth.experiments.measure import measure_run

    measure_run(folder / "run", overrides={"sets": 3}, write=True)


def study(folder: Path) -> None:
    from breadth.config import StudySettings, build_settings
    from breadth.experiments import study as room
    from breadth.experiments.assemble import CHECKS
    from breadth.experiments.runner import run_job

    def here(
        jobs: Any, *, workers: int, on_state: Any = None
    ) -> None:  # the same runs, but in this process: it is the one that dies
        for job in jobs:
            run_job(job)

    room.run_jobs = here
    room.run_study(build_settings(StudySettings, tomllib.loads(STUDY), where="drill", checks=CHECKS), folder / "study")


def report(folder: Path) -> None:
    from breadth.experiments.front import report_runs

    report_runs([folder / "run"], out=folder / "page.html")


#: stage: what it does, what has to be there before
STAGES: dict[str, tuple[Callable[[Path], None], Callable[[Path], None] | None]] = {
    "prior": (prior, None),
    "train": (train, None),
    "measure": (measure, train),
    "report": (report, train),
    "study": (study, None),
}


def fingerprint(folder: Path) -> dict[str, str]:
    """Return a hash of every file that must be equal, and the names of files that should not be there."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.name in ("events.jsonl", ".lock") or name.endswith((".lock", ".seconds.json")):
            continue
        data = path.read_bytes()
        if path.name == "summary.json" or name == "page.json":
            data = json.dumps(without_clock(json.loads(data)), sort_keys=True).encode()
        if path.suffix == ".html":
            data = data.rstrip()[-7:]  # times of the machine stand on the page: whole is all that can be asked
        found[name] = hashlib.sha256(data).hexdigest()[:16]
    return found


def without_clock(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in value.items() if k not in CLOCKED}
    return [without_clock(v) for v in value] if isinstance(value, list) else value


def ledger_faults(folder: Path, reference: Path) -> tuple[int, int]:
    """Return how many ledger rows are lost, and how many stand there more than once."""
    lost = doubled = 0
    for path in reference.rglob("ledger.jsonl"):
        wanted = Counter(path.read_bytes().splitlines())
        other = folder / path.relative_to(reference)
        got = Counter(other.read_bytes().splitlines()) if other.is_file() else Counter()
        lost += sum((wanted - got).values())
        doubled += sum((got - wanted).values())
    return lost, doubled


def in_child(work: Callable[[], None]) -> int:
    """Do work in a fork; return its wait status. Its words go to ``stderr`` only where it fails."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
        os._exit(code)
    return os.waitpid(pid, 0)[1]


def points_of(log: Path) -> list[tuple[int, int, str]]:
    """Return (number of the call, torn, what it was) for every point of a recorded stage."""
    found = []
    for number, line in enumerate(log.read_text().splitlines(), start=1):
        found.append((number, 0, line))
        if line.startswith("write "):
            found.append((number, 1, f"half a {line}"))
    return found


def drill(stage: str, work: Path, *, first: int, every: int, library: ctypes.CDLL, limit_s: float) -> dict[str, Any]:
    act, before = STAGES[stage]
    work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("BREADTH_CACHE", str(work / "cache"))
    start, reference, log = work / f"{stage}-start", work / f"{stage}-reference", work / f"{stage}.log"
    for folder in (start, reference):
        shutil.rmtree(folder, ignore_errors=True)
    start.mkdir()
    if before is not None:
        assert in_child(lambda: before(start)) == 0, "what has to be there before could not be made"
    elif stage != "prior":  # the prior's own crash points are a stage of their own
        assert in_child(lambda: train(work / "warm")) == 0

    def run(folder: Path, at: int, torn: int, record: Path | None = None) -> int:
        def armed() -> None:
            handle = -1 if record is None else os.open(record, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            library.crash_arm(os.fsencode(folder), at, torn, handle)
            act(folder)

        return in_child(armed)

    shutil.copytree(start, reference)
    assert run(reference, 0, 0, log) == 0, "the stage fails by itself"
    wanted = fingerprint(reference)
    points = points_of(log)
    began, faults, tried, lost, doubled = time.monotonic(), [], 0, 0, 0
    target = work / f"{stage}-drill"
    for number, torn, what in points[first::every]:
        if time.monotonic() - began > limit_s:
            break
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(start, target)
        if os.WTERMSIG(run(target, number, torn)) != signal.SIGKILL:
            continue  # this time the stage had fewer calls: the folder of a cache, say
        tried += 1
        place = f"{number}: {what.replace(str(reference), '')}"
        again = in_child(lambda: act(target))
        if again != 0:
            faults.append(f"{place}: does not go on")
            continue
        rows = ledger_faults(target, reference)
        lost, doubled = lost + rows[0], doubled + rows[1]
        got = fingerprint(target)
        differs = sorted(k for k in wanted.keys() | got.keys() if wanted.get(k) != got.get(k))
        if differs:
            faults.append(f"{place}: differs in {', '.join(differs[:4])}")
    shutil.rmtree(target, ignore_errors=True)
    kinds = Counter(what.split(" ", 1)[0] for _, torn, what in points if not torn)
    return {
        "stage": stage, "calls": sum(kinds.values()), "kinds": dict(kinds), "points": len(points), "tried": tried,
        "rows_lost": lost, "rows_doubled": doubled, "faults": faults, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("stages", help=f"of {', '.join(STAGES)}, separated by commas")
    arguments.add_argument("work", type=Path)
    arguments.add_argument("--every", type=int, default=1, help="take each n-th point")
    arguments.add_argument("--first", type=int, default=0, help="the first of them, counted from 0")
    arguments.add_argument("--limit", type=float, default=1e9, help="seconds after which no new point is begun")
    given = arguments.parse_args()
    library = ctypes.CDLL(os.environ["CRASH_POINTS"])
    library.crash_arm.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    import torch

    torch.set_num_threads(1)
    warm = (
        given.work.resolve() / "warm"
    )  # a whole run and its page once in this process, so that no fork has to import anything
    shutil.rmtree(warm, ignore_errors=True)
    os.environ["BREADTH_CACHE"] = str(warm / "cache")
    train(warm)
    report(warm)
    os.environ.pop("BREADTH_CACHE")
    for stage in given.stages.split(","):
        found = drill(
            stage,
            given.work.resolve() / stage,
            first=given.first,
            every=given.every,
            library=library,
            limit_s=given.limit,
        )
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
