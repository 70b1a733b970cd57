"""Which TRL this was tested with, and the sentence for those that it was not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

OLDEST, BELOW = (1, 10), (1, 17)
UNTESTED = ((1, 15),)  # its log-probabilities need Triton, so no test without a GPU could run
INSTALL = "pip install 'breadth[trl]'"


def check_trl(found: str | None = None) -> str:
    """Return the version of the installed TRL.

    Parameters
    ----------
    found : str, optional
        Instead of the installed one's.

    Raises
    ------
    ImportError
        No TRL, or one outside the tested range: its trainers' private methods that are built upon here change without notice.

    Examples
    --------
    >>> check_trl("1.16.0")
    '1.16.0'
    """
    if found is None:
        try:
            found = version("trl")
        except PackageNotFoundError:
            raise ImportError(f"this needs TRL, which is not installed: {INSTALL}") from None
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not OLDEST <= numbers < BELOW or numbers in UNTESTED:
        low, high, *without = (".".join(map(str, bound)) for bound in (OLDEST, BELOW, *UNTESTED))
        tested = f"trl>={low},<{high}" + "".join(f",!={v}.*" for v in without)
        raise ImportError(
            f"TRL {found} is installed, and breadth's trainers were tested with {tested}: they build on "
            f"methods that TRL changes without notice. Install a tested one: {INSTALL}"
        )
    return found
