"""One visible table: name → objective, task, metric or law, with its source. Importing it loads no torch.

A name of your own: a line here, or an entry point of another package in the group ``breadth.objectives`` or
``breadth.tasks`` whose object is called with the settings and returns an Objective or a Task. Two things with one name
are an error; a plug-in that fails to load raises.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from breadth.catalogue_entries import BUILT_IN, Entry

if TYPE_CHECKING:
    from breadth.objectives.composition import Objective
    from breadth.tasks.protocol import Task

KINDS = ("objective", "task", "metric", "law", "partition")


def entries(kind: str) -> dict[str, Entry]:
    """Return the entries of a kind by name: the built-in ones in their order, then those of other packages.

    Parameters
    ----------
    kind : str
        ``objective``, ``task``, ``metric``, ``law`` or ``partition``.

    Raises
    ------
    ValueError
        An unknown kind, or two entries with one name.

    Examples
    --------
    >>> list(entries("task"))
    ['circle', 'line', 'molecules', 'countdown', 'game24', 'math', 'prompts']
    """
    if kind not in KINDS:
        raise ValueError(f"kind: unknown {kind!r}{_nearest(kind, KINDS)}; known: {', '.join(KINDS)}")
    found: dict[str, Entry] = {}
    outside = (_from_entry_point(kind, point) for point in entry_points(group=f"breadth.{kind}s"))
    for entry in (*(entry for entry in BUILT_IN if entry.kind == kind), *outside):
        if entry.name in found:
            raise ValueError(
                f"kind: two {kind}s are called {entry.name!r}: {found[entry.name].target} and {entry.target} "
                f"({entry.source or 'built in'}); rename or uninstall one of them"
            )
        found[entry.name] = entry
    return found


def lookup(kind: str, name: str) -> Entry:
    """Return one entry.

    Raises
    ------
    ValueError
        An unknown name; the message suggests the nearest and lists all.

    Examples
    --------
    >>> lookup("objective", "darling").family
    'policy'
    """
    found = entries(kind)
    if name not in found:
        raise ValueError(f"kind: unknown {kind} {name!r}{_nearest(name, found)}; known: {', '.join(found)}")
    return found[name]


def resolve(entry: Entry) -> Any:
    """Return the object that an entry points to.

    Raises
    ------
    ImportError
        Its module, or the attribute in it, cannot be imported; the message names the entry and where it comes from.
    """
    module_name, _, attribute = entry.target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        origin = f" ({entry.source})" if entry.source.startswith("plug-in") else ""
        raise ImportError(f"{entry.kind} {entry.name!r}{origin}: cannot load {entry.target}: {error}") from error
    return found


def objective(name: str, **settings: Any) -> Objective:
    """Return the named objective with these settings.

    Raises
    ------
    ValueError
        An unknown name, or a value that the objective refuses.
    TypeError
        An unknown setting; the message suggests the nearest and lists all.

    Examples
    --------
    >>> objective("darling", floor=0.2).settings["floor"]
    0.2
    """
    return _build(lookup("objective", name), settings)


def task(name: str, **settings: Any) -> Task:
    """Return the named task with these settings.

    Raises
    ------
    ValueError
        An unknown name, or a value that the task refuses.
    TypeError
        An unknown setting; the message suggests the nearest and lists all.
    ImportError
        The task needs an extra that is not installed.

    Examples
    --------
    >>> task("circle", vertices=15, edges=6).name
    'circle'
    """
    return _build(lookup("task", name), settings)


def _build(entry: Entry, settings: dict[str, Any]) -> Any:
    make: Callable[..., Any] = resolve(entry)
    parameters = inspect.signature(make).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for name in settings:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise TypeError(
                    f"{entry.kind} {entry.name!r}: unknown setting {name!r}{_nearest(name, known)}; settings: {listed}"
                )
    return make(**settings)


def _from_entry_point(kind: str, point: EntryPoint) -> Entry:
    origin = point.dist.name if point.dist is not None else "unknown package"
    return Entry(kind, point.name, point.name, point.value, f"from the package {origin}", f"plug-in of {origin}")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
