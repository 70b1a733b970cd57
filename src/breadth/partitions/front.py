"""The partition of answers: who says the same thing as whom, by any backend and any clustering."""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from breadth.partitions.asking import Screen
from breadth.partitions.calibration import Calibration
from breadth.partitions.calibration_file import CalibrationFile, load_calibration
from breadth.partitions.function import SOFT, Partition, nearest_name
from breadth.partitions.protocol import BlockBackend, PairBackend
from breadth.partitions.store import DISK_SIZE, open_store

__all__ = ["BACKENDS", "SOFT", "Partition", "partition"]

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
    "remote": ("breadth.partitions.remote:Remote", {}),
}


def partition(
    backend: str | BlockBackend | PairBackend = "classifier",
    *,
    threshold: float | None = None,
    clustering: str = "greedy",
    calibration: Calibration | CalibrationFile | str | Path | None = None,
    screen: str | BlockBackend | None = None,
    screen_low: float = 0.0,
    screen_high: float = 1.0,
    screen_nearest: int | None = 4,
    cache_size: int = 1_000_000,
    disk_cache: bool | str | Path = False,
    disk_size: int = DISK_SIZE,
    **settings: Any,
) -> Partition:
    """Return a partition function: who says the same thing as whom.

    Parameters
    ----------
    backend : str or backend
        ``canonical`` (key=), ``rouge1``, ``rougeL``, ``jaccard``, ``tfidf``, ``embedding`` (model= or encode=),
        ``classifier`` (the shipped one; encoder= for the one with a sentence encoder, model= for yours), ``cross_encoder``
        (model=), ``endpoint`` (url=, model=), ``remote`` (url=, of ``breadth partition serve``), or an object with ``blocks``
        or ``score_pairs``.
    threshold : float, optional
        In [0, 1): two answers are the same if their score is above it. The backend's own where absent.
    clustering : str
        ``greedy``, ``components``, ``average``, ``correlation``, or ``soft`` (no classes).
    calibration : Calibration, or the file of ``breadth partition calibrate``, optional
        From score to probability, for ``distance``, ``probability`` and ``soft``; the threshold stays on the score. A file
        also brings its threshold, unless ``threshold`` is given, and has to be of the same backend.
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
    disk_cache : bool or folder
        Keep the verdicts of a judge (or the vectors of an encoder) on disk as well, found again by content: in the folder
        ``partitions`` of the cache (``BREADTH_CACHE``) for True.
    disk_size : int
        Verdicts kept on disk, at most (vectors: a twentieth); the longest unused are forgotten first.
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
    if isinstance(calibration, str | Path):
        calibration = load_calibration(calibration)
    if isinstance(calibration, CalibrationFile):
        calibration.check(built)
        threshold = calibration.threshold if threshold is None else threshold
        calibration = calibration.curve
    store = None
    if disk_cache is not False:
        if hasattr(built, "keep_on_disk"):  # vectors, not verdicts
            built.keep_on_disk(open_store("vectors", disk_cache, size=max(1, disk_size // 20)))
        else:
            if not getattr(built, "fingerprint", None) and isinstance(built, PairBackend):
                raise ValueError(
                    f"disk_cache: {built.name} has no fingerprint, so that its verdicts could not be told from another's"
                )
            store = open_store("verdicts", disk_cache, size=disk_size)
    return Partition(
        built,
        threshold=threshold,
        clustering=clustering,
        calibration=calibration,
        screen=screened,
        cache_size=cache_size,
        store=store,
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
            f"partition: unknown backend {backend!r}{nearest_name(backend, BACKENDS)}; known: {', '.join((*BACKENDS, *outside))}"
        )
    target, fixed = BACKENDS[backend]
    module, _, attribute = target.partition(":")
    make = getattr(importlib.import_module(module), attribute)
    known = [name for name in inspect.signature(make).parameters if name not in fixed]
    for name in settings:
        if name not in known:
            raise TypeError(
                f"partition {backend!r}: unknown setting {name!r}{nearest_name(name, known)}; settings: {', '.join(known) or 'none'}"
            )
    return make(**fixed, **settings)
