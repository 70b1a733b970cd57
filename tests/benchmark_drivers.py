"""The drivers of benchmarks/ as modules, for the tests of what they do besides timing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def drivers(*names: str) -> list[ModuleType]:
    """Return modules of the folder; the test is skipped where it is missing."""
    if not FOLDER.is_dir():
        pytest.skip("benchmarks/ is not there")
    sys.path.insert(0, str(FOLDER))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(FOLDER))
