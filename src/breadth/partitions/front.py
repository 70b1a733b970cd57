"""The partition of answers: who says the same thing as whom, by any backend and any clustering."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from breadth.partitions.asking import Asker, Cost, Screen
from breadth.partitions.calibration import Calibration
from breadth.partitions.clustering import CLUSTERINGS
from breadth.partitions.protocol import Answers, BlockBackend, PairBackend

BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "canonical": ("breadth.partitions.keys:Canonical", {}),
    "rouge1": ("breadth.partitions.overlap:Overlap", {"measure": "rouge1"}),
    "rougeL": ("breadth.partitions.overlap:Overlap", {"measure": "rougeL"}),
    "jaccard": ("breadth.partitions.overlap:Overlap", {"measure": "jaccard"}),
    "tfidf": ("breadth.partitions.vectors:TfIdf", {}),
    "embedding": ("breadth.partitions.vectors:Embedding", {}),
    "classifier": ("breadth.partitions.classifier:Classifier", {}),
    "cross_encoder": ("breadth.partitions.cross_encoder:CrossEncoder", {}),
    "endpoint": ("breadth.partitions.endpoint:Endpoint", {}),
}
SOFT = "soft"


class Partition:
    """Tells the answers of a group apart. Made by :func:`breadth.partition`.

    ``backend``, ``threshold`` and ``clustering`` are what it was made of; ``cost`` counts the pairs that a judge was
    asked about (None for backends that score whole groups).
    """

    def __init__(
        self, backend: BlockBackend | PairBackend, *, threshold: float | None = None, clustering: str = "greedy",
        calibration: Calibration | None = None, screen: Screen | None = None, cache_size: int = 1_000_000,
    ) -> None:  # fmt: skip
        known = (*CLUSTERINGS, SOFT)
        if clustering not in known:
            raise ValueError(
                f"clustering: unknown {clustering!r}{_nearest(clustering, known)}; known: {', '.join(known)}"
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
            self._asker = Asker(backend, threshold=self.threshold, screen=screen, cache_size=cache_size)
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
        kinds = self(texts, group=group, prompts=prompts)
        for _, rows, _ in parts:
            if len(rows) > 1:
                value[rows] = (len(rows) - np.bincount(kinds[rows])[kinds[rows]]) / (len(rows) - 1)
        return value

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


def partition(
    backend: str | BlockBackend | PairBackend = "classifier",
    *,
    threshold: float | None = None,
    clustering: str = "greedy",
    calibration: Calibration | None = None,
    screen: str | BlockBackend | None = None,
    screen_low: float = 0.0,
    screen_high: float = 1.0,
    screen_nearest: int | None = 4,
    cache_size: int = 1_000_000,
    **settings: Any,
) -> Partition:
    """Return a partition function: who says the same thing as whom.

    Parameters
    ----------
    backend : str or backend
        ``canonical`` (key=), ``rouge1``, ``rougeL``, ``jaccard``, ``tfidf``, ``embedding`` (model= or encode=),
        ``classifier`` (the shipped one; model= for yours), ``cross_encoder`` (model=), ``endpoint`` (url=, model=), or an
        object with ``blocks`` or ``score_pairs``.
    threshold : float, optional
        In [0, 1): two answers are the same if their score is above it. The backend's own where absent.
    clustering : str
        ``greedy``, ``components``, ``average``, ``correlation``, or ``soft`` (no classes).
    calibration : Calibration, optional
        From score to probability, for ``distance``, ``probability`` and ``soft``; the threshold stays on the score.
    screen : str or backend, optional
        A cheap backend that settles the clear pairs before a cross-encoder or an endpoint is asked.
    screen_low, screen_high : float
        Different at or below, the same at or above. At 0 and 1 the screen settles only the pairs of short answers that its
        rule is sure of, and otherwise says whom to compare with first.
    screen_nearest : int, optional
        The greedy clustering asks about this many of the representatives that the screen finds most similar, at most;
        None = all of them. The other clusterings ask about every pair between the two bounds.
    cache_size : int
        Verdicts of a judge that are kept from step to step.
    **settings
        Of the backend.

    Returns
    -------
    Partition

    Raises
    ------
    ValueError
        An unknown backend or clustering, or a value that one of them refuses.
    TypeError
        An unknown setting; the message suggests the nearest.

    Source: DARLING (Li et al. 2025, arXiv 2509.02534) and NoveltyBench (Zhang et al. 2025, arXiv 2504.05228).
    Departures: the prompt is used, verdicts are kept, pairs are blind to order, and the clustering is a choice.

    Examples
    --------
    >>> same = partition("rouge1", threshold=0.4, clustering="greedy")
    >>> same(["the cat sat on the mat", "on the mat the cat sat", "dogs bark at night, loudly and long"]).tolist()
    [0, 0, 1]
    >>> same.probability(prompt="Pick a number", a="I picked 53", b="I picked 67")
    0.0
    """
    built = _build(backend, settings)
    screened = Screen(_build(screen, {}), screen_low, screen_high, screen_nearest) if screen is not None else None
    return Partition(
        built,
        threshold=threshold,
        clustering=clustering,
        calibration=calibration,
        screen=screened,
        cache_size=cache_size,
    )


def _build(backend: Any, settings: dict[str, Any]) -> Any:
    if not isinstance(backend, str):
        if settings:
            raise TypeError(
                f"partition: unknown setting {next(iter(settings))!r}; a backend that is handed over has none"
            )
        return backend
    outside = {point.name: point for point in entry_points(group="breadth.partitions")}
    twice = sorted(set(outside) & set(BACKENDS))
    if twice:
        raise ValueError(
            f"partition: two backends are called {twice[0]!r}: breadth's and {outside[twice[0]].value}; uninstall one"
        )
    if backend in outside:
        return outside[backend].load()(**settings)
    if backend not in BACKENDS:
        raise ValueError(
            f"partition: unknown backend {backend!r}{_nearest(backend, BACKENDS)}; known: {', '.join((*BACKENDS, *outside))}"
        )
    target, fixed = BACKENDS[backend]
    module, _, attribute = target.partition(":")
    make = getattr(importlib.import_module(module), attribute)
    known = [name for name in inspect.signature(make).parameters if name not in fixed]
    for name in settings:
        if name not in known:
            raise TypeError(
                f"partition {backend!r}: unknown setting {name!r}{_nearest(name, known)}; settings: {', '.join(known) or 'none'}"
            )
    return make(**fixed, **settings)


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""
