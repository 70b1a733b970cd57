"""Where priors and cleaned corpora are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the user's cache folder: ``BREADTH_CACHE`` where it is set, else the platform's own."""
    return Path(os.environ.get("BREADTH_CACHE") or platformdirs.user_cache_dir("breadth"))
