"""``breadth pretrain``: a prior on its own, with learning curves and a report on what it writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from breadth.commands.options import Json, Overrides
from breadth.commands.output import console, errors, print_json

SHOW_EVERY = 10.0  # seconds between lines of progress


def pretrain(
    config: Annotated[
        Path | None,
        typer.Argument(
            help="A TOML file with \\[task], \\[model], \\[prior], \\[engine], \\[check]; or leave it out and name a preset."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="small, base or large: the 6.37, 21.38 and 50.55 million parameters of the source paper."),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Molecules: a file or a hub data set; sets task.corpus.")] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(help="Molecules: take those of this file (the oracle's activity table) out of the corpus; sets task.exclude."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The prior's folder. Default: priors/ and the name of the preset or file.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps; sets prior.steps.")] = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train a prior on a corpus and report on it.

    Loss on the validation split, validity and uniqueness along the way; at the end validity, uniqueness, novelty, and for
    molecules how near the distributions of properties and scaffolds are to the validation split. The same command on the same folder
    continues an interrupted training, bit for bit on the CPU. Runs start from it with [cyan]prior.path = "DIR/model"[/cyan].

    Examples:

    [dim]breadth pretrain --preset small --corpus chembl_smiles.csv.gz --out priors/small --set engine.device=cuda
    breadth pretrain --preset small --corpus chembl_smiles.csv.gz --exclude jnk3_activity.csv.gz --out priors/small-no-table
    breadth pretrain prior.toml --corpus molecules.smi --out priors/mine[/dim]
    """
    from breadth.config import ConfigError, apply_overrides, build_settings, nearest, read_toml
    from breadth.experiments.pretraining import PRESETS, PretrainSettings, pretrain_checks, run_pretraining

    if (config is None) == (preset is None):
        raise ConfigError("pretrain", ["expected either a TOML file or --preset small, base or large"])
    if preset is not None and preset not in PRESETS:
        raise ConfigError("--preset", [f"unknown preset {preset!r}{nearest(preset, PRESETS)}"])
    where = str(config) if config else f"--preset {preset}"
    data = read_toml(config) if config else PRESETS[preset or ""]
    extra = [] if steps is None else [f"prior.steps={steps}"]
    data = apply_overrides(data, [*(overrides or []), *extra])
    if corpus is not None:
        data.setdefault("task", {})["corpus"] = corpus
    if exclude is not None:
        data.setdefault("task", {})["exclude"] = str(exclude)
    settings = build_settings(PretrainSettings, data, where=where, checks=(pretrain_checks,))
    folder = out or Path("priors") / (config.stem if config else preset or "")
    report = run_pretraining(settings, folder, on_step=_progress(settings.prior.steps))
    from breadth.experiments.pretraining_page import write_page

    page = write_page(report, folder / "report.html")
    if json:
        print_json({"path": str(folder / "model"), **report})
        return
    _print(report)
    console.print(f"\nmodel   {folder / 'model'}\nreport  {page}", highlight=False, soft_wrap=True)


def _progress(steps: int) -> Callable[[dict[str, Any]], None]:
    """Return a function that prints a line on standard error now and then."""
    shown, started, first = [0.0], time.perf_counter(), [None]

    def tell(row: dict[str, Any]) -> None:
        now = time.perf_counter()
        if row.get("phase") in ("corpus", "report"):
            errors.print(f"pretrain · {row['phase']} · {now - started:.0f} s", highlight=False)
            return
        if first[0] is None:
            first[0] = (row["step"], now)
        if now - shown[0] < SHOW_EVERY:
            return
        shown[0] = now
        begun, since = first[0]
        left = (
            ""
            if row["step"] <= begun
            else f" · about {(now - since) / (row['step'] - begun) * (steps - row['step']):.0f} s left"
        )
        errors.print(
            f"pretrain · step {row['step']}/{steps} · loss {row['loss']:.3f} · {now - started:.0f} s{left}",
            highlight=False,
        )

    return tell


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    def number(value: float | None, digits: int = 3) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    if "corpus" in report:
        console.print(report["corpus"], highlight=False, soft_wrap=True)
    tied = "tied head" if report["tied_head"] else "untied head"
    console.print(
        f"{report['parameters']:,} parameters ({tied}; {report['parameters_without_positions']:,} without the position table), "
        f"{report['vocabulary']} tokens, {report['steps']:,} steps",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"valid loss {number(report['valid_loss'])} nats a token; of {report['samples']:,} samples: validity {number(report['validity'])}, "
        f"uniqueness {number(report['uniqueness'])}, novelty {number(report['novelty'])}",
        highlight=False,
        soft_wrap=True,
    )
    found = report.get("distribution")
    if not found:
        return
    table = Table(title="Against the validation split (distance in its standard deviations)", title_justify="left")
    for name in ("property", "distance", "of the corpus itself", "mean", "mean of valid"):
        table.add_column(name, justify="left" if name == "property" else "right")
    for name, row in found["properties"].items():
        table.add_row(
            name,
            number(row["distance"]),
            number(row["floor"]),
            number(row["mean_samples"], 2),
            number(row["mean_valid"], 2),
        )
    console.print(table)
    scaffolds = found["scaffolds"]
    console.print(
        f"scaffolds: cosine with valid {number(scaffolds['cosine'])} (corpus {number(scaffolds['cosine_floor'])}), share known from "
        f"{found['n_train']:,} training molecules {number(scaffolds['known_share'])} (of valid {number(scaffolds['known_share_of_valid'])})",
        highlight=False,
        soft_wrap=True,
    )
