"""A report in the form that was asked for: the page, Markdown, a PDF, its figures as files; and the page of runs that go on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from breadth.experiments.browser import browser_there, print_pdf, save_figures
from breadth.experiments.front import report_runs
from breadth.experiments.watching import RunView, look, over
from breadth.ledger.rows import write_atomic


def write_report(
    paths: Sequence[Path],
    *,
    out: Path | None = None,
    baseline: str | None = None,
    kind: str = "html",
    figures: Path | None = None,
    tilt: Path | None = None,
) -> tuple[dict[str, Any], Path, list[Path]]:
    """Summarise runs, write their report, and return the summary, the report's path and those of the figures.

    Parameters
    ----------
    paths : sequence of Path
        Run folders or study folders.
    out : Path, optional
        Default: ``report.<kind>`` in the first folder.
    baseline : str, optional
        Objective that the others are compared with. Default: the first.
    kind : "html" | "md" | "pdf"
    figures : Path, optional
        A folder for the figures: SVG, PNG, CSV each.
    tilt : Path, optional
        A corpus tilt that ``breadth tilt`` saved, to stand beside the policies of a study on molecules.

    Raises
    ------
    BrowserError
        For a PDF or figures on a machine without a browser, before anything is computed.
    """
    if kind == "pdf" or figures is not None:
        browser_there("a report as PDF" if kind == "pdf" else "the figures of a report as files")
    out = out or Path(paths[0]) / f"report.{kind}"
    with tempfile.TemporaryDirectory(prefix="breadth-report-") as spare:
        summary, page = report_runs(
            paths, out=out if kind == "html" else Path(spare) / "report.html", baseline=baseline, tilt=tilt
        )
        if kind == "md":
            from breadth.experiments.markdown_report import markdown_report

            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(out, markdown_report(Path(paths[0]), summary, tilt=tilt).encode())
        elif kind == "pdf":
            print_pdf(page, out)
        drawn = [] if figures is None else save_figures(page, figures)
    return summary, out, drawn


def follow_runs(
    paths: Sequence[Path], *, out: Path | None = None, baseline: str | None = None, every: float = 15.0, tilt: Path | None = None
) -> Iterator[tuple[Path, int, int]]:
    """Write the page whenever a run has a new measurement or ends; yield (page, runs done, runs) each time, until all are done.

    While runs go on the page loads itself again every ``every`` seconds, from a file too; the last one does not.
    """
    seen: Any = None
    while True:
        views = look(list(paths))
        state = _state(views)
        if state != seen:
            live = None if over(views) else max(2, round(every))
            if any(view.series["R"] for view in views):
                _, page = report_runs(paths, out=out, baseline=baseline, live=live, tilt=tilt)
                yield page, sum(view.state == "done" for view in views), len(views)
            seen = state
        if over(views):
            return
        time.sleep(every)


def _state(views: Sequence[RunView]) -> list[tuple[Path, bool, int]]:
    return [(view.path, view.state in ("done", "stopped"), len(view.series["R"])) for view in views]
