"""Files from elsewhere: nothing is unpickled, nothing leaves its folder, and no bytes make a reader do more than say what is wrong.

``BREADTH_FUZZ`` is the number of cases of each reader of :mod:`tests.faults.reader_table`; the nightly form takes at least 4,000, which
are more than 100,000 in all.
"""

from __future__ import annotations

import ast
import json
import os
import resource
import signal
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import breadth
from breadth.config import ConfigError, StudySettings, build_settings
from breadth.engine.checkpoint import CheckpointError, verify
from breadth.ledger.rows import LedgerError
from breadth.ledger.run import load_run
from tests.faults.coverage_fuzz import TARGETS, case_of
from tests.faults.drill import STUDY
from tests.faults.reader_table import READERS
from tests.faults.readers import file_reader

SOURCE = Path(breadth.__file__).parent
CASES, MANY = int(os.environ.get("BREADTH_FUZZ", "20")), 4_000
NEEDS = {"smiles": "rdkit", "activity": "rdkit"}

#: calls that would run what a file says
REFUSED = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "joblib.load", "marshal.loads", "marshal.load", "shelve.open",
    "yaml.load", "yaml.unsafe_load", "dill.load", "cloudpickle.load", "pd.read_pickle", "eval", "exec", "os.system",
}  # fmt: skip


def calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_the_source_unpickles_nothing_and_runs_no_text():
    for path in SOURCE.rglob("*.py"):
        for name, node in calls(path):
            where = f"{path.relative_to(SOURCE)}:{node.lineno}"
            assert name not in REFUSED, f"{where}: {name}"
            if name in ("np.load", "numpy.load"):
                assert any(
                    k.arg == "allow_pickle" and getattr(k.value, "value", True) is False for k in node.keywords
                ), where
            if name.endswith(".extractall"):
                assert any(k.arg == "filter" for k in node.keywords), where
            assert not any(k.arg == "shell" and getattr(k.value, "value", False) is True for k in node.keywords), where


def test_a_run_and_its_page_unpickle_nothing(tmp_path):
    """An audit hook sees every class that an unpickler looks up, whoever calls it."""
    script = (
        "import sys, pathlib, os\n"
        "from tests.faults import drill\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "os.environ['BREADTH_CACHE'] = str(folder / 'cache')\n"
        "seen = []\n"
        "sys.addaudithook(lambda event, args: seen.append(args) if event == 'pickle.find_class' else None)\n"
        "drill.train(folder); (folder / 'run' / 'done.json').unlink(); drill.train(folder); drill.report(folder)\n"
        "print('seen', seen)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("seen []")


def test_a_checkpoint_cannot_point_outside_itself(tmp_path):
    folder = tmp_path / "step-000002"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    for name in ("../secret", "/etc/passwd", "a/../../secret"):
        (folder / "manifest.json").write_text(
            json.dumps({"format": 1, "step": 2, "files": {"model.safetensors": "0", name: "0"}})
        )
        (folder / "model.safetensors").write_text("")
        with pytest.raises(CheckpointError, match="points outside the checkpoint|SHA-256"):
            verify(folder)


@pytest.mark.parametrize("name", ["../../outside", "/tmp/x", "..", "a\\b", ""])
@pytest.mark.parametrize("where", ["objectives", "name"])
def test_names_that_become_folders_do_not_leave_theirs(name, where):
    data = tomllib.loads(STUDY) | (
        {"objectives": {name: {"kind": "grpo"}}} if where == "objectives" else {"name": name}
    )
    with pytest.raises(ConfigError, match=rf"x: 1 problem\n  - {where}.*it names a folder, so it must not be empty"):
        build_settings(StudySettings, data, where="x")


class Hung(BaseException):
    """A reader took longer than any file of a few kilobytes can ask for."""


@pytest.fixture
def alarm():
    """Ends a case that hangs, which would otherwise be seen by nobody."""

    def ring(*_: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.alarm(seconds)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def try_reader(name: str, n: int, alarm) -> int:
    """Give a reader n cases; return by how many bytes the process's peak memory grew."""
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    check, cases = READERS[name]

    def one(case: object) -> None:
        alarm(60)
        check(case)
        alarm(0)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # long cases, whose text hypothesis may be asked to show
        settings(max_examples=n, deadline=None, database=None, suppress_health_check=list(HealthCheck))(given(cases)(one))()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


@pytest.mark.parametrize("name", READERS)
def test_no_bytes_crash_a_reader(name, alarm):
    try_reader(name, CASES, alarm)


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
def test_no_bytes_crash_a_reader_in_many_cases(name, alarm):
    grown = try_reader(name, max(CASES, MANY), alarm)
    print(f"{name}: {max(CASES, MANY):,} cases, peak memory +{grown / 2**20:.0f} MiB")
    assert grown < 512 * 2**20


def test_the_fuzzing_sees_a_reader_that_crashes(alarm, monkeypatch):
    """The twin: a reader that lets a parser's own error through, one that does not name its file, and one that hangs."""

    def careless(path: Path) -> None:
        json.loads(path.read_bytes())

    def forever(path: Path) -> None:
        alarm(1)
        while True:
            pass

    cases = st.just((0, b"["))
    for read, error in ((careless, AssertionError), (lambda path: {}["x"], KeyError), (forever, Hung)):
        monkeypatch.setitem(READERS, "twin", (file_reader(read, ".json"), cases))
        with pytest.raises(error):
            try_reader("twin", 1, alarm)


@pytest.mark.parametrize("name", TARGETS)
def test_the_guided_fuzzing_begins_with_what_its_reader_takes(name):
    """``tests/faults/coverage_fuzz.py`` itself needs atheris, and minutes."""
    target = TARGETS[name]
    if target.reader in NEEDS:
        pytest.importorskip(NEEDS[target.reader])
    for seed in target.seeds:
        READERS[target.reader][0](case_of(target, b"\0" + seed if target.kind == "file" else seed))


def test_a_ledger_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LedgerError, match="not JSON"):
        load_run(tmp_path)
