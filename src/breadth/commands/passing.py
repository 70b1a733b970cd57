"""``breadth passk``: success over the number of tries, beside the prior's own."""

from __future__ import annotations

from typing import Annotated

import typer

from breadth.commands.options import Json, RunPaths
from breadth.commands.output import print_json


def passk(
    runs: RunPaths,
    distinct: Annotated[
        bool, typer.Option("--distinct", help="Different right answers among k, instead of pass@k.")
    ] = False,
    json: Json = False,
) -> None:
    """Show pass@k of each objective at its last checkpoint beside its prior's, and the k from which the prior is ahead again.

    For tasks with prompts and right answers (countdown, game24, math). Means over held-out prompts and seeds, intervals are 95 %
    Student-t over seeds.

    Example:

    [dim]breadth passk runs/countdown[/dim]
    """
    from breadth.commands.output import console
    from breadth.experiments.compare import check_comparable, load_runs
    from breadth.experiments.pass_curves import pass_curves

    found = load_runs(runs)
    check_comparable(found)
    curves = pass_curves(found, family="distinct" if distinct else "pass")
    if json:
        print_json(curves)
        return
    console.print(_table(curves, "different right answers among k" if distinct else "pass@k"))


def _table(curves: list, title: str) -> object:
    from statistics import fmean

    from rich.table import Table

    shown = _columns(sorted({n for curve in curves for n in curve.k}))
    table = Table(title=f"{title}; ± half of the 95 % interval over seeds", title_justify="left")
    table.add_column("objective", overflow="fold")
    for name in ("seeds", *(f"k = {n}" for n in shown), "coverage"):
        table.add_column(name, justify="right")
    table.add_column("prior ahead")
    before = {
        n: [e.value for c in curves for k, e in zip(c.k, c.prior, strict=True) if k == n and e.value is not None]
        for n in shown
    }
    covered = [c.coverage[1].value for c in curves if c.coverage and c.coverage[1].value is not None]
    cells = ["–" if not before[n] else f"{fmean(before[n]):.3f}" for n in shown]
    table.add_row("prior", "", *cells, f"{fmean(covered):.3f}" if covered else "–", "", style="dim")
    for curve in curves:
        by_k = dict(zip(curve.k, curve.value, strict=True))
        share = _cell(curve.coverage[0]) if curve.coverage else "–"
        table.add_row(curve.label, str(len(curve.seeds)), *(_cell(by_k.get(n)) for n in shown), share, _ahead(curve))
    return table


def _ahead(curve: object) -> str:
    """Return from which k on the prior finds more."""
    if curve.crossing is None:
        return "no"
    return "always" if curve.crossing <= curve.k[0] else f"k > {curve.crossing:.3g}"


def _columns(k: list[int]) -> list[int]:
    """Return at most four of the measured k, the first and the last among them; ``--json`` has all."""
    if len(k) <= 4:
        return k
    return [k[round(i * (len(k) - 1) / 3)] for i in range(4)]


def _cell(estimate: object) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    return f"{estimate.value:.3f}" + ("" if estimate.high is None else f" ±{estimate.high - estimate.value:.3f}")
