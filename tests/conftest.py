"""What all tests share: the folder of real data, where it is to be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: ``BREADTH_SHARED_DATA``, else ``shared/data`` beside the repository; else a skip."""
    named = os.environ.get("BREADTH_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set BREADTH_SHARED_DATA to the folder that holds it")
    return folder
