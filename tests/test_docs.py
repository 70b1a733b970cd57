"""What the documentation shows, runs; what it lists, is there."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from breadth import catalogue

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def run_command(line: str) -> None:
    """Run one line of a ``sh`` block as a user would, in the working folder."""
    name, *words = shlex.split(line, comments=True)
    assert name == "breadth", f"sh blocks hold breadth commands only, got {line!r}; show others in a text block"
    done = subprocess.run(
        [sys.executable, "-m", "breadth", *words], capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(page, tmp_path, monkeypatch, own_cache):
    """Blocks marked python and sh run in their order, in one empty folder."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(python|sh)\n(.*?)```", page.read_text(), re.S)
    code = "".join(block for _, block in blocks)
    if "import rdkit" in code or 'task("molecules"' in code or "tanimoto" in code:
        pytest.importorskip("rdkit", reason="needs breadth[molecules]")
    if "mean_pairwise_rouge_l" in code:
        pytest.importorskip("rapidfuzz", reason="needs breadth[text]")
    names: dict = {"__name__": "page"}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, str(page), "exec"), names)
        else:
            for line in filter(str.strip, block.splitlines()):
                run_command(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("kind", ["objective", "task", "metric", "law"])
def test_every_entry_of_the_catalogue_has_a_page(kind):
    for name in catalogue.entries(kind):
        assert (ROOT / "docs" / f"{kind}s" / f"{name}.md").is_file(), (
            f"{kind} {name}: no page; python docs/make_reference.py writes metrics' and laws'"
        )


def test_the_readme_lists_the_catalogue():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.objectives_table() in (ROOT / "README.md").read_text(), "run: python docs/make_tables.py"
