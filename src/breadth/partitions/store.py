"""What a judge or an encoder said before, on disk: bounded, shared by processes, found again by content."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from breadth.cache import cache_folder

_AT_ONCE = 500  # names in a query; SQLite takes 999 variables everywhere
_PATIENCE = 30.0  # seconds to wait for another process that writes
DISK_SIZE = 2_000_000  # verdicts of 24 bytes: some 120 MB with the index


class Store:
    """Values by name in one SQLite file; the longest unused are forgotten first.

    Parameters
    ----------
    path : Path
        Made with its folders where absent.
    size : int
        Values kept, at most.

    Raises
    ------
    ValueError
        ``size`` below 1, or the file is no such store.

    Examples
    --------
    >>> import tempfile
    >>> store = Store(Path(tempfile.mkdtemp()) / "verdicts.sqlite", size=2)
    >>> store.put({b"a": b"1", b"b": b"2"}); store.put({b"c": b"3"})
    >>> sorted(store.get([b"a", b"b", b"c", b"d"]).values()), len(store)
    ([b'2', b'3'], 2)
    """

    def __init__(self, path: Path, *, size: int = DISK_SIZE) -> None:
        if size < 1:
            raise ValueError(f"disk cache: expected a size of 1 or more, got {size}")
        self.path, self.size = Path(path), size
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open: sqlite3.Connection | None = None
        try:
            with self._connection() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS kept (name BLOB PRIMARY KEY, value BLOB NOT NULL, used INTEGER NOT NULL)"
                )
                connection.execute("CREATE INDEX IF NOT EXISTS kept_used ON kept (used)")
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path}: not a cache of breadth ({error}); delete the file") from error

    def get(self, names: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return what is known of ``names``; what was asked for counts as used."""
        found: dict[bytes, bytes] = {}
        with self._connection() as connection:
            for at in range(0, len(names), _AT_ONCE):
                part = list(names[at : at + _AT_ONCE])
                marks = ",".join("?" * len(part))
                found.update(connection.execute(f"SELECT name, value FROM kept WHERE name IN ({marks})", part))
            if found:
                now = self._now(connection)
                connection.executemany("UPDATE kept SET used = ? WHERE name = ?", [(now, name) for name in found])
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Keep ``values``, and forget the longest unused beyond the bound."""
        if not values:
            return
        with self._connection() as connection:
            now = self._now(connection)
            connection.executemany(
                "INSERT OR REPLACE INTO kept (name, value, used) VALUES (?, ?, ?)",
                [(name, value, now) for name, value in values.items()],
            )
            excess = connection.execute("SELECT COUNT(*) FROM kept").fetchone()[0] - self.size
            if excess > 0:
                connection.execute(
                    "DELETE FROM kept WHERE name IN (SELECT name FROM kept ORDER BY used, rowid LIMIT ?)", (excess,)
                )

    def __len__(self) -> int:
        with self._connection() as connection:
            return int(connection.execute("SELECT COUNT(*) FROM kept").fetchone()[0])

    def close(self) -> None:
        """Close the file; it is opened again when it is used again."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:  # one thread at a time, but not always the same one
            self._open = sqlite3.connect(self.path, timeout=_PATIENCE, check_same_thread=False)
        return self._open

    def _now(self, connection: sqlite3.Connection) -> int:
        """Return a number above all that were given out: an order of use, no clock."""
        return int(connection.execute("SELECT COALESCE(MAX(used), 0) FROM kept").fetchone()[0]) + 1


def open_store(what: str, where: bool | str | Path, *, size: int = DISK_SIZE) -> Store | None:
    """Return the store of ``what`` in the user's cache folder (True) or in a folder; None for False.

    Examples
    --------
    >>> open_store("verdicts", False) is None
    True
    """
    if where is False:
        return None
    folder = cache_folder() / "partitions" if where is True else Path(where)
    return Store(folder / f"{what}.sqlite", size=size)
