"""``breadth watch``: runs that go on, in the terminal, read from what they write."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breadth.commands.options import Json
from breadth.commands.output import console, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from breadth.experiments.watching import RunView

STYLES = {"waiting": "dim", "going": "", "silent": "yellow", "stopped": "yellow", "done": "green"}
MOST_SENTENCES = 4
SPARK = 10  # characters of one curve


def watch(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN…", help="Run folders, or study folders (all runs below them).", show_default=False),
    ],
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    target_quality: Annotated[float, typer.Option(help="Quality R at which the diversity left is forecast.")] = 0.9,
    once: Annotated[bool, typer.Option("--once", help="Look once, print and leave.")] = False,
    json: Json = False,
) -> None:
    """Watch runs while they go on: R, D and H with their curves, what they are heading for, and how long they will take.

    It reads the runs' files and disturbs nothing: start it, leave it with Ctrl-C and start it again at any time, from another
    terminal or another machine that sees the folder. It ends when all runs are done.

    Examples:

    [dim]breadth watch runs/circle
    breadth watch runs/mine --target-quality 0.95[/dim]
    """
    from breadth.experiments.watching import look, over

    if json:
        print_json([_plain(view) for view in look(runs, target_quality=target_quality)])
        return
    if once:
        console.print(view_of(look(runs, target_quality=target_quality)))
        return
    if not console.is_terminal:
        _in_lines(runs, every, target_quality)
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        while True:
            views = look(runs, target_quality=target_quality)
            live.update(view_of(views), refresh=True)
            if over(views):
                return
            time.sleep(every)


def view_of(views: list[RunView]) -> RenderableType:
    """Return what is drawn: a line that sums up, a table of the runs, and the forecasts of those that go on."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from breadth.experiments.watching import sparkline

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, side in (
        ("objective", "left"),
        ("seed", "right"),
        ("", "left"),
        ("step", "right"),
        *((c, "left") for c in "RDH"),
        ("left", "right"),
    ):
        table.add_column(name, justify=side, no_wrap=name != "objective", overflow="fold")  # type: ignore[arg-type]
    for view in views:
        cells = []
        for letter in "RDH":
            points = view.series[letter]
            top = None if letter == "H" else max(1.0, *(v for _, v in points)) if points else None
            last = view.last(letter)
            cells.append(
                Text.assemble("–" if last is None else f"{last:.3f}", " ", (sparkline(points, SPARK, top=top), "cyan"))
            )
        total = view.steps or 0
        table.add_row(
            Text(view.label), str(view.seed), ProgressBar(total=max(1, total), completed=min(view.step, total), width=10),
            f"{view.step}/{view.steps if view.steps is not None else '–'}", *cells, _left(view), style=STYLES[view.state],
        )  # fmt: skip
    going = [view for view in views if view.state in ("going", "silent", "stopped") and view.forecast]
    parts: list[Any] = [Text(_head(views), style="bold"), table]
    parts += [Text(view.forecast) for view in going[:MOST_SENTENCES]]
    if len(going) > MOST_SENTENCES:
        parts.append(Text(f"and forecasts of {len(going) - MOST_SENTENCES} more: breadth forecast", style="dim"))
    return Group(*parts)


def _head(views: list[RunView]) -> str:
    done = sum(view.state == "done" for view in views)
    left = [view.seconds_left for view in views if view.seconds_left is not None]
    words = f"{done} of {len(views)} runs done"
    counts = {state: sum(view.state == state for view in views) for state in ("going", "silent", "stopped", "waiting")}
    words += "".join(f" · {n} {state}" for state, n in counts.items() if n)
    return words + (f" · those that go on: about {_time(max(left))} left" if left else "")


def _left(view: RunView) -> str:
    if view.state in ("done", "stopped", "waiting"):
        return view.state
    if view.state == "silent":
        return f"silent for {_time(view.silent_for or 0.0)}"
    return "–" if view.seconds_left is None else _time(view.seconds_left)


def _time(seconds: float) -> str:
    from breadth.experiments.notation import duration

    return duration(seconds) if seconds >= 60 else f"{seconds:.0f} s"


def _plain(view: RunView) -> dict[str, Any]:
    return {
        "path": str(view.path), "objective": view.label, "seed": view.seed, "state": view.state, "step": view.step, "steps": view.steps,
        **{letter: view.last(letter) for letter in "RDH"}, "seconds_left": view.seconds_left, "silent_for": view.silent_for,
        "forecast": view.forecast or None,
    }  # fmt: skip


def _in_lines(runs: list[Path], every: float, target_quality: float) -> None:
    """Print a line for each run whenever it has a new measurement: for logs and pipes."""
    from breadth.experiments.watching import look, over

    said: dict[Path, int] = {}
    while True:
        views = look(runs, target_quality=target_quality)
        for view in views:
            at = view.series["R"][-1][0] if view.series["R"] else -1
            if at > said.get(view.path, -1):
                said[view.path] = at
                numbers = " ".join(f"{c} {'–' if view.last(c) is None else f'{view.last(c):.3f}'}" for c in "RDH")
                words = f"{view.label}/{view.seed} step {at}/{view.steps} {numbers} · {_left(view)}"
                console.print(words, highlight=False, soft_wrap=True, markup=False)
        if over(views):
            return
        time.sleep(every)
