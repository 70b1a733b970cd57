"""The mutation drill: do the tests notice when a sign, a mask or a group index is wrong?

    python -m tests.mutation.drill                    # every file of PLAN, as many mutants each as it says
    python -m tests.mutation.drill --only losses/ --n 3 --seed 1

Each mutant is tried in a fork of this process, which has loaded torch and pytest but nothing of breadth: the wrong source is put
in place of the file when it is imported, so no file is touched. A mutant is killed where a test fails that passes on
the file as it is. Prints a line a mutant,
and a JSON object at the end.
"""

from __future__ import annotations

import argparse
import importlib.abc
import importlib.util
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from tests.mutation.mutants import Mutant, choose, mutants

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ["tests/contracts/test_invariants.py", "tests/contracts/test_padding.py", "tests/contracts/test_gradients.py",
             "tests/contracts/test_other_families.py", "tests/contracts/test_actor_critic.py"]  # fmt: skip
PRESETS = ["tests/objectives/test_presets.py", "tests/objectives/test_implicit_presets.py", "tests/objectives/test_diversity_presets.py",
           "tests/objectives/test_composition.py", "tests/objectives/test_quality_target.py", "tests/objectives/test_ppo.py",
           "tests/objectives/test_remembering.py", "tests/objectives/test_replaying.py"]  # fmt: skip
FIT = ["tests/laws/test_errors_of_a_fit.py", "tests/laws/test_nist.py",
       "tests/laws/test_fit_invariants.py", "tests/laws/test_degenerate.py", "tests/laws/test_law_verdict.py",
       "tests/laws/test_recovery.py", "tests/laws/test_theory_and_ends.py"]  # fmt: skip
FRONT = [
    "tests/laws/test_frontier.py",
    "tests/laws/test_frontier_test.py",
    "tests/laws/test_lift.py",
    "tests/laws/test_resampling.py",
]

#: file: how many mutants, and the tests besides its own examples, the nearest first
PLAN: dict[str, tuple[int, list[str]]] = {
    "tensors/groups.py": (6, ["tests/tensors", "tests/advantages"]),
    "tensors/masked.py": (5, ["tests/tensors", "tests/losses"]),
    "tensors/logprobs.py": (5, ["tests/tensors", "tests/losses"]),
    "advantages/baseline.py": (4, ["tests/advantages", *CONTRACTS]),
    "advantages/entropy.py": (6, ["tests/advantages", *PRESETS, *CONTRACTS]),
    "advantages/exploration.py": (5, ["tests/advantages", *PRESETS, *CONTRACTS]),
    "advantages/pass_at_k.py": (4, ["tests/advantages", *PRESETS, *CONTRACTS]),
    "advantages/reference.py": (3, ["tests/advantages", *PRESETS, *CONTRACTS]),
    "advantages/uniformity.py": (4, ["tests/advantages", *PRESETS, *CONTRACTS]),
    "losses/tokens.py": (5, ["tests/losses", *CONTRACTS]),
    "losses/ratios.py": (4, ["tests/losses", *CONTRACTS]),
    "losses/implicit.py": (8, ["tests/losses", *CONTRACTS]),
    "losses/gae.py": (6, ["tests/losses", "tests/objectives/test_ppo.py", *CONTRACTS]),
    "losses/covariance.py": (4, ["tests/losses", *CONTRACTS]),
    "losses/entropies.py": (4, ["tests/losses", *CONTRACTS]),
    "losses/flow.py": (3, ["tests/losses", "tests/objectives/test_flow_points.py", *CONTRACTS]),
    "losses/aggregation.py": (3, ["tests/losses", "tests/tensors", *CONTRACTS]),
    "rewards/diversity.py": (5, ["tests/rewards", *PRESETS]),
    "rewards/frequency.py": (2, ["tests/rewards", *PRESETS]),
    "rewards/set_reward.py": (3, ["tests/rewards", *PRESETS]),
    "rewards/unlikeliness.py": (3, ["tests/rewards", *PRESETS]),
    "rewards/memory.py": (3, ["tests/rewards", *PRESETS]),
    "objectives/darling.py": (2, [*PRESETS, *CONTRACTS]),
    "objectives/gvpo.py": (2, [*PRESETS, *CONTRACTS]),
    "objectives/quality_target.py": (4, ["tests/objectives/test_quality_target.py", *CONTRACTS]),
    "objectives/reinvent.py": (3, [*PRESETS, *CONTRACTS]),
    "rewards/niche.py": (4, ["tests/rewards/test_niche.py"]),
    "rewards/replay.py": (4, ["tests/rewards/test_replay.py", "tests/objectives/test_replaying.py"]),
    "rewards/novelty.py": (4, ["tests/rewards/test_novelty.py", "tests/engine/test_novelty_models.py"]),
    "engine/novelty.py": (3, ["tests/engine/test_novelty_models.py"]),
    "objectives/niching.py": (2, ["tests/rewards/test_niche.py", *PRESETS, *CONTRACTS]),
    "laws/envelope.py": (4, ["tests/laws/test_envelope.py"]),
    "laws/forecast.py": (4, ["tests/laws/test_forecast.py", "tests/laws/test_forecast_score.py"]),
    "laws/curves.py": (5, FIT),
    "laws/fit.py": (4, FIT),
    "laws/frontier.py": (4, FRONT),
    "laws/lift.py": (4, FRONT),
    "laws/verdict.py": (3, FIT),
}

