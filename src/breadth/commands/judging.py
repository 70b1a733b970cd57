"""``breadth fit``, ``breadth compare`` and ``breadth report``: what finished runs say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json, RunPaths
from breadth.commands.output import print_json


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
