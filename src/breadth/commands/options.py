"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting, for example [cyan]--set train.steps=100[/cyan]. May be given several times.",
    ),
]
RunPaths = Annotated[
    list[Path],
    typer.Argument(metavar="RUN…", help="Run folders, or study folders (all runs below them).", show_default=False),
]
