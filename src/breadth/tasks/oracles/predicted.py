"""Predicted activity as an oracle: a forest from a file, from a table, or by the name it was fitted under."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from breadth.cache import cache_folder
from breadth.tasks.oracles.fitting import PUBLIC_TABLES, find_table, forest_of_table, oracle_place
from breadth.tasks.oracles.forest import Forest, ecfp4


class PredictedActivity:
    """The mean vote of a random forest on ECFP4 fingerprints, in [0, 1].

    Parameters
    ----------
    name : str
        ``jnk3``, ``gsk3b`` or one of your own.
    table : path or URL, optional
        An activity table. Without ``forest`` one is fitted to it when the first molecule is scored (half a minute), and kept in the cache
        folder. With ``forest`` it only says which molecules the forest knows.
    forest : path, optional
        A forest's ``.npz``. Without either: the forest that ``breadth oracle fit NAME`` made.

    Raises
    ------
    FileNotFoundError
        A file that is not there, or no forest of that name; the message says how to make one.
    ValueError
        A damaged forest.
    """

    def __init__(
        self, name: str, *, table: str | os.PathLike | None = None, forest: str | os.PathLike | None = None
    ) -> None:
        self.name, self.table = name, table
        place: Path | None = None
        if forest is not None:
            place = Path(forest)
        elif table is None:
            place = oracle_place(name)
            if not place.is_file():
                raise FileNotFoundError(_how_to_make(name))
        elif not str(table).startswith(("http://", "https://")):
            find_table(table, name)  # a path that is wrong is found now, not after the prior was trained
        if place is not None:
            self.__dict__["forest"] = Forest.load(place)
        made = "fitted to the table" if place is None else f"forest of SHA-256 {self.forest.sha256[:16]}"
        known = PUBLIC_TABLES.get(name.lower())
        self.source = f"{known.source if known else 'activity table of the user'}; {made}"

    @cached_property
    def forest(self) -> Forest:
        """The forest; fitted now where only a table was given and the cache has none."""
        return forest_of_table(self.table, name=self.name)

    def __call__(self, smiles: Sequence[str]) -> list[float]:
        """Return the score of each SMILES; ``ValueError`` where one cannot be parsed."""
        return self.forest.predict(ecfp4(list(smiles))).tolist()


def fitted_oracles() -> dict[str, Path]:
    """Return the forests that ``breadth oracle fit`` keeps in the cache folder, by name."""
    return {
        path.stem: path for path in sorted((cache_folder() / "oracles").glob("*.npz")) if not path.name.startswith(".")
    }


def _how_to_make(name: str) -> str:
    by_itself = (
        f"`breadth oracle fit {name}` fetches the public table and makes it, once; "
        if name.lower() in PUBLIC_TABLES
        else ""
    )
    return (
        f"oracle {name!r}: no forest is there yet. {by_itself}`breadth oracle fit {name} --table FILE` makes it from a table that you "
        'have; or name one: forest = "FILE.npz", or table = "FILE.csv"'
    )
