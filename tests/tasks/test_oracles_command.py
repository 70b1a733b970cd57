"""Programs and functions in processes of their own: whatever they do, only the molecule they did it on is unscored."""

from __future__ import annotations

import math
import os
import select
import sys
import time

import numpy as np
import pytest

pytest.importorskip("rdkit")

import breadth
from breadth.tasks.oracles.command import CommandOracle

GOOD = "import sys\nfor line in sys.stdin:\n    print(len(line.strip()) / 10, flush=True)\n"
MOODY = """
import os, sys, time
for line in sys.stdin:
    text = line.strip()
    if "Br" in text: time.sleep(60)
    if "Cl" in text: print("Segmentation fault, kind of", flush=True); continue
    if "F" in text: sys.stderr.write("no parameters for F\\n"); sys.exit(3)
    if "I" in text: print("nan", flush=True); continue
    if "S" in text: print("x" * 100000, flush=True); continue
    if "P" in text: print("0.1", flush=True); print("0.2", flush=True); continue
    print(len(text) / 10, flush=True)
"""


def program(tmp_path, text):
    path = tmp_path / "program.py"
    path.write_text(text)
    return [sys.executable, str(path)]


def fails_on_bromine(smiles):
    """Length, and trouble with bromine."""
    print("this is not an answer")
    if any("Br" in text for text in smiles):
        time.sleep(60)
    if any("Cl" in text for text in smiles):
        raise RuntimeError("no chlorine here")
    return [len(text) / 10 for text in smiles]


def test_a_program_answers_and_stays(tmp_path):
    oracle = CommandOracle(program(tmp_path, GOOD))
    assert oracle(["CCO", "CC"]) == [0.3, 0.2]
    first = oracle._programs[0].process.pid
    assert oracle(["C" * 40]) == [4.0] and oracle._programs[0].process.pid == first
    assert oracle([]) == [] and oracle.take_reasons() == []
    oracle.close()
    assert oracle(["C"]) == [0.1]


def test_hangs_junk_death_and_chatter_cost_one_molecule_each(tmp_path):
    oracle = CommandOracle(program(tmp_path, MOODY), timeout=20.0, workers=2)
    smiles = ["CCO", "CCl", "CC", "CF", "CI", "CCCC", "CS", "C", "CCC"]
    values = oracle(smiles)
    for text, value in zip(smiles, values, strict=True):
        if text in {"CCl", "CF", "CI", "CS"}:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(len(text) / 10)
    reasons = " | ".join(oracle.take_reasons())
    assert "expected a number, got 'Segmentation fault, kind of'" in reasons
    assert "it ended with code 3 (no parameters for F)" in reasons and "it answered nan" in reasons
    assert "an answer of more than 65,536 bytes" in reasons
    assert oracle.take_reasons() == []


def test_a_late_answer_is_no_answer_and_never_that_of_the_next(tmp_path):
    slow = "import sys, time\nfor line in sys.stdin:\n    time.sleep(1.2 if 'Br' in line else 0)\n    print(len(line.strip()), flush=True)\n"
    oracle = CommandOracle(program(tmp_path, slow), timeout=0.4, start_timeout=20.0)
    assert oracle(["C"]) == [1.0]
    values = oracle(["CBr", "CC"])
    assert math.isnan(values[0]) and values[1] == 2.0
    assert oracle.take_reasons() == [f"{sys.executable}: no answer within 0.4 s"]


def test_too_many_lines_are_noticed(tmp_path):
    oracle = CommandOracle(program(tmp_path, MOODY), timeout=5.0)
    assert oracle(["CP"]) == [0.1]
    only = oracle._programs[0]
    assert only.buffer or select.select([only.process.stdout], [], [], 20.0)[0]  # the second line has come
    assert math.isnan(oracle(["CC"])[0])  # and is never taken for the next answer
    (reason,) = oracle.take_reasons()
    assert "more lines than questions: b'0.2" in reason  # its line end may come later still
    assert oracle(["CCC"]) == [0.3]


def test_programs_that_cannot_be_started(tmp_path):
    with pytest.raises(ValueError, match="the program 'no-such-docking' is not found"):
        CommandOracle("no-such-docking --fast")
    with pytest.raises(ValueError, match="expected a program and its arguments, got nothing"):
        CommandOracle("")
    with pytest.raises(ValueError, match="timeout: expected seconds > 0, got 0"):
        CommandOracle("cat", timeout=0)
    with pytest.raises(ValueError, match="workers: expected at least 1, got 0"):
        CommandOracle("cat", workers=0)
    dead = CommandOracle([sys.executable, "-c", "raise SystemExit('no licence')"])
    assert math.isnan(dead(["CCO"])[0])
    assert dead.take_reasons() == [f"{sys.executable}: it ended with code 1 (no licence)"]


def test_nothing_is_left_running(tmp_path):
    oracle = CommandOracle(program(tmp_path, GOOD))
    oracle(["C"])
    pid = oracle._programs[0].process.pid
    del oracle
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_task_counts_what_a_program_left_unscored(tmp_path, caplog):
    task = breadth.task("molecules", oracle="command", command=program(tmp_path, MOODY), timeout=20)
    scores = task.reward(["CCO", "CF", "OCC", "C(("])
    assert np.isnan(scores[1]) and scores[[0, 2, 3]].tolist() == [0.3, 0.3, 0.0]
    quality = task.score(["CCO", "CF", "OCC", "C(("])
    assert np.isnan(quality[1]) and task.molecules.failures.n == 1  # reward and quality of one batch: asked once
    assert task.molecules.failures.reasons == [f"{sys.executable}: it ended with code 3 (no parameters for F)"]
    assert "left molecules unscored (NaN)" in caplog.text


def test_a_function_in_worker_processes(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    import test_oracles_command as here

    task = breadth.task("molecules", oracle="test_oracles_command:fails_on_bromine", workers=2, timeout=25)
    scores = task.score(["CCO", "CCCl", "CCC"])
    assert np.isnan(scores[1]) and scores[[0, 2]].tolist() == [0.3, 0.3]
    assert task.molecules.failures.reasons == [f"{sys.executable}: it answered nan (RuntimeError: no chlorine here)"]
    assert breadth.task("molecules", oracle=here.fails_on_bromine, timeout=25).score(["CCO"]).tolist() == [0.3]
    assert breadth.task("molecules", oracle="logp", workers=1).score(["CCO"]) == pytest.approx([-0.0014])
    with pytest.raises(ValueError, match="cannot be imported by name in another process"):
        breadth.task("molecules", oracle=lambda smiles: [0.0], timeout=5)
    with pytest.raises(
        ValueError, match="expected 'module:function' that can be imported, got an error: No module named 'nowhere'"
    ):
        breadth.task("molecules", oracle="nowhere:f")
