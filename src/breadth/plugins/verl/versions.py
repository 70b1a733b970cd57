"""Which verl this was tested with."""

from __future__ import annotations

from breadth.plugins.tested_versions import check_version

OLDEST, BELOW = (0, 9), (0, 10)


def check_verl(found: str | None = None) -> str:
    """Return the version of the installed verl, or raise, see :func:`breadth.plugins.tested_versions.check_version`.

    Examples
    --------
    >>> check_verl("0.9.1")
    '0.9.1'
    """
    return check_version("verl", oldest=OLDEST, below=BELOW, python_below=(3, 13), found=found)
