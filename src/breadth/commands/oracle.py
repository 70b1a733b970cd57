"""``breadth oracle``: fit a forest to a table of activities, list what there is, score molecules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from breadth.commands.options import Json
from breadth.commands.output import console, print_json

app = typer.Typer(no_args_is_help=True, help="What molecules are scored by: fit a forest, list oracles, score a file.")


@app.command()
def fit(
    name: Annotated[str, typer.Argument(help="jnk3 or gsk3b (public tables are known for these), or a name of yours.")],
    table: Annotated[
        str | None,
        typer.Option(
            help="Table with SMILES and labels: a file, a URL, or 'builtin' (the default): the public table of NAME."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for NAME_forest.npz. Default: the cache folder, where oracle = NAME finds it."),
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="SHA-256 that the table must have.")] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Molecules held out for the figures: auto (the table's column, else hash), column, hash or scaffold."
        ),
    ] = "auto",
    smiles_column: Annotated[str | None, typer.Option(help="Column of the SMILES, where it has no usual name.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the labels, where it has no usual name.")] = None,
    active_at: Annotated[
        float | None, typer.Option(help="The labels are measured numbers: active from this value on.")
    ] = None,
    trees: Annotated[int, typer.Option(min=1, help="Trees.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the forest.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Trees grown at a time; changes the time, not the forest.")] = 1,
    json: Json = False,
) -> None:
    """Fit a forest on ECFP4 fingerprints to a table of active and inactive molecules.

    A first forest sees the training part and is judged on the rest; the one that is kept sees all rows. It is a file of plain arrays:
    runs that use it need neither scikit-learn nor the table.

    Examples:

    [dim]breadth oracle fit jnk3
    breadth oracle fit jnk3 --table jnk3_activity.csv.gz --out oracles
    breadth oracle fit mine --table assay.csv --label-column pIC50 --active-at 6.5 --split scaffold[/dim]
    """
    from breadth.tasks.oracles.activity import read_activity
    from breadth.tasks.oracles.fitting import PUBLIC_TABLES, find_table, fit_table, is_builtin, oracle_place

    place = oracle_place(name) if out is None else out / f"{name.lower()}_forest.npz"
    path = find_table(table, name, sha256=sha256)
    with _status(f"reading {path.name}", quiet=json) as tell:
        found = read_activity(
            path, smiles_column=smiles_column, label_column=label_column, active_at=active_at, split=split
        )  # fmt: skip
        fitted = fit_table(found, name=name.lower(), n_trees=trees, seed=seed, n_jobs=jobs, public=is_builtin(table), on_phase=tell)
    fitted.forest.save(place)
    if json:
        print_json({"path": str(place), "sha256": fitted.forest.sha256, "about": fitted.forest.about})
        return
    f, forest = fitted.figures, fitted.forest
    console.print(str(found), highlight=False, soft_wrap=True)
    known = PUBLIC_TABLES.get(name.lower())
    content = forest.about["content_sha256"]
    same = "" if known is None else f", {'' if content == known.content else 'not '}that of the public table"
    console.print(f"content  {content[:16]} (fingerprints and labels){same}", highlight=False, soft_wrap=True)
    console.print(
        f"held out: AUROC {f['auroc']:.3f}, average precision {f['average_precision']:.3f}, mean score of actives "
        f"{f['mean_score_active']:.3f}, of inactives {f['mean_score_inactive']:.4f}",
        highlight=False,
    )
    console.print(
        f"forest   {place} ({forest.n_trees} trees on all molecules, {forest.n_nodes:,} nodes)",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f'use it   oracle = "{name.lower()}"' + ("" if out is None else f', forest = "{place}"'), highlight=False
    )


@app.command("list")
def list_(json: Json = False) -> None:
    """List the oracles that have a name, with their settings, and the forests that were fitted."""
    from breadth.tasks.oracles.forest import Forest
    from breadth.tasks.oracles.predicted import fitted_oracles
    from breadth.tasks.oracles.table import oracle_rows

    rows = oracle_rows()
    for name, path in fitted_oracles().items():
        about = Forest.load(path).about
        figures = about.get("figures", {})
        facts = {"path": str(path), "auroc": figures.get("auroc"), "n_molecules": about.get("n_molecules")}
        rows.append({"name": name, "settings": [], "kind": "fitted", **facts})
    if json:
        print_json(rows)
        return
    from rich.table import Table

    shown = Table(title="oracles", title_justify="left")
    for column in ("name", "settings", "what"):
        shown.add_column(column, overflow="fold", no_wrap=column == "name")
    for row in rows:
        what = row.get("summary") or f"forest in {row['path']}" + (
            f", AUROC {row['auroc']:.3f}" if row.get("auroc") else ""
        )
        shown.add_row(row["name"], ", ".join(row["settings"]), what)
    console.print(shown)


@app.command()
def score(
    file: Annotated[
        Path, typer.Argument(help="Molecules: .smi, .csv, .tsv, .parquet (also .gz), or - for one SMILES a line.")
    ],
    oracle: Annotated[str, typer.Option(help="Name of an oracle, or module:function.")] = "qed",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the oracle, such as forest=jnk3_forest.npz."),
    ] = None,
    json: Json = False,
) -> None:
    """Score molecules and print SMILES and value, tab-separated; an empty value: unparsable or unscored.

    Examples:

    [dim]breadth oracle score molecules.smi --oracle jnk3
    echo CCO | breadth oracle score - --oracle similarity --set target=CCN[/dim]
    """
    from breadth.config import apply_overrides
    from breadth.tasks.corpus_files import read_rows
    from breadth.tasks.molecules import MoleculesTask

    task = MoleculesTask(oracle, **apply_overrides({}, settings or []))
    lines = (
        [line.split()[0] for line in sys.stdin if line.strip()]
        if str(file) == "-"
        else [r.text for r in read_rows(file)]
    )
    keys, values = task.key(lines), task.score(lines).tolist()
    found = [None if key is None or value != value else value for key, value in zip(keys, values, strict=True)]
    if json:
        print_json(
            [
                {"smiles": text, "canonical": key, "value": value}
                for text, key, value in zip(lines, keys, found, strict=True)
            ]
        )
    else:
        for text, value in zip(lines, found, strict=True):
            print(f"{text}\t{'' if value is None else f'{value:.6g}'}")
    failures = task.molecules.failures
    if failures.n:
        print(f"{failures.n} molecules unscored: {'; '.join(failures.reasons[:3])}", file=sys.stderr)


def _status(text: str, *, quiet: bool) -> Any:
    """Return a context that shows what is going on, and yields the function that changes it."""
    from contextlib import contextmanager

    @contextmanager
    def shown():
        if quiet:
            yield lambda text: None
            return
        with console.status(text) as status:
            yield status.update

    return shown()
