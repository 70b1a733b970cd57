"""The command line. Each command imports what it needs when it runs: ``breadth --help`` loads no torch."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.forecasting import forecast
from breadth.commands.output import fail, print_json
from breadth.commands.partition import app as partition_app
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

app.add_typer(partition_app, name="partition")

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


@app.command()
def study(
    name: Annotated[
        str, typer.Argument(help="A study that comes with breadth (circle, line, qed), or the path of a TOML file.")
    ],
    objectives: Annotated[
        str | None,
        typer.Option(
            help="Only these, separated by commas; the first is the baseline unless the study's own is among them."
        ),
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of seeds, counted from 0.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of each run.")] = None,
    out: Annotated[Path | None, typer.Option(help="The study's folder. Default: runs/NAME.")] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Run a whole study: prior, training runs, measurements, laws, frontier, report.

    Stopped with Ctrl-C, killed or out of power, the same command goes on where it was. A prior is trained once and kept in the
    cache ([cyan]BREADTH_CACHE[/cyan], else your user cache folder).

    Examples:

    [dim]breadth study circle
    breadth study circle --objectives dr_grpo,darling --seeds 5
    breadth study qed --set task.corpus=molecules.smi --out runs/mine[/dim]
    """
    from breadth.commands.progress import study_watcher
    from breadth.experiments.assemble import load_study

    extra = [] if steps is None else [f"train.steps={steps}"]
    chosen = None if objectives is None else [o.strip() for o in objectives.split(",") if o.strip()]
    settings = load_study(name, [*(overrides or []), *extra], objectives=chosen, seeds=seeds)
    folder = out or Path("runs") / settings.name
    from breadth.experiments.study import run_study

    with study_watcher(settings, folder, quiet=json) as watcher:
        result = run_study(settings, folder, watcher=watcher)
    if json:
        print_json(result.summary)
        return
    from breadth.commands.output import console
    from breadth.experiments.table import study_table

    console.print(study_table(result.summary))
    console.print(result.summary["verdict"])
    console.print(f"\nreport   {result.report}\nsummary  {result.folder / 'summary.json'}", highlight=False)