#: mutants that change nothing that can be seen, by the beginning of their names, and why: not counted
EQUIVALENT: dict[str, str] = {
    "src/breadth/advantages/baseline.py:149 mask dropped": "the line after asks for > 0, which NaN is as little as 0",
    "src/breadth/tensors/groups.py:207 off by one": "runs that are counted from 1 leave a run 0 that nobody reads",
    "src/breadth/losses/implicit.py:267 mask dropped": "its callers put 0 in the same places right after, whose gradient is 0",
    "src/breadth/losses/gae.py:275 scale: eps / scale / scale": "where the scale is not 1, eps is lost in rounding either way",
    "src/breadth/laws/fit.py:210 other reduction: np.abs(rows.x).max()": "values whose spread is a billionth of them have one size",
}


#: slow, and blind to the arithmetic of these files
DESELECTED = ["--deselect", "tests/rewards/test_diversity_rewards.py::test_figure_2"]


class WrongSource(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module another source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, name: str, *_: object) -> object:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: object) -> None:
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def attempt(path: str, source: str | None, tests: list[str], *, limit_s: float) -> tuple[int | None, str]:
    """Run tests in a fork, with another source of a file; return pytest's exit code (None: out of time) and what failed."""
    import pytest

    class Failed:
        def __init__(self) -> None:
            self.first, self.wrong = "", None

        def pytest_collection(self, session: object) -> None:
            if (
                self.wrong is not None
            ):  # before pytest's own finder, which takes every file that is named on its command line
                sys.meta_path.insert(0, self.wrong)

        def pytest_runtest_logreport(self, report: object) -> None:
            if report.failed and not self.first:
                self.first = report.nodeid

        def pytest_collectreport(self, report: object) -> None:
            if report.failed and not self.first:
                self.first = f"{report.nodeid} (collection)"

    failed = Failed()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            if source is not None:
                name = "breadth." + path.removeprefix("src/breadth/").removesuffix(".py").replace("/", ".")
                failed.wrong = WrongSource(name, ROOT / path, source)
            code = int(
                pytest.main(
                    [path, *tests, "-x", "-q", "-p", "no:cacheprovider", "-W", "ignore", *DESELECTED], plugins=[failed]
                )
            )
            os.write(tell, failed.first.encode()[:500])
        finally:
            os._exit(code)
    os.close(tell)
    end = time.monotonic() + limit_s
    ready = select.select([told], [], [], max(0.0, end - time.monotonic()))[0]
    if not ready:
        os.kill(pid, signal.SIGKILL)
    first = os.read(told, 500).decode() if ready else ""
    os.close(told)
    _, status = os.waitpid(pid, 0)
    return (os.waitstatus_to_exitcode(status) if ready else None), first


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="files that begin with this, below src/breadth")
    arguments.add_argument("--n", type=int, help="mutants a file; default: as PLAN says")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--limit", type=float, default=180.0, help="seconds for one mutant")
    arguments.add_argument("--part", default="0/1", help="I/N: every N-th file, from the I-th")
    given = arguments.parse_args()
    os.chdir(ROOT)
    import hypothesis  # noqa: F401
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import scipy.optimize  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch
    import torch._dynamo  # optimisers want it, and it takes seconds

    torch.set_num_threads(1)
    part, parts = map(int, given.part.split("/"))
    chosen: list[tuple[Mutant, list[str]]] = []
    for short, (n, tests) in list(PLAN.items())[part::parts]:
        if short.startswith(given.only):
            found = mutants(ROOT, f"src/breadth/{short}")
            chosen += [(m, tests) for m in choose(found, given.n or n, given.seed)]
    killed, survived, equivalent = 0, [], 0
    sound: dict[str, bool] = {}  # tests that killed: do they pass on the file as it is?
    for mutant, tests in chosen:
        if mutant.name.startswith(tuple(EQUIVALENT)):
            equivalent += 1
            continue
        began, dead, word, first = time.monotonic(), False, "SURVIVED", ""
        for some in ([mutant.path, tests[0]], tests[1:]):
            while some and not dead:
                away = [word for test, good in sound.items() if not good for word in ("--deselect", test)]
                code, first = attempt(mutant.path, mutant.source, [*some, *away], limit_s=given.limit)
                if code not in (1, 2):
                    word = "SURVIVED" if code == 0 else f"SURVIVED (exit {code})"
                    break
                test = first.removesuffix(" (collection)").split("[")[0]
                if test not in sound:
                    sound[test] = attempt(mutant.path, None, [test], limit_s=4 * given.limit)[0] == 0
                if sound[test]:
                    dead, word = True, "killed"
                elif test not in away:
                    continue  # it fails without the mutant too: it is left out, and the others are asked
                else:
                    break
        killed += dead
        if not dead:
            survived.append(f"{mutant.name} [{word}]")
        print(f"{word:9} {time.monotonic() - began:5.1f} s  {mutant.name}  {first}", flush=True)
    total = killed + len(survived)
    share = killed / total if total else None
    print(
        json.dumps({"mutants": total, "killed": killed, "share": share, "equivalent": equivalent, "survived": survived})
    )


if __name__ == "__main__":
    main()
