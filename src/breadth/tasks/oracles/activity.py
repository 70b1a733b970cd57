"""Tables of measured activity: which molecules are active and which are not, read, cleaned and split."""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from breadth.tasks.corpus_files import SMILES_COLUMNS, kind_of, text_lines
from breadth.tasks.corpus_store import file_sha256
from breadth.tasks.smiles import canonicalise, quiet_rdkit, require_rdkit

#: Names under which a column of labels is found, in order of preference; case does not count.
LABEL_COLUMNS = ("label", "active", "activity", "y", "class", "target")
WORDS = {"1": 1, "1.0": 1, "true": 1, "active": 1, "0": 0, "0.0": 0, "false": 0, "inactive": 0}
TEST_EVERY = 4  # of the molecules by hash, where the table has no split: 75 / 25, as the published splits
BAD_SHARE = 0.05


class Measured(NamedTuple):
    """One row: its number from 1, the SMILES, 1 = active, and the split that the table gives ("" for none)."""

    line: int
    smiles: str
    active: int
    split: str


@dataclass(frozen=True)
class ActivityTable:
    """Distinct molecules with a label each, in the order of the table.

    Attributes
    ----------
    smiles : list of str
        Canonical flat SMILES.
    active : (n,) int64
        1 = active, 0 = inactive.
    test : (n,) bool
        Which molecules are held out.
    split_by : str
        How they were chosen: ``"column"``, ``"hash"`` or ``"scaffold"``.
    sha256 : str
        Of the file.
    n_rows, n_unparsable, n_duplicate, n_conflict : int
        Rows read; rows that RDKit cannot parse (left out); repeats of a molecule (merged); and how many molecules had
        both labels (taken as active).
    """

    source: str
    sha256: str
    smiles: list[str]
    active: np.ndarray
    test: np.ndarray
    split_by: str
    n_rows: int
    n_unparsable: int
    n_duplicate: int
    n_conflict: int

    def __str__(self) -> str:
        parts = [f"{self.source}: {len(self.smiles):,} molecules, {int(self.active.sum()):,} active"]
        parts.append(
            f"{int(self.test.sum()):,} held out by {self.split_by} ({int(self.active[self.test].sum()):,} active)"
        )
        for n, what in (
            (self.n_unparsable, "rows left out that RDKit cannot parse"),
            (self.n_duplicate, "repeated rows merged"),
            (self.n_conflict, "molecules with both labels taken as active"),
        ):
            if n:
                parts.append(f"{n:,} {what}")
        return "; ".join(parts)


def read_activity(
    source: str | os.PathLike,
    *,
    smiles_column: str | None = None,
    label_column: str | None = None,
    active_at: float | None = None,
    split: str = "auto",
) -> ActivityTable:
    """Return the molecules of an activity table.

    Molecules are told apart by RDKit's flat canonical SMILES. A molecule that stands there more than once is one row:
    active if any of its rows is, in the training part if any of its rows is.

    Parameters
    ----------
    source : path
        ``.csv``, ``.tsv`` (also ``.gz``) or ``.parquet`` with a header.
    smiles_column, label_column : str, optional
        Where the columns have no usual name. Without a usual name, the one column beside SMILES and split is the label.
    active_at : float, optional
        The label column holds numbers (a pIC50, say): active from this value on. None: it holds 0 and 1, true and false,
        or active and inactive.
    split : {"auto", "column", "hash", "scaffold"}
        Which molecules are held out: those that a column ``split`` calls test or valid; one in four by the SHA-1 of the
        molecule, or of its Murcko scaffold (then no scaffold is on both sides). ``"auto"``: the column where there is
        one, else the hash.

    Raises
    ------
    FileNotFoundError, ValueError
        No such file or column; a label that is none (with its line); more than 5 % unparsable rows; only one class, in
        the whole table or in one of its parts.
    """
    require_rdkit()
    path = Path(source).expanduser()
    if split not in ("auto", "column", "hash", "scaffold"):
        raise ValueError(f"split: expected 'auto', 'column', 'hash' or 'scaffold', got {split!r}")
    where = f"table {source}"
    rows = list(_rows(path, where, smiles_column, label_column, active_at))
    if not rows:
        raise ValueError(f"{where}: expected rows below the header, got none")
    has_column = any(row.split for row in rows)
    if split == "column" and not has_column:
        raise ValueError(
            f"{where}: split='column', but there is no column 'split' with values: use 'hash' or 'scaffold'"
        )
    by = ("column" if has_column else "hash") if split == "auto" else split
    active: dict[str, int] = {}
    held_out: dict[str, bool] = {}
    bad: list[Measured] = []
    labels: dict[str, set[int]] = {}
    with quiet_rdkit():
        for row in rows:
            text = canonicalise(row.smiles)
            if text is None:
                bad.append(row)
                continue
            active[text] = max(row.active, active.get(text, 0))
            held_out[text] = row.split in ("test", "valid") and held_out.get(text, True)
            labels.setdefault(text, set()).add(row.active)
        if len(bad) > BAD_SHARE * len(rows):
            shown = "; ".join(f"row {row.line}: {row.smiles[:80]!r}" for row in bad[:3])
            raise ValueError(
                f"{where}: {len(bad):,} of {len(rows):,} rows are not SMILES that RDKit can parse, more than "
                f"{BAD_SHARE:.0%} ({shown}): name the column with smiles_column=..., or mend the file"
            )
        smiles = list(active)
        test = np.array([held_out[text] for text in smiles] if by == "column" else _held_out(smiles, by))
    labelled = np.array([active[text] for text in smiles], dtype=np.int64)
    for name, part in (
        ("the table", np.ones(len(smiles), bool)),
        ("its training part", ~test),
        ("its test part", test),
    ):
        counts = Counter(labelled[part].tolist())
        if set(counts) != {0, 1}:
            raise ValueError(
                f"{where}: expected actives and inactives in {name}, got {counts[1]:,} active and {counts[0]:,} inactive "
                f"(split by {by})" + ("" if active_at is None else f" at active_at={active_at:g}")
            )
    n_parsed = len(rows) - len(bad)
    return ActivityTable(
        str(source), file_sha256(path), smiles, labelled, test, by, len(rows), len(bad), n_parsed - len(smiles),
        sum(len(found) > 1 for found in labels.values()),
    )  # fmt: skip


