"""``breadth measure`` on files of generations: a table each, whether a run collapses, and the difference of two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from breadth.commands.output import console, print_json


def measure_files(
    paths: Sequence[Path],
    *,
    metrics: Sequence[str] | None,
    answers: int | None,
    budget: int | None,
    fields: Sequence[str] | None,
    json: bool,
) -> None:
    """Measure files and print what was found; files with steps get a verdict, two files their differences.

    Raises
    ------
    ValueError
        A field that is not NAME=COLUMN, an unknown metric, or a file that cannot be read (names line and remedy).
    """
    from breadth.experiments.collapse import collapse_verdict
    from breadth.experiments.generation_table import difference_table, measurement_table, verdict_text
    from breadth.experiments.generations import compare_files, measure_path

    columns = {}
    for text in fields or ():
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise ValueError(f"--field: expected NAME=COLUMN such as response=completion, got {text!r}")
        columns[name] = column
    given: dict[str, Any] = {
        "metrics": list(metrics) if metrics else None,
        "k": answers,
        "token_budget": budget,
        "fields": columns or None,
    }
    options = {k: v for k, v in given.items() if v is not None}
    measured = measure_path(list(paths), **options)
    verdicts = [collapse_verdict(one) if len(one.steps) > 1 else None for one in measured]
    differences = compare_files(paths[0], paths[1], **options) if len(paths) == 2 else []
    if json:
        print_json({"files": measured, "collapse": verdicts, "differences": differences})
        return
    for one, verdict in zip(measured, verdicts, strict=True):
        console.print(measurement_table(one))
        if verdict is not None:
            console.print(verdict_text(verdict))
    if differences:
        console.print(difference_table(differences, a=paths[0].name, b=paths[1].name))
