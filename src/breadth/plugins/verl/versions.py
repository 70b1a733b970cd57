"""Which verl this was tested with, and the sentence for those that it was not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

OLDEST, BELOW = (0, 9), (0, 10)
INSTALL = "pip install 'breadth[verl]'"


def check_verl(found: str | None = None) -> str:
    """Return the version of the installed verl.

    Parameters
    ----------
    found : str, optional
        Instead of the installed one's.

    Raises
    ------
    ImportError
        No verl, or one outside the tested range: its trainers' private methods that are built upon here change without notice.

    Examples
    --------
    >>> check_verl("0.9.1")
    '0.9.1'
    """
    if found is None:
        try:
            found = version("verl")
        except PackageNotFoundError:
            raise ImportError(f"this needs verl, which is not installed: {INSTALL}") from None
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not OLDEST <= numbers < BELOW:
        low, high = (".".join(map(str, bound)) for bound in (OLDEST, BELOW))
        raise ImportError(
            f"verl {found} is installed, and breadth's part in it was tested with verl>={low},<{high}: it builds on methods that verl "
            f"changes without notice. Install a tested one: {INSTALL}"
        )
    return found
