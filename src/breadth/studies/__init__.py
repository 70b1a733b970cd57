"""The studies that come with breadth, one TOML file each."""

from __future__ import annotations

from pathlib import Path


def paths() -> dict[str, Path]:
    """Return the studies' files by name; a file in a subfolder is called ``folder/name``."""
    root = Path(__file__).resolve().parent
    return {p.relative_to(root).with_suffix("").as_posix(): p for p in sorted(root.glob("**/*.toml"))}
