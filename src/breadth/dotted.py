"""What a name of the form ``module:function`` points to: one place that finds it, for every setting that takes such a name."""

from __future__ import annotations

import importlib
from typing import Any


def load_dotted(
    name: str, *, malformed: str, missing: str, uncallable: str | None = None, missing_as: type[Exception] = ValueError
) -> Any:
    """Return what ``module:function`` names; both sides may have dots (``package.module:Class.method``).

    The sentences are the caller's, who knows which setting was read. They may hold ``{name}`` or ``{name!r}``, what was given;
    ``missing`` also ``{error}``, and ``uncallable`` ``{kind}``, the type of what was found.

    Parameters
    ----------
    malformed : str
        Said of a name that is not of this form.
    missing : str
        Said where the module cannot be imported, or has nothing of that name. What else a module raises when it is imported goes through.
    uncallable : str, optional
        Said of what cannot be called; None: anything may be named.
    missing_as : exception
        What ``missing`` is raised as.

    Raises
    ------
    ValueError
        ``malformed`` or ``uncallable``. ``missing_as`` with ``missing``.

    Examples
    --------
    >>> load_dotted("json:loads", malformed="{name}?", missing="{error}")("[1]")
    [1]
    >>> load_dotted("json:nothing", malformed="--parser: {name!r}?", missing="--parser: cannot load {name!r}: {error}")
    Traceback (most recent call last):
    ValueError: --parser: cannot load 'json:nothing': module 'json' has no attribute 'nothing'
    """
    module, _, attribute = name.partition(":")
    if not all(module.split(".")) or not all(attribute.split(".")):
        raise ValueError(malformed.format(name=name))
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise missing_as(missing.format(name=name, error=error)) from error
    if uncallable is not None and not callable(found):
        raise ValueError(uncallable.format(name=name, kind=type(found).__name__))
    return found
