"""Vectors of texts, each encoded once: windows of long texts, batches of like lengths, kept in memory and on disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from breadth.partitions.encoder import Encode, load_encoder, weights_hash
from breadth.partitions.store import Store


class VectorCache:
    """The vectors of an encoder, of length 1 (or 0), with a memory.

    Parameters
    ----------
    encoder : str or callable
        Name or path, loaded when first used (see :func:`load_encoder`); or a function from M texts to (M, d) floats.
    words_per_window : int
        A longer text is the mean of its windows, since encoders cut what is beyond their limit.
    batch_size : int
        Windows per call.
    cache_size : int
        Vectors kept, the longest unused forgotten first.
    device : str, optional
        For torch.

    Raises
    ------
    ValueError
        A size below 1; an encoder that returns the wrong number of vectors or numbers that are not finite.

    Source: none. Departures: none.

    Examples
    --------
    >>> cache = VectorCache(lambda texts: np.array([[len(text), 0.0] for text in texts]))
    >>> cache.of(["ab", "c", "ab"])["ab"].tolist(), cache.n_encoded
    ([1.0, 0.0], 2)
    """

    def __init__(
        self, encoder: str | Encode, *, words_per_window: int = 180, batch_size: int = 64, cache_size: int = 100_000,
        device: str | None = None,
    ) -> None:  # fmt: skip
        if words_per_window < 1 or batch_size < 1:
            raise ValueError(
                f"words_per_window and batch_size: expected 1 or more, got {words_per_window} and {batch_size}"
            )
        self.name = encoder if isinstance(encoder, str) else None
        self._encode: Encode | None = None if isinstance(encoder, str) else encoder
        self.words_per_window, self.batch_size, self.cache_size = words_per_window, batch_size, cache_size
        self.device = device
        self.n_encoded = 0  # windows, since the start
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._store: Store | None = None
        self._fingerprint: str | None = None

    @property
    def fingerprint(self) -> str | None:
        """What tells its vectors from those of another encoder: the hash of the weights, or the name; None of a function."""
        if self._fingerprint is None and self.name is not None:
            known = weights_hash(self.name) if Path(self.name).is_dir() else self.name
            self._fingerprint = f"{known}, words_per_window={self.words_per_window}"
        return self._fingerprint

    def keep_on_disk(self, store: Store | None) -> None:
        """Keep vectors in ``store`` as well (float32), and look for them there.

        Raises
        ------
        ValueError
            The encoder is a function: its vectors could not be told from another's.
        """
        if store is not None and self.fingerprint is None:
            raise ValueError("disk_cache: vectors of a function could not be told from another's; name a model instead")
        self._store = store

    def of(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vector of every distinct text, (d,) float64."""
        names = {
            text: hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
        }
        found = {text: self._kept[name] for text, name in names.items() if name in self._kept}
        if self._store is not None:
            found |= self._from_disk({text: name for text, name in names.items() if text not in found})
        missing = [text for text in names if text not in found]
        windows, owner = [], []
        for i, text in enumerate(missing):
            words = text.split()
            pieces = [text]
            if len(words) > self.words_per_window:
                starts = range(0, len(words), self.words_per_window)
                pieces = [" ".join(words[at : at + self.words_per_window]) for at in starts]
            windows += pieces
            owner += [i] * len(pieces)
        if windows:
            rows = _unit(self._encoded(windows))
            total = np.zeros((len(missing), rows.shape[1]))
            np.add.at(total, np.array(owner), rows)
            for text, row in zip(missing, _unit(total), strict=True):
                found[text] = self._kept[names[text]] = row
            if self._store is not None:
                self._store.put({self._disk_name(names[t]): found[t].astype("<f4").tobytes() for t in missing})
        for name in names.values():
            if name in self._kept:
                self._kept.move_to_end(name)
        while len(self._kept) > self.cache_size:
            self._kept.popitem(last=False)
        return found

    def _encoded(self, windows: list[str]) -> np.ndarray:
        if self._encode is None:
            self._encode = load_encoder(str(self.name), device=self.device)
        order = sorted(range(len(windows)), key=lambda i: len(windows[i]))  # equal lengths together: little padding
        rows: dict[int, np.ndarray] = {}
        for at in range(0, len(order), self.batch_size):
            chosen = order[at : at + self.batch_size]
            made = np.asarray(self._encode([windows[i] for i in chosen]), dtype=float)
            if made.ndim != 2 or len(made) != len(chosen) or not np.isfinite(made).all():
                raise ValueError(f"encode: expected ({len(chosen)}, d) finite numbers, got shape {made.shape}")
            self.n_encoded += len(chosen)
            for i, row in zip(chosen, made, strict=True):
                rows[i] = row
        return np.stack([rows[i] for i in range(len(windows))])

    def _from_disk(self, names: dict[str, bytes]) -> dict[str, np.ndarray]:
        assert self._store is not None
        wanted = {self._disk_name(name): text for text, name in names.items()}
        found = {}
        for key, value in self._store.get(list(wanted)).items():
            row = _unit(np.frombuffer(value, dtype="<f4").astype(float)[None])[0]
            found[wanted[key]] = self._kept[names[wanted[key]]] = row
        return found

    def _disk_name(self, name: bytes) -> bytes:
        return hashlib.blake2b(name + str(self.fingerprint).encode(), digest_size=16).digest()


def without_direction(table: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return rows of length 1 after a direction of length 1 is taken out of them, (n, d); 0 where nothing else was there.

    Examples
    --------
    >>> without_direction(np.array([[0.6, 0.8], [1.0, 0.0]]), np.array([1.0, 0.0])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    rest = table - np.outer(table @ direction, direction)
    length = np.linalg.norm(rest, axis=1, keepdims=True)
    return np.divide(rest, length, out=np.zeros_like(rest), where=length > 1e-9)


def _unit(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)
