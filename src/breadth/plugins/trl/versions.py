"""Which TRL this was tested with."""

from __future__ import annotations

from breadth.plugins.tested_versions import check_version

OLDEST, BELOW = (1, 10), (1, 17)
UNTESTED = ((1, 15),)  # its log-probabilities need Triton, so no test without a GPU could run
INSTALL = "pip install 'breadth[trl]'"


def check_trl(found: str | None = None) -> str:
    """Return the version of the installed TRL, or raise, see :func:`breadth.plugins.tested_versions.check_version`.

    Examples
    --------
    >>> check_trl("1.16.0")
    '1.16.0'
    """
    return check_version("TRL", oldest=OLDEST, below=BELOW, untested=UNTESTED, found=found)
