"""Molecules that several tests use."""

from __future__ import annotations

import gzip
import random

import pytest


@pytest.fixture(scope="session")
def chembl(shared_data) -> list[str]:
    """5,000 random molecules of ChEMBL, flat canonical SMILES."""
    with gzip.open(shared_data / "chembl_smiles.csv.gz", "rt") as handle:
        next(handle)
        rows = [line.split(",", 1)[0] for line in handle]
    return random.Random(0).sample(rows, 5_000)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache folder for this test alone."""
    monkeypatch.setenv("BREADTH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
