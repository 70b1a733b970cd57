"""The settings in examples/ are ones that breadth knows, and their objectives exist with the settings that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from breadth import catalogue
from breadth.config import RunSettings, build_settings, read_toml
from breadth.experiments.assemble import make

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_settings_are_known(path):
    settings = build_settings(RunSettings, read_toml(path), where=path.name)
    assert make(settings.objective, catalogue.objective).name == settings.objective.kind
