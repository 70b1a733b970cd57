"""The house as it is built: who imports whom, the map in the README, and what stays free of torch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "breadth"


def test_imports_go_down_only():
    done = subprocess.run([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    "module",
    ["breadth", "breadth.catalogue", "breadth.cache", "breadth.commands.app", "breadth.config", "breadth.laws.fit", "breadth.laws.lift"]
    + ["breadth.ledger.run", "breadth.ledger.samples", "breadth.metrics", "breadth.partitions.canonical", "breadth.records"]
    + ["breadth.seeds", "breadth.studies", "breadth.tasks.graphs", "breadth.tasks.molecules"],
)
def test_these_rooms_import_no_torch(module):
    code = f"import sys, {module}; sys.exit(bool({{'torch', 'transformers', 'rdkit'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_map_in_the_house_and_the_tree_agree():
    text = (ROOT / "docs" / "house.md").read_text()
    block = re.search(r"```\nsrc/breadth/\n(.*?)```", text, re.S).group(1)
    named = {line.split()[0].rstrip("/") for line in block.splitlines() if line.strip() and not line.startswith("    ")}
    there = {p.name for p in PACKAGE.iterdir() if p.name not in ("__pycache__", "py.typed")}
    assert named == there


def test_no_file_is_longer_than_400_lines_or_named_after_nothing():
    for path in PACKAGE.glob("**/*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
        assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "core", "base", "manager"}, path


def test_the_front_page_has_every_public_name():
    import breadth

    for name in breadth.__all__:
        assert getattr(breadth, name) is not None
    with pytest.raises(AttributeError, match="public names: .*fit_law"):
        _ = breadth.fit_lawn


def test_every_setting_is_in_the_documentation():
    from breadth import config

    text = (ROOT / "docs" / "configuration.md").read_text()
    tables = [config.ModelSettings, config.PriorSettings, config.TrainSettings, config.SampleSettings, config.MeasureSettings]
    for table in [*tables, config.EngineSettings, config.StudyHead]:
        for name in table.model_fields:
            assert f"`{name}`" in text, f"{table.__name__}.{name}"
