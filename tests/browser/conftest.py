"""One browser for all page tests, and the synthetic study that the reports' own tests use."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# the study's generator lives with the tests of the report's parts
sys.path.insert(0, str(Path(__file__).parents[1] / "experiments"))

from breadth.experiments.browser import Chrome, find_chromium  # noqa: E402


@pytest.fixture(scope="session")
def chrome(tmp_path_factory):
    binary = find_chromium()
    if binary is None:
        pytest.skip("no Chromium or Chrome on this machine")
    browser = Chrome(binary, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
