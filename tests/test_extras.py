"""An extra that is not installed: whoever needs it is told the line that installs it. Every package of every extra is asked for."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import breadth

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def both_axes(folder: Path) -> None:
    from breadth.laws.both_axes import fit_both_axes

    x = np.linspace(0.1, 0.9, 12)
    fit_both_axes(1 - np.exp(3 * (x - 1)), x, quality_error=0.01, diversity_error=0.01)


def checked_answers(folder: Path) -> None:
    (folder / "q.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n' * 4)
    breadth.task("math", path=folder / "q.jsonl", check="math_verify").score([r"\boxed{x+1}"], ["1+1?"])


def tanimoto(folder: Path) -> None:
    from breadth.tasks.pair_sums import similarity_sum

    similarity_sum(np.ones((4, 1), dtype=np.uint64), engine="numba")


def forest(folder: Path) -> None:
    from breadth.tasks.oracles.forest import fit_forest

    fit_forest(np.eye(8, 2048, dtype=np.uint8), [0, 1] * 4)


def table(folder: Path) -> None:
    from breadth.tasks.oracles.fitting import fetch_table

    fetch_table("https://example.org/table.csv")


def rouge(folder: Path) -> None:
    breadth.metrics.mean_pairwise_rouge_l(["a b", "a c"])


def judge(folder: Path) -> None:
    backend = breadth.partition("cross_encoder", model=str(folder))
    backend(["a b c d e f", "g h i j k l"], group=[0, 0], prompts=["p", "p"])


def trainer(folder: Path) -> None:
    from breadth.plugins.trl import BreadthGRPOTrainer  # noqa: F401


def pairs(folder: Path) -> None:
    from breadth.plugins.trl import build_divpo_pairs

    build_divpo_pairs([], rho=0.5)


def adapters(folder: Path) -> None:
    from breadth.plugins.trl.from_settings import peft_of

    peft_of({"r": 4})


def host(folder: Path) -> None:
    from breadth.plugins.verl import check_verl

    check_verl()


#: package as it is imported -> the extra that holds it, its name there, and what of ours needs it
NEEDED: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "odrpack": ("laws", "odrpack", both_axes),
    "math_verify": ("math", "math-verify", checked_answers),
    "rdkit": ("molecules", "rdkit", lambda folder: breadth.mean_pairwise_tanimoto(["C", "CC"])),
    "numba": ("numba", "numba", tanimoto),
    "sklearn": ("oracles", "scikit-learn", forest),
    "pooch": ("oracles", "pooch", table),
    "rapidfuzz": ("text", "rapidfuzz", rouge),
    "transformers": ("text", "transformers", judge),
    "trl": ("trl", "trl", trainer),
    "datasets": ("trl", "datasets", pairs),
    "peft": ("trl", "peft", adapters),
    "verl": ("verl", "verl", host),
}
#: named in an extra for the sake of another package, or tools that nothing of breadth imports
NOT_OURS = {"docs", "test", "all"}
FOR_VERL = {"cachetools", "fastapi", "TransferQueue", "uvicorn"}


@pytest.mark.parametrize("module", NEEDED)
def test_what_needs_an_extra_names_the_line_that_installs_it(module, tmp_path, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from breadth.plugins import tested_versions
    from breadth.tasks.pair_sums import _has_numba

    def gone(name: str) -> str:
        raise PackageNotFoundError(name)

    extra, _, use = NEEDED[module]
    for name in [
        name
        for name in sys.modules
        if name.split(".")[0] == module or name.startswith(("breadth.tasks.pair_sums_compiled", "breadth.plugins.trl.grpo"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(tested_versions, "version", gone)
    _has_numba.cache_clear()
    try:
        with pytest.raises(ImportError) as caught:
            use(tmp_path)
    finally:
        _has_numba.cache_clear()
    assert re.search(rf"pip install ['\"]breadth\[{extra}[\],]", str(caught.value)), str(caught.value)


def test_every_package_of_every_extra_is_asked_for():
    named = {
        (extra, re.split(r"[\[<>=!;~ ]", line)[0])
        for extra, lines in EXTRAS.items()
        if extra not in NOT_OURS
        for line in lines
    }
    assert named - {("verl", name) for name in FOR_VERL} == {(extra, name) for extra, name, _ in NEEDED.values()} | {
        ("oracles", "rdkit")
    }


def test_without_any_extra_the_core_works(monkeypatch):
    """Blocked one and all: objectives, laws, a task, and the catalogue."""
    for module in NEEDED:
        for name in [name for name in sys.modules if name.split(".")[0] == module]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)
    task = breadth.task("circle")
    assert task.score(["0 1 1 2 2 3 3 4 4 5 5 0"])[0] == 1.0
    two = {"reward": torch.tensor([1.0, 0.0]), "group": torch.zeros(2, dtype=torch.int64), "kind": torch.tensor([0, 1])}
    shaped = breadth.objective("darling").advantage(**two)
    assert shaped.tolist() == pytest.approx([0.5, -0.5])
    x = np.linspace(0.2, 0.9, 30)
    assert breadth.fit_law(-0.05 * np.exp(3 * x) + 1, x, n_boot=0).params["c"].value == pytest.approx(3, rel=1e-3)
