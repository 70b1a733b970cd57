"""``breadth fit`` and ``breadth compare``: what finished runs say."""

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
    draws: Annotated[int, typer.Option(min=0, help="Draws of --interval bootstrap and bca; profiles need none.")] = 1000,
    interval: Annotated[
        str | None,
        typer.Option(help="How intervals are made: profile, bootstrap, bca. Default: profile; for the falling logistic, which has none, bootstrap."),
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Ask whether one curve serves all seeds of an objective, or all objectives: seeds, objectives.")
    ] = None,
    r_max: Annotated[
        float | None,
        typer.Option("--r-max", help="Test the claim that R ends there at D = 0 and H = 0; with --form theory, the fixed R_max."),
    ] = None,
    both_axes: Annotated[
        bool, typer.Option("--both-axes", help="Fit R over D with the ledger's errors of both axes, beside least squares.")
    ] = False,
    json: Json = False,
) -> None:
    """Fit the laws R = −a·exp(c·D)+b, R = −a₀·exp(c₀·H)+b₀ and H = a₁·D+b₁, and say whether they hold.

    Each run is fitted alone, and all runs of an objective together. Intervals are 95 %: how far a number
    moves before the best fit with it is worse than chance allows (profile), unless --interval says otherwise; a dash is an end that the
    data do not limit. What each number means, and how often intervals and verdicts are right: docs/laws.md.

    Examples:

    [dim]breadth fit runs/circle
    breadth fit runs/circle --pool seeds
    breadth fit runs/circle --r-max 1.0
    breadth fit runs/circle --interval bootstrap --draws 2000
    breadth fit runs/circle --form theory --r-max 1.0[/dim]
    """
    from breadth.commands import law_tables
    from breadth.commands.output import console, print_lines
    from breadth.experiments.compare import Metrics, fit_runs, load_runs

    loaded = load_runs(runs)
    metrics = Metrics(quality, diversity, entropy)
    if sum((pool is not None, both_axes, r_max is not None and form != "theory")) > 1:
        raise ValueError("fit: --pool, --both-axes and --r-max are different questions; ask one at a time")
    if pool is None and not both_axes and (r_max is None or form == "theory"):
        found = fit_runs(
            loaded,
            form=form,
            quality=quality,
            diversity=diversity,
            entropy=entropy,
            n_boot=draws,
            interval=interval,
            r_max=r_max,
        )
        table = law_tables.fits_table
    else:
        from breadth.experiments import law_questions

        if pool is not None:
            found, table = law_questions.pool_runs(loaded, pool, metrics, form=form, n_boot=draws, interval=interval), law_tables.pooled_table
        elif both_axes:
            found, table = law_questions.both_axes(loaded, metrics, form=form, n_boot=draws, interval=interval), law_tables.both_axes_table
        else:
            if form != "exponential":
                raise ValueError(f"fit: --r-max asks about the exponential form, or fixes the theory form's; got --form {form}")
            found = law_questions.claims_about_ends(loaded, float(r_max or 0.0), metrics, n_boot=draws, interval=interval)
            table = law_tables.endpoints_table
    if json:
        print_json(found)
        return
    console.print(table(found))
    if table is law_tables.fits_table:
        print_lines(law_tables.fit_notes(found))
    elif table is not law_tables.both_axes_table:
        print_lines(law_tables.notes(found, "endpoint" if table is law_tables.endpoints_table else "pooled"))
    for label, members in loaded.items():
        for run in members:
            if not run.complete:
                print_lines([f"{label}, seed {run.seed} is unfinished (step {run.steps[-1]:g}): what it has so far counts"])


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
    envelope: Annotated[
        bool, typer.Option("--envelope", help="Also hold methods against the envelope of the baseline's decoding sweep.")
    ] = False,
    tilt: Annotated[
        Path | None,
        typer.Option(help="Molecules: a corpus tilt that breadth tilt --out wrote; its D at each --at stands beside the policies'."),
    ] = None,
    law: Annotated[
        str | None,
        typer.Option(metavar="A,B,C", help="A law R = −a·exp(c·D)+b to stand beside the policies. Default: the published one of the oracle, if any."),
    ] = None,
    json: Json = False,
) -> None:
    """Tell whether a method bought diversity at equal quality, lost it, or gave the same; or that the seeds cannot tell.

    At each quality, at the end of equal runs, and over the whole attainment frontier (area, hypervolume, a simultaneous band).
    Runs must start from the same prior. Intervals are paired over seeds; with several methods each verdict stands beside
    the one after Holm's correction. --json holds the curves and bands too. With --envelope, "bought" is also held against what
    sampling the baseline at other temperatures, top-p and min-p gives for nothing (breadth sweep first). With --tilt or --law a table says
    what each objective's own law, the published law and the tilted corpus leave at the same quality.
    """
    from breadth.commands.law_tables import frontiers_table, lifts_table
    from breadth.commands.output import console, print_lines
    from breadth.experiments.compare import compare_frontiers, compare_runs, load_runs

    loaded = load_runs(runs)
    lifts = compare_runs(loaded, baseline=baseline, at_quality=tuple(at or (0.9, 0.95)), margin=margin, diversity=diversity)
    tests = compare_frontiers(loaded, baseline=baseline, margin=margin, diversity=diversity)
    held = None
    if envelope:
        from breadth.experiments.decoding import compare_envelopes

        held = compare_envelopes(loaded, baseline=baseline, at_quality=tuple(at or (0.9, 0.95)), margin=margin, diversity=diversity)
    beside = None
    if tilt is not None or law is not None:
        from breadth.experiments.beside import beside_runs

        beside = beside_runs(loaded, qualities=tuple(at or (0.9, 0.95)), diversity=diversity, tilt=tilt, law=law)
    if json:
        further = {name: found for name, found in (("envelopes", held), ("beside", beside)) if found is not None}
        print_json({"comparisons": lifts, "frontiers": tests, **further})
        return
    if beside is not None:
        from breadth.commands.law_tables import beside_table

        console.print(beside_table(beside))
    console.print(lifts_table(lifts))
    print_lines([lift.sentence for lift in lifts])
    console.print(frontiers_table(tests))
    print_lines([test.sentence for test in tests])
    if held is not None:
        from breadth.commands.law_tables import envelopes_table

        console.print(envelopes_table(held))
        print_lines([one.sentence for one in held])
