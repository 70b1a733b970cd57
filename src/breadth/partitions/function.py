"""The partition function: groups of answers in; classes, distances, probabilities and diversity out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from breadth.partitions.asking import Asker, Cost, Screen
from breadth.partitions.calibration import Calibration
from breadth.partitions.clustering import CLUSTERINGS
from breadth.partitions.protocol import Answers, BlockBackend, PairBackend
from breadth.partitions.store import Store

SOFT = "soft"


class Partition:
    """Tells the answers of a group apart. Made by :func:`breadth.partition`.

    ``backend``, ``threshold`` and ``clustering`` are what it was made of; ``cost`` counts the pairs that a judge was
    asked about (None for backends that score whole groups).
    """

    def __init__(
        self, backend: BlockBackend | PairBackend, *, threshold: float | None = None, clustering: str = "greedy",
        calibration: Calibration | None = None, screen: Screen | None = None, cache_size: int = 1_000_000,
        store: Store | None = None,
    ) -> None:  # fmt: skip
        known = (*CLUSTERINGS, SOFT)
        if clustering not in known:
            raise ValueError(
                f"clustering: unknown {clustering!r}{nearest_name(clustering, known)}; known: {', '.join(known)}"
            )
        if not isinstance(backend, BlockBackend | PairBackend):
            raise TypeError(
                f"backend: expected a name, or an object with blocks or score_pairs, got {type(backend).__name__}"
            )
        self.threshold = backend.threshold if threshold is None else float(threshold)
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold: expected a number in [0, 1), got {threshold}")
        self.backend, self.clustering, self.calibration = backend, clustering, calibration
        self._asker: Asker | None = None
        if not isinstance(backend, BlockBackend):
            self._asker = Asker(backend, threshold=self.threshold, screen=screen, cache_size=cache_size, store=store)
        elif store is not None:
            raise ValueError(f"disk_cache: {backend.name} scores whole groups and keeps no verdicts")
        elif screen is not None:
            raise ValueError(f"screen: {backend.name} scores whole groups at once, there is nothing to screen")

    @property
    def cost(self) -> Cost | None:
        """What the judge of pairs was spared and asked; None for backends that score whole groups."""
        return self._asker.cost if self._asker is not None else None

    def __call__(
        self,
        texts: Sequence[str],
        *,
        group: Sequence[int] | np.ndarray | None = None,
        prompts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Return the class of each answer inside its group.

        Parameters
        ----------
        texts : (N,) sequence of str
            Empty texts are answers like any other.
        group : (N,) ints, optional
            Which prompt each answers: any labels, any order, groups of any size. One group where absent.
        prompts : (N,) sequence of str, optional
            Equal inside a group. Used by the backends that can.

        Returns
        -------
        (N,) int64
            0, 1, … inside each group, in the order of first appearance; texts equal up to outer white space share one.

        Raises
        ------
        ValueError
            Clustering ``soft``, unequal lengths, or two prompts in a group. TypeError where a text is not a str.
            What the backend raises; what it had answered by then is kept.
        """
        if self.clustering == SOFT:
            raise ValueError(
                "clustering='soft' makes no classes: use .distance(...) or .diversity(...), or another clustering"
            )
        parts = self._split(texts, group, prompts)
        answers = [answers for answers, _, _ in parts]
        if self._asker is not None and self.clustering == "greedy":
            found = self._asker.greedy(answers)
        else:
            cluster = CLUSTERINGS[self.clustering]
            found = [cluster(block, self.threshold) for block in self._scores(answers)]
        kinds = np.empty(len(texts), dtype=np.int64)
        for (_, rows, inverse), classes in zip(parts, found, strict=True):
            kinds[rows] = classes[inverse]
        return kinds

    def distance(
        self,
        texts: Sequence[str],
        *,
        group: Sequence[int] | np.ndarray | None = None,
        prompts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Return the probability that two answers differ, (N, N) float64; NaN outside a group, 0 on the diagonal.

        1 − the backend's score, after the calibration if there is one. Arguments and errors as :meth:`__call__`.
        """
        parts = self._split(texts, group, prompts)
        distance = np.full((len(texts), len(texts)), np.nan)
        blocks = self._scores([answers for answers, _, _ in parts])
        for (_, rows, inverse), block in zip(parts, blocks, strict=True):
            different = 1 - self._calibrated(block)
            distance[np.ix_(rows, rows)] = different[np.ix_(inverse, inverse)]
        return distance

    def probability(self, *, a: str, b: str, prompt: str = "") -> float:
        """Return the probability that two answers to a prompt are equivalent; the same for (a, b) and (b, a).

        The backend's score, after the calibration if there is one; a word overlap without one is a score and no
        probability. 1 for texts equal up to outer white space, unless the backend has no key for them.
        """
        return float(1 - self.distance([a, b], prompts=[prompt, prompt])[0, 1])

    def pair_scores(
        self, a: Sequence[str], b: Sequence[str], *, prompts: Sequence[str] | None = None, calibrated: bool = True
    ) -> np.ndarray:
        """Return the probability that a[m] and b[m] are equivalent, (M,) float64; all pairs in one go.

        With ``calibrated=False`` the backend's own score. Arguments and errors as :meth:`__call__`.
        """
        if len(a) != len(b):
            raise ValueError(f"a and b: expected equal lengths, got {len(a)} and {len(b)}")
        texts = [text for pair in zip(a, b, strict=True) for text in pair]
        asked = None if prompts is None else [prompt for prompt in prompts for _ in range(2)]
        parts = self._split(texts, np.arange(len(texts)) // 2, asked)
        blocks = self._scores([answers for answers, _, _ in parts])
        found = np.empty(len(a))
        for m, ((_, _, inverse), block) in enumerate(zip(parts, blocks, strict=True)):
            found[m] = (self._calibrated(block) if calibrated else block)[inverse[0], inverse[1]]
        return found

    def group_scores(self, texts: Sequence[Sequence[str]], *, prompts: Sequence[str] | None = None) -> list[np.ndarray]:
        """Return the backend's own scores of all pairs of each group, P blocks of (n, n) float64, 1 on the diagonal.

        ``texts`` (P,) groups of answers, ``prompts`` (P,) one for each group. Errors as :meth:`__call__`.
        """
        if prompts is not None and len(prompts) != len(texts):
            raise ValueError(f"prompts: expected {len(texts)}, one for each group, got {len(prompts)}")
        flat = [text for group in texts for text in group]
        sizes = [len(group) for group in texts]
        asked = None if prompts is None else [p for p, n in zip(prompts, sizes, strict=True) for _ in range(n)]
        parts = self._split(flat, np.repeat(np.arange(len(sizes)), sizes), asked)
        blocks = iter(zip(parts, self._scores([answers for answers, _, _ in parts]), strict=True))
        found = []
        for n in sizes:
            if not n:
                found.append(np.empty((0, 0)))
                continue
            (_, _, inverse), block = next(blocks)
            found.append(block[np.ix_(inverse, inverse)])
        return found

    def diversity(
        self,
        texts: Sequence[str],
        *,
        group: Sequence[int] | np.ndarray | None = None,
        prompts: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Return how unlike the others of its group each answer is, (N,) float64 in [0, 1].

        With a clustering the share of the others in other classes; with ``soft`` the mean probability of being
        different. NaN in a group of one. Arguments and errors as :meth:`__call__`.
        """
        parts = self._split(texts, group, prompts)
        value = np.full(len(texts), np.nan)
        if self.clustering == SOFT:
            for (_, rows, inverse), block in zip(
                parts, self._scores([answers for answers, _, _ in parts]), strict=True
            ):
                if len(rows) > 1:  # the diagonal is 0
                    value[rows] = (1 - self._calibrated(block))[np.ix_(inverse, inverse)].sum(axis=1) / (len(rows) - 1)
            return value
        return class_diversity(self(texts, group=group, prompts=prompts), group)

    def _scores(self, answers: Sequence[Answers]) -> list[np.ndarray]:
        if self._asker is not None:
            return self._asker.blocks(answers)
        assert isinstance(self.backend, BlockBackend)
        return self.backend.blocks(answers)

    def _calibrated(self, block: np.ndarray) -> np.ndarray:
        if self.calibration is None:
            return block
        block = self.calibration(block)
        np.fill_diagonal(block, 1.0)
        return block

    def _split(
        self, texts: Sequence[str], group: Sequence[int] | np.ndarray | None, prompts: Sequence[str] | None
    ) -> list[tuple[Answers, np.ndarray, np.ndarray]]:
        """Return for each group: its distinct answers, the rows that it fills, and which answer each row holds."""
        if isinstance(texts, str):
            raise TypeError("texts: expected a sequence of texts, got one text")
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"texts[{i}]: expected a str, got {type(text).__name__}")
        label = np.zeros(len(texts), dtype=np.int64) if group is None else np.asarray(group)
        if label.shape != (len(texts),):
            raise ValueError(f"group: expected {len(texts)} labels, one for each text, got shape {label.shape}")
        if prompts is not None and len(prompts) != len(texts):
            raise ValueError(f"prompts: expected {len(texts)}, one for each text, got {len(prompts)}")
        merge = getattr(self.backend, "merges_identical", True)
        members: dict[Any, list[int]] = {}
        for row, name in enumerate(label.tolist()):
            members.setdefault(name, []).append(row)
        parts = []
        for name, rows in members.items():
            asked = {prompts[row] for row in rows} if prompts is not None else {""}
            if len(asked) > 1:
                raise ValueError(f"prompts: expected one prompt in a group, got {len(asked)} in group {name}")
            number: dict[Any, int] = {}
            inverse = [number.setdefault(texts[row].strip() if merge else row, len(number)) for row in rows]
            distinct = tuple(number) if merge else tuple(texts[row] for row in rows)
            parts.append((Answers(asked.pop(), distinct), np.array(rows), np.array(inverse)))
        return parts


def class_diversity(kinds: np.ndarray, group: Sequence[Any] | np.ndarray | None = None) -> np.ndarray:
    """Return the share of the others of its group that are in other classes, (N,) float64; NaN in a group of one.

    Source: DARLING (Li et al. 2025, arXiv 2509.02534), figure 2. Departures: no floor.

    Examples
    --------
    >>> class_diversity(np.array([0, 0, 1, 2])).round(3).tolist()
    [0.667, 0.667, 1.0, 1.0]
    """
    kinds = np.asarray(kinds)
    label = (
        np.zeros(len(kinds), dtype=np.int64) if group is None else np.unique(np.asarray(group), return_inverse=True)[1]
    )
    size = np.bincount(label)[label] if len(kinds) else np.empty(0, dtype=np.int64)
    classes = np.unique(np.stack([label, kinds]), axis=1, return_inverse=True)[1].reshape(-1)
    same = np.bincount(classes)[classes] if len(kinds) else size
    return np.divide(size - same, size - 1, out=np.full(len(kinds), np.nan), where=size > 1)


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean …?" for the known name that is nearest, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
