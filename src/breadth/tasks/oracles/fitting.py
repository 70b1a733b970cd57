"""From an activity table to an oracle: public tables by name, the fit with its held-out figures, and where it is kept."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from breadth.cache import cache_folder
from breadth.tasks.corpus_store import file_sha256
from breadth.tasks.oracles.activity import ActivityTable, read_activity
from breadth.tasks.oracles.forest import Forest, ecfp4, fit_forest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublicTable:
    """A table on the web, at a commit that pins its bytes.

    Its size and rows are checked after every download, and what was read of it before a forest is fitted: ``content`` is
    :func:`content_sha256` of its distinct molecules (with RDKit ``rdkit``).
    """

    url: str
    n_bytes: int
    n_rows: int
    n_active: int
    source: str
    content: str = ""  # "": not known
    rdkit: str = "2026.09.1"


_HITS = "https://raw.githubusercontent.com/ml-jku/diverse-hits/3fc033e16339e196e0c6688a6e388cff03aa34ca/data/scoring_functions"
_ORIGIN = "ExCAPE-DB, Li et al. 2018, as in Jin et al. 2020, arXiv 2002.03244; split of Renz et al. 2024"

#: Tables that ``breadth oracle fit NAME`` fetches when none is given.
PUBLIC_TABLES = {
    "jnk3": PublicTable(
        f"{_HITS}/jnk3/splits.csv", 2_490_828, 50_390, 923, f"{_ORIGIN}; target JNK3",
        content="d58529b8546ac03ddafc400c38ec9ae5d117dd54bfbaa8f1aa1d45f5bd7415e0",
    ),  # fmt: skip
    "gsk3b": PublicTable(
        f"{_HITS}/gsk3/splits.csv", 2_701_608, 52_802, 3_330, f"{_ORIGIN}; target GSK3β",
        content="0a7c7f0baa95c9183df6974c66e0018493b9c76fd7c61536f2bcf4a0432f3ed1",
    ),  # fmt: skip
}


@dataclass(frozen=True)
class Fitted:
    """A forest on all rows of a table, and how a forest on its training part did on the held-out part."""

    forest: Forest
    table: ActivityTable
    figures: dict[str, float]


def oracle_place(name: str) -> Path:
    """Return where ``breadth oracle fit NAME`` keeps a forest, and ``oracle = NAME`` finds it."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]{0,63}", name):
        raise ValueError(f"oracle: expected a name of letters, digits, '_', '-' and '.', got {name!r}")
    return cache_folder() / "oracles" / f"{name.lower()}.npz"


def fetch_table(url: str, *, sha256: str | None = None) -> Path:
    """Return the file behind a URL, downloaded once into the cache folder.

    Parameters
    ----------
    sha256 : str, optional
        What its bytes must hash to.

    Raises
    ------
    ImportError
        pooch is absent.
    ValueError
        It cannot be fetched, or has another hash; the message says how to go on without a network.
    """
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f'fetching {url} needs pooch, which is not installed:\npip install "breadth[oracles]"\nor give a file that you '
            "have as the table"
        ) from error
    pooch.get_logger().setLevel("WARNING")
    known = None if sha256 is None else f"sha256:{sha256}"
    try:
        return Path(pooch.retrieve(url, known_hash=known, path=cache_folder() / "tables", progressbar=False))
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; another hash is a ValueError
        raise ValueError(
            f"table {url}: could not be fetched ({error}). Without a network, copy the file here by other means and give "
            "its path as the table"
        ) from error


def content_sha256(packed: np.ndarray, active: np.ndarray) -> str:
    """Return the SHA-256 of what a forest learns from: packed fingerprints (n, 256) uint8 and labels (n,), in an order of their own.

    Equal for every file that holds the same molecules with the same labels, however its rows are written and ordered.
    """
    rows = np.concatenate([packed, np.asarray(active, dtype=np.uint8)[:, None]], axis=1)  # (n, 257)
    return hashlib.sha256(b"".join(sorted(row.tobytes() for row in rows))).hexdigest()


def check_content(found: str, name: str) -> None:
    """Raise ValueError where what was read of a public table is not what is known of it; with another RDKit, warn.

    Fingerprints hardly ever change between releases of RDKit, and the parsing of a few odd molecules may.
    """
    from rdkit import rdBase

    known = PUBLIC_TABLES.get(name.lower())
    if known is None or not known.content or found == known.content:
        return
    words = f"table {known.url}: expected content {known.content[:16]}… (fingerprints and labels), got {found[:16]}…"
    if rdBase.rdkitVersion != known.rdkit:
        log.warning("%s: made with RDKit %s, read with %s", words, known.rdkit, rdBase.rdkitVersion)
        return
    raise ValueError(f"{words}: it is another table; give it with --table FILE if you mean it")


