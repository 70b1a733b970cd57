"""Files from elsewhere: nothing is unpickled, nothing leaves its folder, and no bytes make a reader do more than say what is wrong.

``BREADTH_FUZZ`` is the number of cases of each parser; the nightly form takes 20,000.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import breadth
from breadth.config import ConfigError, RunSettings, StudySettings, apply_overrides, build_settings, read_toml
from breadth.engine.checkpoint import CheckpointError, verify
from breadth.ledger.rows import LedgerError, read_rows
from breadth.ledger.run import load_run
from tests.faults.drill import RUN, STUDY

SOURCE = Path(breadth.__file__).parent
CASES = int(os.environ.get("BREADTH_FUZZ", "60"))
fuzz = settings(max_examples=CASES, deadline=None, database=None, suppress_health_check=list(HealthCheck))

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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3), max_leaves=8
)  # fmt: skip


def fuzz_rows(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            assert all(isinstance(row, dict) for row in read_rows(Path(file.name)))
        except LedgerError as error:
            assert file.name in str(error)


def fuzz_toml(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(ConfigError):
            build_settings(RunSettings, read_toml(Path(file.name)), where="f")


def fuzz_settings(value: object) -> None:
    with contextlib.suppress(ConfigError):
        build_settings(RunSettings, value, where="f")


def fuzz_override(text: str) -> None:
    with contextlib.suppress(ConfigError):
        apply_overrides({"train": {"steps": 3}, "study": "x"}, [text])


def fuzz_manifest(value: object) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "step-000001"
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(value))
        with pytest.raises(CheckpointError):
            verify(folder)


TASKS = {name: breadth.task(name) for name in ("circle", "countdown", "game24")}


def fuzz_texts(text: str) -> None:
    for task in TASKS.values():
        (prompt,) = task.prompts(1, seed=0)
        (score,) = task.score([text], [prompt])
        assert 0 <= score <= 1
        task.key([text], [prompt])


lines = st.lists(st.binary(max_size=20) | json_values.map(lambda v: json.dumps(v).encode()), max_size=6).map(b"\n".join)
toml = st.lists(st.sampled_from(RUN.encode().splitlines()) | st.binary(max_size=12), max_size=20).map(b"\n".join)
keys = st.sampled_from(["task", "train", "model", "prior", "seed", "objective", "engine", "x"])
numbers = "0123456789+-*/() .=<>\n"
PARSERS = {
    "ledger": (fuzz_rows, lines | st.binary(max_size=200)),
    "toml": (fuzz_toml, toml),
    "settings": (fuzz_settings, st.dictionaries(keys, json_values, max_size=4)),
    "override": (fuzz_override, st.text(max_size=30) | st.text("atrinsep.=[]{}'\" 0123", max_size=30)),
    "manifest": (
        fuzz_manifest,
        json_values | st.fixed_dictionaries({"format": st.just(1), "step": json_values, "files": json_values}),
    ),
    "answers": (fuzz_texts, st.text(max_size=60) | st.text(numbers, max_size=60)),
}


@pytest.mark.parametrize("name", PARSERS)
def test_no_bytes_crash_a_reader(name):
    check, cases = PARSERS[name]
    fuzz(given(cases)(check))()


@pytest.mark.nightly
@pytest.mark.parametrize("name", PARSERS)
def test_no_bytes_crash_a_reader_in_many_cases(name):
    check, cases = PARSERS[name]
    settings(fuzz, max_examples=20_000)(given(cases)(check))()


def test_a_ledger_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(LedgerError, match="not JSON"):
        load_run(tmp_path)
