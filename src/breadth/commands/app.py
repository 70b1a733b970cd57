"""The command line. Each command imports what it needs when it runs: ``breadth --help`` loads no torch."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from breadth.commands.auditing import audit
from breadth.commands.decoding import sweep
from breadth.commands.forecasting import forecast
from breadth.commands.generating import generate
from breadth.commands.judging import compare, fit
from breadth.commands.locating import where
from breadth.commands.measuring import measure
from breadth.commands.mixing import agents, ensemble
from breadth.commands.options import Json
from breadth.commands.oracle import app as oracle_app
from breadth.commands.output import fail, print_json
from breadth.commands.partition import app as partition_app
from breadth.commands.passing import passk
from breadth.commands.pretraining import pretrain
from breadth.commands.reporting import report
from breadth.commands.sampling import sample
from breadth.commands.scoring import score
from breadth.commands.tilting import tilt
from breadth.commands.training import study, train
from breadth.commands.watching import watch
from breadth.config import ConfigError

app = typer.Typer(
    name="breadth",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Reinforcement-learning post-training that keeps a language model's range.\n\n"
    "Start with [bold]breadth study circle[/bold]: it trains a small prior, tunes it with four objectives, measures what each gain in quality "
    "cost in diversity, and writes a report. About four minutes on two CPU cores; nothing is downloaded.",
)

for command in (study, train, measure, generate, score, fit, compare, forecast, report):
    app.command()(command)
app.command()(audit)
app.command()(sample)
app.command()(watch)
app.command()(sweep)
app.command()(where)
app.command()(ensemble)
app.command()(agents)
app.command()(tilt)
app.command()(passk)
app.command()(pretrain)
app.add_typer(partition_app, name="partition")
app.add_typer(oracle_app, name="oracle")


@app.command("list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="objectives, tasks, metrics, laws, partitions or studies. Default: the names of all.")
    ] = None,
    json: Json = False,
) -> None:
    """List what breadth knows: objectives, tasks, metrics, laws, partitions, studies."""
    from breadth.commands.output import KINDS, console, entries_table, known_entries, names_table

    if what is None:
        names = {kind: [row["name"] for row in known_entries(kind)] for kind in KINDS}
        if json:
            print_json(names)
        else:
            console.print(names_table(names))
            console.print("Titles, needs and sources of one kind: breadth list objectives", highlight=False)
        return
    rows = known_entries(what)
    if json:
        print_json(rows)
        return
    console.print(entries_table(what, rows))


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        from breadth import __version__

        print(__version__)
        raise typer.Exit


class Interrupted(BaseException):
    """Ctrl-C or a request to end; not a KeyboardInterrupt, which typer would swallow with a word of its own."""


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted


def main() -> None:
    """Run the command line: errors in what the user gave are sentences, not tracebacks; Ctrl-C says how to go on."""
    # Idle OpenMP threads that spin slow a busy machine down several times over; this must be set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        app(standalone_mode=True)
    except Interrupted:
        try:
            fail("stopped. Nothing that was written is lost: the same command goes on from the last checkpoint.", code=130)
        finally:  # at once: taking a loaded torch down in good order costs seconds on a busy machine, and all files are closed
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(130)
    except (
        ConfigError,
        ImportError,
        ValueError,
        TypeError,
        FileNotFoundError,
        RuntimeError,
        FloatingPointError,
    ) as error:
        if os.environ.get("BREADTH_TRACEBACK"):
            raise
        fail(str(error))
    except OSError as error:
        import errno

        if error.errno == errno.ENOSPC:
            fail(
                f"the disk is full ({error.filename or 'while writing'}). What was written before is whole: free space and run the same command again"
            )
        fail(str(error))


if __name__ == "__main__":
    sys.exit(main())
