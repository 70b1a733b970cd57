"""The versions of a host library that its plug-in was tested with, and the sentence for those that it was not."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

Version = tuple[int, int]


def check_version(
    name: str,
    *,
    oldest: Version,
    below: Version,
    untested: tuple[Version, ...] = (),
    python_below: Version | None = None,
    found: str | None = None,
) -> str:
    """Return the version of the installed library ``name``; its package and our extra are called by that name in small letters.

    Parameters
    ----------
    oldest, below : (major, minor)
        Tested: oldest <= version < below, but for those in ``untested``.
    python_below : (major, minor), optional
        The first version of Python for which the library is not there: our extra is empty from it on.
    found : str, optional
        Instead of the installed one's.

    Raises
    ------
    ImportError
        No such library, or a version that was not tested: its private methods that are built upon change without notice.

    Examples
    --------
    >>> check_version("TRL", oldest=(1, 10), below=(1, 17), found="1.16.0")
    '1.16.0'
    """
    package = name.lower()
    install = f"pip install 'breadth[{package}]'"
    if found is None:
        try:
            found = version(package)
        except PackageNotFoundError:
            if python_below is not None and sys.version_info[:2] >= python_below:
                has, wants = (".".join(map(str, v)) for v in (sys.version_info[:2], python_below))
                install = f"{name} is there for Python below {wants}, this is {has}: use such a one, and there {install}"
            raise ImportError(f"this needs {name}, which is not installed: {install}") from None
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not oldest <= numbers < below or numbers in untested:
        low, high, *without = (".".join(map(str, bound)) for bound in (oldest, below, *untested))
        tested = f"{package}>={low},<{high}" + "".join(f",!={v}.*" for v in without)
        raise ImportError(
            f"{name} {found} is installed, and breadth's part in it was tested with {tested}: it builds on methods that {name} "
            f"changes without notice. Install a tested one: {install}"
        )
    return found
