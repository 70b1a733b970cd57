"""``breadth ensemble`` and ``breadth agents``: several checkpoints as one policy, and agents that are unlike each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from breadth.commands.options import Json, Overrides
from breadth.commands.output import print_json


def ensemble(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN[@STEP]…",
            help="Run folders of one study; @300, @last (default) or @prior: which checkpoint.",
            show_default=False,
        ),
    ],
    weights: Annotated[str | None, typer.Option(help="Weights, separated by commas. Default: equal.")] = None,
    sets: Annotated[int | None, typer.Option(min=2, help="Sample sets. Default: as the first run is measured.")] = None,
    samples: Annotated[
        int | None, typer.Option(min=2, help="Samples a set. Default: as the first run is measured.")
    ] = None,
    at_quality: Annotated[
        float | None,
        typer.Option(help="The greedy choice keeps the mean quality at or above this.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal numbers.")] = 0,
    json: Json = False,
) -> None:
    """Measure a mixture of checkpoints beside each member, at an equal number of answers, and choose members greedily.

    A mixture is broader than its members only by the distance between them: D = Σ wᵢwⱼDᵢⱼ. The last column says what each member's own
    run kept at the mixture's quality: several seeds of a collapsed method may be worth less than an earlier checkpoint of one.

    Examples:

    [dim]breadth ensemble runs/circle/runs/dr_grpo/seed-*
    breadth ensemble runs/qed/runs/darling/seed-0 runs/qed/runs/qempo/seed-0@150 --weights 0.7,0.3 --at-quality 0.8[/dim]
    """
    from breadth.experiments.ensemble import ensemble as mix

    try:
        given = None if weights is None else [float(part) for part in weights.split(",")]
    except ValueError:
        raise ValueError(f"--weights: expected numbers separated by commas such as 0.7,0.3, got {weights!r}") from None
    found = mix(runs, given, sets=sets, samples_per_set=samples, seed=seed, at_quality=at_quality)
    if json:
        print_json(found)
        return
    from rich.table import Table

    from breadth.commands.output import console, with_error

    shown = ("quality", "diversity", "diversity_valid", "policy_entropy")
    table = Table(title=f"{found.n_answers:,} answers each", title_justify="left")
    for name in ("policy", "weight", *shown, "own run's D at the mixture's R"):
        table.add_column(name, justify="left" if name == "policy" else "right", overflow="fold")
    for name, weight, rows, equal in (
        *((m.name, f"{m.weight:.2f}", m.rows, m.at_equal_quality) for m in found.members),
        ("mixture", "", found.rows, None),
    ):
        by = {row.metric: row for row in rows}
        cells = (with_error(by[k].value, by[k].error) if k in by else "–" for k in shown)
        table.add_row(name, weight, *cells, "" if name == "mixture" else with_error(equal, None))
    console.print(table)
    console.print(found.sentence, highlight=False)
    if found.identity is not None:
        console.print(f"from the distances within and between members: D = {found.identity:.3f}", highlight=False)
    for i, row in enumerate(found.chosen, start=1):
        console.print(
            f"choice {i}: {row['member']}, then R {row['quality']:.3f}, D {with_error(row['diversity'], None)}",
            highlight=False,
        )


def agents(
    config: Annotated[Path, typer.Argument(help="A TOML file as for breadth train: the settings of each agent.")],
    number: Annotated[int, typer.Option("--agents", "-k", min=2, help="How many.")] = 3,
    unlike: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="w: reward · (1 − w · largest similarity to an earlier agent's answers); 0: independent seeds. Default: 1.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Gets agent-0, agent-1, … Default: runs/ and the name of the file.")
    ] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train several agents from one prior, each pushed from those before it.

    With most objectives one after another, each rewarded for being unlike the answers of those before it (--unlike). With
    objective.kind = "molrl_mgpt" in turn at every step, pushed in likelihood, with one memory among them. Compare with as many independent
    seeds (--unlike 0) by breadth ensemble: the same budget, the same mixture. The same command goes on with what was interrupted.

    Examples:

    [dim]breadth agents examples/circle_darling.toml -k 3 --unlike 1 --out runs/unlike
    breadth agents examples/molecules_agents.toml -k 4 --out runs/agents
    breadth ensemble runs/unlike/agent-*[/dim]
    """
    from breadth.commands.output import console
    from breadth.commands.progress import train_watcher
    from breadth.config import RunSettings, apply_overrides, build_settings, read_toml
    from breadth.experiments.assemble import CHECKS
    from breadth.experiments.in_turn import reads_other_agents, train_agents_in_turn
    from breadth.experiments.unlike import train_unlike

    settings = build_settings(
        RunSettings, apply_overrides(read_toml(config), overrides or []), where=str(config), checks=CHECKS
    )
    folder = out or Path("runs") / config.stem
    in_turn = reads_other_agents(settings)
    if in_turn and unlike is not None:
        raise ValueError(
            f"agents: --unlike is for agents trained one after another, and {settings.objective.kind!r} pushes them apart itself: leave it out, or "
            "set objective.repulsion"
        )
    with train_watcher(settings, folder, quiet=json) as watcher:
        if in_turn:
            runs = train_agents_in_turn(settings, folder, agents=number, watcher=watcher)
        else:
            runs = train_unlike(settings, folder, agents=number, weight=1.0 if unlike is None else unlike, watcher=watcher)
    if json:
        print_json([{"path": str(run.path), "seed": run.seed, "step": run.steps[-1]} for run in runs])
        return
    for run in runs:
        last = run.at(run.steps[-1])
        console.print(f"{run.path}  R {last['quality']['value']:.3f}", highlight=False)
    console.print(f"now: breadth ensemble {' '.join(str(run.path) for run in runs)}", highlight=False, soft_wrap=True)
