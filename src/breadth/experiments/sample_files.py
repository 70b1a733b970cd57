"""Samples of a checkpoint as a table, and the table as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breadth.experiments.assemble import settings_of_run
from breadth.experiments.drawing import Drawn
from breadth.ledger.rows import write_atomic

MOLECULE_FILES = ("sdf", "smi")


def refuse_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Refuse, before anything is sampled, files that this run's task cannot be written to.

    Raises
    ------
    ValueError
        An SDF or SMILES list of a task that does not write molecules, or a path that is a folder.
    """
    for kind, path in files.items():
        if path.is_dir():
            raise ValueError(f"--{kind} {path}: expected the name of a file, got a folder")
    task = settings_of_run(folder).task.kind if (folder / "config.json").is_file() else "molecules"
    for kind in MOLECULE_FILES:
        if kind in files and task != "molecules":
            raise ValueError(f"--{kind}: the task {task!r} writes no molecules: use --csv or --jsonl")


def sample_table(drawn: Drawn, *, at_least: float | None = None) -> dict[str, list[Any]]:
    """Return the samples as columns, molecules with properties, scaffold and alerts; rows below ``at_least`` left out."""
    columns = drawn.columns()
    if at_least is not None:
        keep = [i for i, q in enumerate(drawn.quality) if q is not None and q >= at_least]
        columns = {name: [values[i] for i in keep] for name, values in columns.items()}
    if drawn.task.name == "molecules":
        from breadth.tasks.molecule_properties import property_columns, structural_alerts

        smiles = [text.strip() for text in columns["text"]]
        columns |= property_columns(smiles)
        for name, found in structural_alerts(smiles).items():
            columns[f"{name.lower()}_alerts"] = [None if a is None else "; ".join(a) for a in found]
    return columns


def facts_of(drawn: Drawn, table: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return what should be said of the samples in one line."""
    known = [q for q in drawn.quality if q is not None]
    return {
        "run": str(drawn.run),
        "step": drawn.step,
        "seed": drawn.seed,
        "drawn": drawn.n_drawn,
        "kept": len(drawn.text),
        "written": len(table["text"]),
        "parsable": sum(k is not None for k in drawn.key),
        "distinct": len({(p, k) for p, k in zip(drawn.prompt, drawn.key, strict=True) if k is not None}),
        "unscored": len(drawn.quality) - len(known),
        "mean_quality": round(sum(known) / len(known), 4) if known else None,
    }


def write_sample_files(drawn: Drawn, table: Mapping[str, list[Any]], files: Mapping[str, Path]) -> dict[str, Path]:
    """Write the table to the files (kind -> path), each whole or not at all, and return what was written."""
    for kind, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _text(kind, drawn, table).encode())
    return dict(files)


def _text(kind: str, drawn: Drawn, table: Mapping[str, list[Any]]) -> str:
    if kind == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
        return stream.getvalue()
    if kind == "jsonl":
        rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
        return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    from breadth.tasks.molecule_files import sdf_text, smi_text

    good = [i for i, parsable in enumerate(table["parsable"]) if parsable]
    smiles = [table["text"][i].strip() for i in good]
    names = [f"{drawn.label}-{drawn.run_seed}-step{drawn.step}-{i}" for i in good]
    if kind == "smi":
        return smi_text(smiles, names)
    left_out = ("text", "prompt", "parsable", "valid")
    return sdf_text(smiles, names, {k: [v[i] for i in good] for k, v in table.items() if k not in left_out})
