"""Ask a judge of pairs as little as possible: screen, cache, one question for equal pairs, representatives only."""

from __future__ import annotations

import hashlib
import struct
from collections import OrderedDict
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from breadth.partitions.protocol import Answers, BlockBackend, Pair, PairBackend
from breadth.partitions.store import Store


@dataclass
class Cost:
    """Pairs since the start: ``n_wanted`` that a clustering looked at, and how many of them were settled how."""

    n_wanted: int = 0
    n_screened: int = 0  # by the cheap backend
    n_cached: int = 0  # known from before, in memory or on disk
    n_asked: int = 0  # by the judge


@dataclass(frozen=True)
class Screen:
    """A cheap backend that settles the clear pairs: different at or below ``low``, the same at or above ``high``.

    With ``nearest`` the greedy clustering asks about that many of the most similar representatives at most, and takes an
    answer that is none of them for a new class: it can split a class and never join two.
    """

    backend: BlockBackend
    low: float
    high: float
    nearest: int | None = None


class Asker:
    """A judge of pairs with a memory of what it said.

    Parameters
    ----------
    judge : PairBackend
    threshold : float
        Above it a pair is the same; screened pairs are given scores on the right side of it.
    screen : Screen, optional
    cache_size : int
        Verdicts kept from step to step, the longest unused forgotten first; some 200 bytes each.
    store : Store, optional
        Where they are kept on disk as well, under the judge's ``fingerprint``.

    Raises
    ------
    ValueError
        Screen bounds that are not 0 ≤ low < high, a negative cache size; a judge that says something outside [0, 1] or
        leaves a pair out.
    """

    def __init__(
        self, judge: PairBackend, *, threshold: float, screen: Screen | None, cache_size: int, store: Store | None = None
    ) -> None:  # fmt: skip
        if screen is not None and not 0 <= screen.low < screen.high:
            raise ValueError(f"screen: expected 0 <= low < high, got low {screen.low} and high {screen.high}")
        if screen is not None and screen.nearest is not None and screen.nearest < 1:
            raise ValueError(f"screen: expected nearest to be 1 or more, got {screen.nearest}")
        if cache_size < 0:
            raise ValueError(f"cache_size: expected 0 or more, got {cache_size}")
        self.judge, self.threshold, self.screen, self.cache_size = judge, threshold, screen, cache_size
        self.store = store
        self.cost = Cost()
        self._kept: OrderedDict[bytes, float] = OrderedDict()

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the scores of all pairs, (n, n) float64; all groups in one call of the judge."""
        settled = self._settled(groups)
        where = [
            (g, i, j) for g, block in enumerate(settled) for i, j in np.argwhere(np.triu(np.isnan(block), 1)).tolist()
        ]
        scores = self.scores([_pair(groups[g], i, j) for g, i, j in where])
        for (g, i, j), score in zip(where, scores, strict=True):
            settled[g][i, j] = settled[g][j, i] = score
        n_pairs = sum(len(group.texts) * (len(group.texts) - 1) // 2 for group in groups)
        self.cost.n_wanted += n_pairs
        self.cost.n_screened += n_pairs - len(where)
        return settled

    def greedy(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the classes of the greedy clustering, asking about representatives only.

        All groups advance together, so the judge gets batches of the number of groups. With a screen the most similar
        representative is asked about first; without one they are asked about in order of founding.
        """
        settled = self._settled(groups)
        order = self.screen.backend.blocks(groups) if self.screen is not None else [None] * len(groups)
        walks = [self._walk(block, near) for block, near in zip(settled, order, strict=True)]
        kinds: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * len(groups)
        answer: dict[int, float | None] = dict.fromkeys(range(len(groups)))
        while answer:
            asked: list[tuple[int, int, int]] = []
            for g, score in answer.items():
                try:
                    asked.append((g, *walks[g].send(score)))
                except StopIteration as stop:
                    kinds[g] = stop.value
            self.cost.n_wanted += len(asked)
            scores = self.scores([_pair(groups[g], i, j) for g, i, j in asked])
            answer = {g: score for (g, _, _), score in zip(asked, scores, strict=True)}
        return kinds

    def _walk(
        self, settled: np.ndarray, near: np.ndarray | None
    ) -> Generator[tuple[int, int], float | None, np.ndarray]:
        """Yield the pairs that have to be asked about, take their scores, return the classes (n,)."""
        first: list[int] = []
        most = self.screen.nearest if self.screen is not None else None
        kinds = np.empty(len(settled), dtype=np.int64)
        for i in range(len(settled)):
            classes = list(range(len(first)))
            if near is not None:
                classes.sort(key=lambda k: (-near[i, first[k]], k))
            kinds[i] = len(first)
            n_asked = 0
            for k in classes:
                score = settled[i, first[k]]
                if np.isnan(score) and n_asked != most:
                    n_asked += 1
                    score = yield i, first[k]
                else:
                    self.cost.n_wanted += 1
                    self.cost.n_screened += 1
                if score is not None and score > self.threshold:
                    kinds[i] = k
                    break
            if kinds[i] == len(first):
                first.append(i)
        return kinds

    def _settled(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group (n, n): 1 on the diagonal, the screen's score where it is clear, NaN where to ask."""
        found = []
        cheap = self.screen.backend.blocks(groups) if self.screen is not None else [None] * len(groups)
        for group, scores in zip(groups, cheap, strict=True):
            block = np.full((len(group.texts), len(group.texts)), np.nan)
            if self.screen is not None and scores is not None:
                different, same = scores <= self.screen.low, scores >= self.screen.high
                block[different] = np.minimum(scores[different], self.threshold)
                block[same] = np.maximum(scores[same], (1 + self.threshold) / 2)
            np.fill_diagonal(block, 1.0)
            found.append(block)
        return found

    def scores(self, pairs: Sequence[Pair]) -> list[float]:
        """Return the judge's scores (M,), from the cache where they are known; equal pairs are asked about once."""
        names = [_name(pair) for pair in pairs]
        known = {name: self._kept[name] for name in names if name in self._kept}
        if self.store is not None:
            known |= self._from_disk([name for name in dict.fromkeys(names) if name not in known])
        fresh: dict[bytes, Pair] = {}
        for name, pair in zip(names, pairs, strict=True):
            if name in known:
                self.cost.n_cached += 1
                self._kept.move_to_end(name)
            elif name in fresh:
                self.cost.n_cached += 1
            else:
                fresh[name] = pair
        order = list(fresh)
        said: dict[bytes, float] = {}
        try:
            for position, score in self.judge.score_pairs(list(fresh.values())) if fresh else ():
                if not 0 <= score <= 1:
                    raise ValueError(f"{self.judge.name}: expected probabilities in [0, 1], got {score}")
                said[order[position]] = self._kept[order[position]] = float(score)
                self.cost.n_asked += 1
        finally:  # what was said before an exception is kept
            if self.store is not None:
                self.store.put({self._disk_name(name): struct.pack("<d", score) for name, score in said.items()})
        known |= said
        while len(self._kept) > self.cache_size:
            self._kept.popitem(last=False)
        missing = sum(name not in known for name in order)
        if missing:
            raise ValueError(f"{self.judge.name}: expected {len(order)} scores, got {len(order) - missing}")
        return [known[name] for name in names]

    def _from_disk(self, names: Sequence[bytes]) -> dict[bytes, float]:
        assert self.store is not None
        wanted = {self._disk_name(name): name for name in names}
        found = {wanted[key]: struct.unpack("<d", value)[0] for key, value in self.store.get(list(wanted)).items()}
        self._kept.update(found)
        return found

    def _disk_name(self, name: bytes) -> bytes:
        return hashlib.blake2b(name + self.judge.fingerprint.encode(), digest_size=16).digest()  # type: ignore[attr-defined]


def _pair(group: Answers, i: int, j: int) -> Pair:
    """Return the pair in an order that depends on its content only, so that its place in the group cannot matter."""
    a, b = sorted((group.texts[i], group.texts[j]))
    return Pair(group.prompt, a, b)


def _name(pair: Pair) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in (pair.prompt, pair.a, pair.b):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()
