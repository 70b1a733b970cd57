"""``breadth measure`` on files of generations: a table each, whether a run collapses, differences from the first, a page."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from breadth.commands.output import console, print_json
from breadth.dotted import load_dotted


def measure_files(
    paths: Sequence[Path],
    *,
    settings: Mapping[str, Any],
    fields: Sequence[str] | None = None,
    partition: Mapping[str, Any] | None = None,
    parser: str | None = None,
    margin: float = 0.02,
    report: Path | None = None,
    json: bool = False,
) -> None:
    """Measure files and print what was found; files with steps get a verdict, further files their differences from the first.

    Raises
    ------
    ValueError
        A field that is not NAME=COLUMN, an unknown metric, or a file that cannot be read (names line and remedy).
    """
    from breadth.experiments.collapse import collapse_verdict
    from breadth.experiments.generation_table import difference_table, measurement_table, verdict_text
    from breadth.experiments.generations import compare_measured, measure_path

    options = {name: value for name, value in settings.items() if value is not None}
    options |= {
        "fields": read_fields(fields),
        "partition": build_partition(**(partition or {})),
        "parse": load_function(parser),
    }
    measured = measure_path(list(paths), **{name: value for name, value in options.items() if value is not None})
    verdicts = [collapse_verdict(one, margin=margin) if len(one.steps) > 1 else None for one in measured]
    names = [path.name or str(path) for path in paths]
    differences = [compare_measured(measured[0], other, margin=margin) for other in measured[1:]]
    if report is not None:
        from breadth.experiments.file_report import build_file_report

        build_file_report(
            measured, verdicts, differences, out=report, command=["breadth", *sys.argv[1:]], margin=margin
        )
    if json:
        flat = [
            {"first": names[0], "file": name, **{f.name: getattr(found, f.name) for f in fields_of(found)}}
            for name, some in zip(names[1:], differences, strict=True)
            for found in some
        ]
        page = None if report is None else str(report)
        print_json({"files": measured, "collapse": verdicts, "differences": flat, "report": page})
        return
    for one, verdict in zip(measured, verdicts, strict=True):
        console.print(measurement_table(one))
        for note in (note for note in one.notes if not note.startswith("Drawn with")):  # the table says that already
            console.print(f"· {note}", markup=False, highlight=False, style="dim")
        if verdict is not None:
            console.print(verdict_text(verdict))
    for name, found in zip(names[1:], differences, strict=True):
        console.print(difference_table(found, a=names[0], b=name))
    if report is not None:
        console.print(f"report  {report}", markup=False, highlight=False)


def read_fields(fields: Sequence[str] | None) -> dict[str, str] | None:
    """Return NAME=COLUMN options as a mapping.

    Raises
    ------
    ValueError
        One that is not of that form.

    Examples
    --------
    >>> read_fields(["response=completion"])
    {'response': 'completion'}
    """
    columns = {}
    for text in fields or ():
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise ValueError(f"--field: expected NAME=COLUMN such as response=completion, got {text!r}")
        columns[name] = column
    return columns or None


def build_partition(
    backend: str | None = None, model: str | None = None, url: str | None = None, threshold: float | None = None,
    clustering: str = "greedy",
) -> Callable[..., Any] | None:  # fmt: skip
    """Return the partition that was asked for; None where none was.

    Raises
    ------
    ValueError
        Settings of a partition without one.
    """
    if backend is None:
        given = {"--model": model, "--url": url, "--threshold": threshold}
        alone = next((name for name, value in given.items() if value is not None), None)
        if alone is not None:
            raise ValueError(f"{alone}: belongs to a partition; name one, e.g. --partition classifier")
        return None
    from breadth.partitions.classifier import load_classifier
    from breadth.partitions.front import partition

    settings: dict[str, Any] = {"threshold": threshold, "url": url}
    settings["model"] = load_classifier(model) if backend == "classifier" and model is not None else model
    return partition(
        backend, clustering=clustering, **{name: value for name, value in settings.items() if value is not None}
    )


def load_function(name: str | None) -> Callable[[str], str] | None:
    """Return the function that MODULE:FUNCTION names; modules of the folder one stands in are found.

    Raises
    ------
    ValueError
        Not of that form, or nothing of that name there.

    Examples
    --------
    >>> load_function("json:loads")("[1]")
    [1]
    """
    if name is None:
        return None
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return load_dotted(
        name,
        malformed="--parser: expected MODULE:FUNCTION such as my_parser:to_conllu, got {name!r}",
        missing="--parser: cannot load {name!r}: {error}",
        uncallable="--parser: expected a function in {name!r}, got {kind}",
    )
