"""``breadth sweep``: what temperature, top-p and min-p buy without any training."""

from __future__ import annotations

from typing import Annotated

import typer

from breadth.commands.options import Json
from breadth.commands.output import print_json


def sweep(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN[@STEP]…",
            help="Run folders, or study folders (all runs below them). @300, @last (default), @prior or @all: which checkpoints.",
            show_default=False,
        ),
    ],
    temperature: Annotated[
        str | None, typer.Option(help="Temperatures, separated by commas. Default, where nothing is named: 0.2 to 1.5.")
    ] = None,
    top_p: Annotated[str | None, typer.Option("--top-p", help="Nucleus sizes, separated by commas.")] = None,
    min_p: Annotated[
        str | None, typer.Option("--min-p", help="Least shares of the likeliest token's probability.")
    ] = None,
    top_k: Annotated[str | None, typer.Option("--top-k", help="Numbers of tokens kept.")] = None,
    every_combination: Annotated[
        bool, typer.Option("--every-combination", help="Each cut at each temperature; default: one thing at a time.")
    ] = False,
    sets: Annotated[
        int | None, typer.Option(min=1, help="Sample sets a point. Default: as the run is measured.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=2, help="Samples a set. Default: as the run is measured.")] = None,
    json: Json = False,
) -> None:
    """Sample trained checkpoints under many decoding conditions and measure each. Nothing is trained.

    The rows go to sweep.jsonl beside each run's ledger; points that are there already are not sampled again. Then
    [cyan]breadth compare --envelope[/cyan] says whether a method bought more than the baseline's sweep gives for nothing, and the report
    draws the sweep.

    Examples:

    [dim]breadth sweep runs/circle --temperature 0.2,0.5,0.8,1.2
    breadth sweep runs/circle/runs/dr_grpo/seed-0@all --temperature 0.5,1.5 --top-p 0.9 --min-p 0.05,0.1
    breadth compare runs/circle --envelope[/dim]
    """
    from breadth.commands.output import console
    from breadth.experiments.decoding import conditions, sweep_run
    from breadth.experiments.drawing import split_run
    from breadth.laws.envelope import CONDITIONS, condition_words
    from breadth.ledger.run import find_runs

    texts = (temperature, top_p, min_p)
    asked = [_numbers(text, name) for text, name in zip(texts, ("temperature", "top-p", "min-p"), strict=True)]
    kept = _numbers(top_k, "top-k")
    if any(k != int(k) for k in kept):
        raise ValueError(f"--top-k: expected whole numbers, got {top_k}")
    wanted = conditions(*asked, [int(k) for k in kept], every_combination=every_combination)
    out = []
    for text in runs:
        every = text.endswith("@all")
        folder, step = split_run(text.removesuffix("@all") if every else text)
        found = find_runs(folder)
        if not found:
            raise FileNotFoundError(f"{folder}: no run folder there (a run folder holds config.json and ledger.jsonl)")
        for path in found:
            from breadth.engine.checkpoint import steps_on_disk

            steps = steps_on_disk(path / "checkpoints") if every else None if step is None else [step]
            rows = sweep_run(
                path,
                wanted,
                steps=steps,
                sets=sets,
                samples_per_set=samples,
                on_point=lambda words: None if json else console.print(words, style="dim", highlight=False),
            )
            out += [{"path": str(path), **row} for row in rows]
    if json:
        print_json(out)
        return
    from rich.table import Table

    from breadth.commands.output import with_error

    shown = ("quality", "diversity", "diversity_valid", "policy_entropy", "valid_share")
    table = Table(title="Decoding sweep", title_justify="left")
    for name in ("run", "step", "conditions", *shown):
        table.add_column(name, justify="right" if name in shown or name == "step" else "left")
    points: dict[tuple, dict] = {}
    for row in out:
        key = (row["path"], row["step"], *(row[name] for name in CONDITIONS))
        points.setdefault(key, {})[row["metric"]] = row
    for by_metric in points.values():
        first = next(iter(by_metric.values()))
        cells = [by_metric.get(name) for name in shown]
        name = f"{first['objective']}, seed {first['seed']}"
        values = (with_error(c["value"], c["error"]) if c else "–" for c in cells)
        table.add_row(name, str(first["step"]), condition_words(first), *values)
    console.print(table)


def _numbers(text: str | None, name: str) -> list[float]:
    """Return the numbers of a comma-separated option; ValueError that names the option."""
    if text is None:
        return []
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"--{name}: expected numbers separated by commas such as 0.5,0.9, got {text!r}") from None
