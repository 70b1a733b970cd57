"""Tables and JSON that commands print. Numbers that are not known are dashes, or null."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(soft_wrap=False)
errors = Console(stderr=True)

SHOWN = ("quality", "diversity", "diversity_valid", "policy_entropy", "valid_share", "unique_share")
COLOURS = {
    "holds": "green",
    "bought": "green",
    "does not hold": "red",
    "lost": "red",
    "the same": "cyan",
    "cannot tell": "yellow",
}


def print_lines(lines: Sequence[str]) -> None:
    """Print sentences below a table, each broken where the reader's window ends."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document to standard output; records become objects, NaN is refused."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.repr}  # hidden: bulk data
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def fail(message: str, *, code: int = 1) -> NoReturn:
    """Print an error as text, whatever brackets it holds, and leave."""
    errors.print(Text.assemble(("breadth: ", "bold red"), message), highlight=False, soft_wrap=True)
    sys.exit(code)


def with_error(value: float | None, error: float | None, digits: int = 3) -> str:
    """Return "0.912 ± 0.004", or a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Return "5.02 [4.8, 5.3]"; an unknown end is a dash."""
    if value is None:
        return "–"
    if low is None and high is None:
        return f"{value:.4g}"
    return f"{value:.4g} [{'–' if low is None else f'{low:.3g}'}, {'–' if high is None else f'{high:.3g}'}]"


def verdict(text: str) -> Text:
    return Text(text, style=COLOURS.get(text, ""))


def measurements_table(rows: Mapping[int, Any], *, title: str) -> Table:
    """Return the main metrics, one line a step; ``rows`` holds ledger rows by metric, or Measurements."""
    table = Table(title=title, title_justify="left")
    table.add_column("step", justify="right")
    for name in SHOWN:
        table.add_column(name.replace("_", " "), justify="right")  # a space lets a narrow terminal break the name
    for step, found in rows.items():
        by_name = found if isinstance(found, Mapping) else {m.metric: dataclasses.asdict(m) for m in found}
        cells = [by_name.get(name) for name in SHOWN]
        table.add_row(str(step), *(with_error(c["value"], c["error"]) if c else "–" for c in cells))
    return table


KINDS = ("objectives", "tasks", "metrics", "laws", "partitions", "studies")


def known_entries(what: str) -> list[dict[str, Any]]:
    """Return the catalogue's entries of a kind as plain dictionaries."""
    from breadth.config import nearest

    if what not in KINDS:
        raise ValueError(f"list: unknown kind {what!r}{nearest(what, KINDS)}")
    if what == "studies":
        import tomllib

        from breadth.studies import paths

        found = {name: tomllib.loads(path.read_text()) for name, path in paths().items()}
        return [
            {
                "name": n,
                "title": d.get("study", {}).get("title", ""),
                "task": d["task"]["kind"],
                "objectives": list(d["objectives"]),
            }
            for n, d in found.items()
        ]
    from breadth import catalogue

    rows = []
    for entry in catalogue.entries(what.removesuffix("s")).values():
        rows.append({k: v for k, v in dataclasses.asdict(entry).items() if v not in (None, (), "")})
    return rows


def entries_table(what: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return entries as a table; its columns are what the entries hold."""
    table = Table(title=what, title_justify="left")
    columns = [
        c
        for c in ("name", "title", "summary", "family", "needs", "invariants", "task", "objectives", "source")
        if any(c in r for r in rows)
    ]
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name == "name")
    for row in rows:
        table.add_row(*(Text(_words(row.get(c, ""))) for c in columns))
    return table


def names_table(names: Mapping[str, Sequence[str]]) -> Table:
    """Return the names of every kind, one line a kind."""
    table = Table(title="what breadth knows", title_justify="left")
    for column in ("kind", "number", "names"):
        table.add_column(column, overflow="fold", no_wrap=column == "kind", justify="right" if column == "number" else "left")
    for kind, known in names.items():
        table.add_row(kind, str(len(known)), Text(", ".join(known)))
    return table


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)