@app.command()
def train(
    config: Annotated[
        Path,
        typer.Argument(help="A TOML file with \\[task], \\[objective], \\[train], ...; see docs/configuration.md."),
    ],
    out: Annotated[Path | None, typer.Option(help="The run's folder. Default: runs/ and the name of the file.")] = None,
    target_quality: Annotated[
        float | None,
        typer.Option(
            help="Train with the quality_target objective: the most entropy at this mean quality; replaces \\[objective]."
        ),
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train one policy with one objective, measuring it at every checkpoint.

    The same command on the same folder continues an interrupted run, bit for bit on the CPU.

    Examples:

    [dim]breadth train examples/circle_darling.toml
    breadth train examples/circle_darling.toml --set objective.floor=0.2 --set train.steps=500 --out runs/floor02[/dim]
    """
    from breadth.commands.progress import train_watcher
    from breadth.config import RunSettings, apply_overrides, build_settings, read_toml
    from breadth.experiments.assemble import CHECKS, quality_target_settings

    data = apply_overrides(read_toml(config), overrides or [])
    if target_quality is not None:
        data["objective"] = quality_target_settings(data, target_quality, where=str(config))
    settings = build_settings(RunSettings, data, where=str(config), checks=CHECKS)
    folder = out or Path("runs") / config.stem
    from breadth.experiments.front import train_settings

    with train_watcher(settings, folder, quiet=json) as watcher:
        run = train_settings(settings, folder, watcher=watcher)
    last = run.at(run.steps[-1])
    if json:
        print_json(
            {
                "path": str(folder),
                "step": run.steps[-1],
                "metrics": {k: {"value": r["value"], "error": r["error"], "n": r["n"]} for k, r in last.items()},
            }
        )
        return
    from breadth.commands.output import console, measurements_table

    console.print(measurements_table({run.steps[-1]: last}, title=f"{run.label}, seed {run.seed}"))
    console.print(f"run  {folder}", highlight=False)


@app.command()
def measure(
    runs: RunPaths,
    step: Annotated[
        list[int] | None, typer.Option("--step", help="Only this checkpoint; may be given several times. Default: all.")
    ] = None,
    sets: Annotated[int | None, typer.Option(min=1, help="Independent sample sets per checkpoint.")] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Samples per set.")] = None,
    write: Annotated[
        bool, typer.Option(help="Replace the run's ledger with what was measured (all checkpoints only).")
    ] = False,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Files: only this measure; may be given several times.")
    ] = None,
    answers: Annotated[
        int | None,
        typer.Option(min=2, help="Files: answers per prompt that are measured (k). Default: as many as all have."),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="Files: tokens per answer group, so that length does not count as diversity."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            "--field", metavar="NAME=COLUMN", help="Files: where prompt, response, reward, correct or step stand."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Measure runs or files of generations: quality, diversity, entropy and shares, each with its error.

    Run folders: the checkpoints are sampled again. With the run's own settings the numbers are those of its ledger; with more
    sets the errors shrink.

    Files (JSONL, Parquet, CSV, also .gz; logs of TRL, verl, lm-eval and REINVENT4 are recognised): one table each. A file with
    training steps is told whether its run collapses; two files are compared.

    Examples:

    [dim]breadth measure runs/circle/runs/darling/seed-0 --step 250 --sets 20
    breadth measure completions/            (a TRL log: is my run collapsing?)
    breadth measure base.jsonl tuned.jsonl[/dim]
    """
    from breadth.commands.output import console, measurements_table
    from breadth.experiments.measure import measure_all
    from breadth.ledger.run import find_runs

    if not any(find_runs(path) for path in runs if path.is_dir()) and all(path.exists() for path in runs):
        from breadth.commands.files import measure_files

        measure_files(runs, metrics=metric, answers=answers, budget=budget, fields=field, json=json)
        return
    changes = {k: v for k, v in {"sets": sets, "samples_per_set": samples}.items() if v is not None}
    found = measure_all(runs, steps=step, overrides=changes, write=write)
    if json:
        print_json(found)
        return
    for path, rows in found.items():
        console.print(measurements_table(rows, title=path))


@app.command()
def fit(
    runs: RunPaths,
    form: Annotated[str, typer.Option(help="Curve; see breadth list laws.")] = "exponential",
    quality: Annotated[str, typer.Option(help="Metric read as R.")] = "quality",
    diversity: Annotated[str, typer.Option(help="Metric read as D.")] = "diversity",
    entropy: Annotated[str, typer.Option(help="Metric read as H.")] = "policy_entropy",
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws.")] = 1000,
    json: Json = False,
) -> None:
    """Fit the laws R = −a·exp(c·D)+b, R = −a₀·exp(c₀·H)+b₀ and H = a₁·D+b₁, and say whether they hold.

    Each run is fitted alone, and all runs of an objective together. Intervals are 95 %, from a block bootstrap over checkpoints.
    """
    from breadth.commands.output import console, fits_table
    from breadth.experiments.compare import fit_runs, load_runs

    found = fit_runs(load_runs(runs), form=form, quality=quality, diversity=diversity, entropy=entropy, n_boot=draws)
    if json:
        print_json(found)
        return
    console.print(fits_table(found))


@app.command()
def compare(
    runs: RunPaths,
    baseline: Annotated[
        str | None, typer.Option(help="Objective that the others are compared with. Default: the first.")
    ] = None,
    at: Annotated[
        list[float] | None,
        typer.Option("--at", help="Quality at which diversity is compared; may be given several times."),
    ] = None,
    margin: Annotated[float, typer.Option(help="δ: differences in D below this count as the same.")] = 0.02,
    diversity: Annotated[str, typer.Option(help="Metric read as D.")] = "diversity_valid",
    json: Json = False,
) -> None:
    """Tell whether a method bought diversity at equal quality, lost it, or gave the same; or that the seeds cannot tell.

    Runs must start from the same prior. Intervals are paired over seeds.
    """
    from breadth.commands.output import console, lifts_table
    from breadth.experiments.compare import compare_runs, load_runs

    lifts = compare_runs(
        load_runs(runs), baseline=baseline, at_quality=tuple(at or (0.9, 0.95)), margin=margin, diversity=diversity
    )
    if json:
        print_json(lifts)
        return
    console.print(lifts_table(lifts))


app.command()(forecast)


@app.command()
def report(
    runs: RunPaths,
    out: Annotated[
        Path | None, typer.Option(help="The page to write. Default: report.html in the first folder.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Objective that the others are compared with. Default: the first.")
    ] = None,
    json: Json = False,
) -> None:
    """Write one self-contained page about runs: curves, laws, frontier, examples, every number. It opens offline."""
    from breadth.commands.output import console
    from breadth.experiments.front import report_runs

    summary, page = report_runs(runs, out=out, baseline=baseline)
    if json:
        print_json({"report": str(page), "summary": summary})
        return
    console.print(f"report  {page}", highlight=False)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="objectives, tasks, metrics, laws, partitions or studies.")],
    json: Json = False,
) -> None:
    """List what breadth knows: objectives, tasks, metrics, laws, partitions, studies."""
    from breadth.commands.output import console, entries_table, known_entries

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
        fail("stopped. Nothing that was written is lost: the same command goes on from the last checkpoint.", code=130)
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