def _held_out(smiles: Sequence[str], by: str) -> list[bool]:
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    names = smiles if by == "hash" else [MurckoScaffoldSmiles(text) or text for text in smiles]
    digests = (hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()[:8] for name in names)
    return [int(digest, 16) % TEST_EVERY == 0 for digest in digests]


def _rows(
    path: Path, where: str, smiles_column: str | None, label_column: str | None, active_at: float | None
) -> Iterator[Measured]:
    if not path.is_file():
        raise FileNotFoundError(f"{where}: no such file")
    header, lines = _table(path, where)
    lower = [name.strip().lower() for name in header]
    at_smiles = _column(lower, header, smiles_column, SMILES_COLUMNS, "smiles_column", where)
    at_split = lower.index("split") if "split" in lower else None
    rest = [name for i, name in enumerate(lower) if i not in (at_smiles, at_split)]
    usual = LABEL_COLUMNS if any(name in lower for name in LABEL_COLUMNS) or len(rest) != 1 else tuple(rest)
    at_label = _column(lower, header, label_column, usual, "label_column", where)
    for line, cells in lines:
        if not any(cells):
            continue
        if len(cells) <= max(at_smiles, at_label):
            raise ValueError(f"{where}: row {line} has {len(cells)} cells, expected {len(header)}")
        active = _label(cells[at_label], active_at, f"{where}: row {line}")
        split = cells[at_split].lower() if at_split is not None and at_split < len(cells) else ""
        yield Measured(line, cells[at_smiles], active, {"val": "valid", "validation": "valid"}.get(split, split))


def _table(path: Path, where: str) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Return the header and the rows below it, numbered as in the file, cells stripped."""
    kind = kind_of(path)
    if kind == ".parquet":
        import pyarrow
        import pyarrow.parquet

        try:
            table = pyarrow.parquet.read_table(path)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise ValueError(f"{where}: damaged, or not a Parquet file ({error})") from error
        found = (["" if v is None else str(v).strip() for v in row.values()] for row in table.to_pylist())
        return table.column_names, enumerate(found, 1)
    if kind not in (".csv", ".tsv", ".txt"):
        raise ValueError(
            f"{where}: expected a file that ends in .csv, .tsv, .txt (or .gz) or .parquet, got {path.name!r}"
        )
    lines = _delimited(path, where, "\t" if kind == ".tsv" else ",")
    header = next(lines, None)
    if header is None:
        raise ValueError(f"{where}: expected a header and rows, got an empty file")
    return header[1], ((line, [cell.strip() for cell in row]) for line, row in lines)


def _delimited(path: Path, where: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(text_lines(path), delimiter=separator)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{where}: line {reader.line_num} is not a row of such a file ({error})") from None


def _column(
    lower: list[str], header: Sequence[str], wanted: str | None, usual: Sequence[str], setting: str, where: str
) -> int:
    for name in usual if wanted is None else (wanted.lower(),):
        if name in lower:
            return lower.index(name)
    asked = f"a column named like one of {list(usual)}" if wanted is None else f"a column {wanted!r}"
    raise ValueError(f"{where}: expected {asked}, got the columns {list(header)}: name it with {setting}=...")


def _label(cell: str, active_at: float | None, where: str) -> int:
    if active_at is None:
        if cell.lower() not in WORDS:
            raise ValueError(
                f"{where}: expected a label 0 or 1, true or false, active or inactive, got {cell!r}: for measured numbers "
                "say from which value on a molecule is active with active_at=..."
            )
        return WORDS[cell.lower()]
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: expected a number in the label column, got {cell!r}")
    return int(value >= active_at)
