"""What the documentation shows, runs; what it lists, is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from breadth import catalogue

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(page):
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    if "import rdkit" in "".join(blocks) or 'task("molecules"' in "".join(blocks) or "tanimoto" in "".join(blocks):
        pytest.importorskip("rdkit", reason="needs breadth[molecules]")
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_objective_has_a_page():
    for name in catalogue.entries("objective"):
        assert (ROOT / "docs" / "objectives" / f"{name}.md").is_file(), name


def test_the_readme_lists_the_catalogue():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs" / "make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.objectives_table() in (ROOT / "README.md").read_text(), "run: python docs/make_tables.py"
