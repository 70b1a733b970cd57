"""``breadth report``: what runs came to, as a page, as Markdown, on paper, and their figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json, RunPaths
from breadth.commands.output import print_json

FORMATS = ("html", "md", "pdf")


def report(
    runs: RunPaths,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: report.html (.md, .pdf) in the first folder.")
    ] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="html, md or pdf. Default: as --out ends, else html.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Objective that the others are compared with. Default: the first.")
    ] = None,
    tilt: Annotated[
        Path | None,
        typer.Option(help="Molecules: a corpus tilt that breadth tilt --out wrote, beside the policies. Default: tilt.json of the folder."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", metavar="DIR", help="Write each figure there too: SVG, PNG, and its data as CSV."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Write the page anew while the runs go on; the open page loads itself again."),
    ] = False,
    every: Annotated[float, typer.Option(min=2.0, help="Seconds between two looks of --follow.")] = 15.0,
    json: Json = False,
) -> None:
    """Write what runs came to: curves, laws, frontier, samples, costs, every number with its ledger row.

    The page (html) is one file that opens offline. Markdown (md) holds the tables and verdicts. PDF and --figures are drawn by a
    Chromium or Chrome on this machine.

    Examples:

    [dim]breadth report runs/circle
    breadth report runs/circle --format pdf
    breadth report runs/circle --figures figures
    breadth report runs/circle --follow[/dim]
    """
    from breadth.commands.output import console
    from breadth.experiments.report_files import follow_runs, write_report

    kind = format or (
        out.suffix.lstrip(".").lower() if out is not None and out.suffix.lstrip(".").lower() in FORMATS else "html"
    )
    if kind not in FORMATS:
        raise ValueError(f"report --format: expected html, md or pdf, got {format!r}")
    if follow:
        if kind != "html" or json or figures is not None:
            raise ValueError("report --follow writes the page (html) alone: leave --format, --figures and --json out")
        told = False
        for page, n_done, n in follow_runs(runs, out=out, baseline=baseline, every=every, tilt=tilt):
            console.print(f"report  {page}  {n_done} of {n} runs done", highlight=False)
            if not told and n_done < n:
                console.print(
                    "open it in a browser: it loads itself again while the runs go on. Ctrl-C ends this, and not the runs",
                    style="dim",
                )
                told = True
        return
    summary, page, drawn = write_report(runs, out=out, baseline=baseline, kind=kind, figures=figures, tilt=tilt)
    if json:
        print_json({"report": str(page), "figures": [str(path) for path in drawn], "summary": summary})
        return
    console.print(f"report  {page}", highlight=False)
    if figures is not None:
        console.print(f"figures {figures}: {len(drawn)} files", highlight=False)