def public_table(name: str) -> Path:
    """Return the file of a public table, fetched and checked: its size and its rows must be those that are known."""
    known = PUBLIC_TABLES[name]
    path = fetch_table(known.url)
    size = path.stat().st_size
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if size == known.n_bytes else []
    n_active = sum(line.split(",")[1] == "1" for line in lines)
    if (size, len(lines), n_active) != (known.n_bytes, known.n_rows, known.n_active):
        path.unlink()
        raise ValueError(
            f"table {known.url}: expected {known.n_bytes:,} bytes with {known.n_rows:,} rows, {known.n_active:,} of them "
            f"active, got {size:,} bytes, {len(lines):,} rows, {n_active:,} active: the download was no whole copy (a "
            "proxy's page?) and is deleted; try again, or give the path of a file as the table"
        )
    return path


def is_builtin(table: str | os.PathLike | None) -> bool:
    """Return whether a table is named as the public one of its oracle."""
    return table is None or str(table) == "builtin"


def find_table(table: str | os.PathLike | None, name: str, *, sha256: str | None = None) -> Path:
    """Return the file of a table given as path, URL, ``"builtin"`` or None (the public table of that name).

    Raises
    ------
    FileNotFoundError, ValueError, ImportError
        No such file or public table; a hash that differs; see :func:`fetch_table`.
    """
    text = None if table is None else str(table)
    if text is None or is_builtin(text):
        if name.lower() not in PUBLIC_TABLES:
            raise ValueError(
                f"oracle {name!r}: no public table is known by that name (there are {sorted(PUBLIC_TABLES)}): give "
                "one with --table FILE"
            )
        path = public_table(name.lower())
    elif re.match(r"https?://", text):
        return fetch_table(text, sha256=sha256)
    else:
        path = Path(text).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"table {text!r}: no such file")
    if sha256 is not None and file_sha256(path) != sha256:
        raise ValueError(f"table {path}: expected SHA-256 {sha256}, got {file_sha256(path)}: it is another file")
    return path


def fit_table(
    table: ActivityTable,
    *,
    name: str = "",
    n_trees: int = 100,
    seed: int = 0,
    n_jobs: int = 1,
    public: bool = False,
    on_phase: Callable[[str], None] = lambda text: None,
) -> Fitted:
    """Return the oracle of a table: fitted to its training part and judged on its test part, then fitted to all of it.

    ``public``: the table is the public one of that name, and must have the content that is known of it.

    The figures are those of the first forest: ``auroc`` and ``average_precision`` on the held-out molecules, and the mean score
    of its actives and inactives. The forest that comes back is the second, as published oracles use all rows.

    Raises
    ------
    ImportError
        scikit-learn is absent.
    ValueError
        A public table with another content than is known.
    """
    on_phase(f"fingerprints of {len(table.smiles):,} molecules")
    packed = ecfp4(table.smiles)
    content = content_sha256(packed, table.active)
    if public:
        check_content(content, name)
    settings = {"n_trees": n_trees, "seed": seed, "n_jobs": n_jobs}
    on_phase("forest on the training part")
    judged = fit_forest(packed[~table.test], table.active[~table.test], **settings)
    from sklearn import __version__ as sklearn_version
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, score = table.active[table.test], judged.predict(packed[table.test])
    figures = {
        "auroc": float(roc_auc_score(truth, score)),
        "average_precision": float(average_precision_score(truth, score)),
        "mean_score_active": float(score[truth == 1].mean()),
        "mean_score_inactive": float(score[truth == 0].mean()),
    }
    on_phase("forest on all molecules")
    about: dict[str, Any] = {
        "name": name,
        "table_sha256": table.sha256,
        "content_sha256": content,
        "n_molecules": len(table.smiles),
        "n_active": int(table.active.sum()),
        "n_test": int(table.test.sum()),
        "split_by": table.split_by,
        "figures": figures,
        "fingerprint": "ECFP4 (Morgan radius 2), 2048 binary bits",
        "n_trees": n_trees,
        "seed": seed,
        "scikit_learn": sklearn_version,
    }
    return Fitted(fit_forest(packed, table.active, **settings, about=about), table, figures)


def forest_of_table(table: str | os.PathLike, *, name: str = "") -> Forest:
    """Return the forest of an activity table, fitted once and kept in the cache folder under the hash of the file.

    Raises
    ------
    ImportError
        It is not in the cache yet and scikit-learn is absent.
    FileNotFoundError, ValueError
        See :func:`breadth.tasks.oracles.activity.read_activity`.
    """
    path = find_table(table, name)
    place = cache_folder() / "oracles" / "tables" / f"{file_sha256(path)[:20]}-100-0.npz"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        if not place.is_file():
            fit_table(read_activity(path), name=name, public=is_builtin(table)).forest.save(place)
    return Forest.load(place)
