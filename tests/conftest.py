"""What all tests share: the folder of real data, where it is to be had, some molecules out of it, and an own cache."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest

os.environ.setdefault("COLUMNS", "200")  # tables as a wide terminal shows them, whichever test makes the console first


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: ``BREADTH_SHARED_DATA``, else ``shared/data`` beside the repository, or a skip."""
    named = os.environ.get("BREADTH_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}: set BREADTH_SHARED_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def chembl(shared_data) -> list[str]:
    """5,000 random molecules of ChEMBL, flat canonical SMILES."""
    with gzip.open(shared_data / "chembl_smiles.csv.gz", "rt") as handle:
        next(handle)
        rows = [line.split(",", 1)[0] for line in handle]
    return random.Random(0).sample(rows, 5_000)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache folder for this test alone."""
    monkeypatch.setenv("BREADTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    """An empty cache folder for the tests of one file, so that a prior is trained once."""
    patch = pytest.MonkeyPatch()
    patch.setenv("BREADTH_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()
