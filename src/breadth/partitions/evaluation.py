"""How good the scores of pairs are: AUROC, F1, accuracy, calibration error, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from breadth.partitions.calibration import check_labels, verdict_value
from breadth.records import Estimate


@dataclass(frozen=True)
class PairEvaluation:
    """What scores are worth on labelled pairs; each number with its 95 % bootstrap interval over prompts."""

    n: int
    share_same: float
    threshold: float
    auroc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    f1: Estimate
    ece: Estimate
    parts: Mapping[str, PairEvaluation]  # "length: short", "labeller: Sue", …


def auroc(scores: np.ndarray, same: np.ndarray) -> float:
    """Return the chance that an equivalent pair has a higher score than one that is not; ties count half.

    Raises
    ------
    ValueError
        Labels all equal, or unequal lengths.

    Source: Mann and Whitney 1947. Departures: none.

    Examples
    --------
    >>> import numpy as np
    >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    scores, same = check_labels(scores, same)
    n_same = same.sum()
    rank_sum = rankdata(scores)[same > 0].sum()
    return float((rank_sum - n_same * (n_same + 1) / 2) / (n_same * (len(same) - n_same)))


def expected_calibration_error(probability: np.ndarray, same: np.ndarray, *, n_bins: int = 10) -> float:
    """Return Σ_bins (share of pairs)·|mean probability − share equivalent|, bins of equal width.

    Raises
    ------
    ValueError
        A probability outside [0, 1].

    Source: Naeini et al. 2015. Departures: none.

    Examples
    --------
    >>> import numpy as np
    >>> round(expected_calibration_error(np.array([0.9, 0.9]), np.array([1, 0])), 3)
    0.4
    """
    probability, same = np.asarray(probability, dtype=float), np.asarray(same, dtype=float)
    if len(probability) and not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("probability: expected numbers in [0, 1]")
    number = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    gap = np.abs(np.bincount(number, probability - same, minlength=n_bins))
    return float(gap.sum() / max(1, len(same)))


def evaluate(
    scores: np.ndarray,
    same: np.ndarray,
    *,
    threshold: float,
    probability: np.ndarray | None = None,
    prompts: Sequence[str] | None = None,
    parts: Mapping[str, Sequence[Any]] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> PairEvaluation:
    """Return what scores are worth on labelled pairs, altogether and by part.

    Parameters
    ----------
    scores : (M,) float in [0, 1]
    same : (M,) bool or 0/1
    threshold : float
        Above it a pair is called the same. Chosen on other pairs; see :func:`choose_threshold`.
    probability : (M,) float in [0, 1], optional
        What ``ece`` is of: the calibrated scores. The scores themselves where absent.
    prompts : (M,) sequence of str, optional
        Unit of the bootstrap; each pair on its own where absent.
    parts : mapping of name to (M,) labels, optional
        E.g. ``{"length": ["short", "long", …], "labeller": […]}``; every label is evaluated on its own.
    n_boot, seed : int

    Returns
    -------
    PairEvaluation
        In a part with labels all equal, ``auroc`` and ``balanced_accuracy`` are None.

    Raises
    ------
    ValueError
        Unequal lengths, probabilities outside [0, 1], or (altogether) labels all equal.

    Source: none. Departures: none.

    Examples
    --------
    >>> import numpy as np
    >>> found = evaluate(np.array([0.1, 0.9, 0.8, 0.3]), np.array([0, 1, 1, 0]), threshold=0.5, n_boot=20)
    >>> found.auroc.value, found.accuracy.value
    (1.0, 1.0)
    """
    scores, same = check_labels(scores, same)
    probability = scores if probability is None else check_labels(probability, same)[0]
    units = (
        np.arange(len(same))
        if prompts is None
        else np.unique(np.asarray([*prompts], dtype=str), return_inverse=True)[1]
    )
    if len(units) != len(same):
        raise ValueError(f"prompts: expected {len(same)}, one for each pair, got {len(units)}")
    found: dict[str, PairEvaluation] = {}
    for name, labels in (parts or {}).items():
        if len(labels) != len(same):
            raise ValueError(f"parts[{name!r}]: expected {len(same)} labels, got {len(labels)}")
        column = np.asarray([str(label) for label in labels])
        for label in sorted(set(column.tolist())):
            rows = np.flatnonzero(column == label)
            found[f"{name}: {label}"] = _evaluate(scores, probability, same, rows, units, threshold, n_boot, seed, {})
    return _evaluate(scores, probability, same, np.arange(len(same)), units, threshold, n_boot, seed, found)


def _evaluate(
    scores: np.ndarray, probability: np.ndarray, same: np.ndarray, rows: np.ndarray, units: np.ndarray, threshold: float,
    n_boot: int, seed: int, parts: Mapping[str, PairEvaluation],
) -> PairEvaluation:  # fmt: skip
    def numbers(chosen: np.ndarray) -> list[float]:
        x, s = scores[chosen], same[chosen]
        mixed = 0 < s.sum() < len(s)
        verdict = x > threshold
        return [
            auroc(x, s) if mixed else np.nan,
            verdict_value(verdict, s, "accuracy"),
            verdict_value(verdict, s, "balanced_accuracy") if mixed else np.nan,
            verdict_value(verdict, s, "f1"),
            expected_calibration_error(probability[chosen], s),
        ]

    generator = np.random.default_rng(seed)
    _, unit = np.unique(units[rows], return_inverse=True)
    members = np.split(np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1])
    draws = np.array(
        [
            numbers(rows[np.concatenate([members[k] for k in generator.integers(len(members), size=len(members))])])
            for _ in range(n_boot)
        ]
    ).reshape(n_boot, 5)
    estimates = []
    for value, column in zip(numbers(rows), draws.T, strict=True):
        known = column[np.isfinite(column)]
        low, high = np.quantile(known, [0.025, 0.975]).tolist() if len(known) else (None, None)
        estimates.append(Estimate(value, low, high) if np.isfinite(value) else Estimate(None))
    named = dict(zip(("auroc", "accuracy", "balanced_accuracy", "f1", "ece"), estimates, strict=True))
    return PairEvaluation(len(rows), float(same[rows].mean()), threshold, parts=parts, **named)


def length_parts(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """Return "short", "middle" or "long" for each pair: thirds by words of both texts together, (M,).

    Examples
    --------
    >>> length_parts(["x", "x y", "x y z"], ["x", "x y", "x y z"])
    ['1 short: up to 2 words', '2 middle: up to 4 words', '3 long: up to 6 words']
    """
    words = np.array([len(x.split()) + len(y.split()) for x, y in zip(a, b, strict=True)])
    if not len(words):
        return []
    cuts = np.quantile(words, [1 / 3, 2 / 3, 1], method="inverted_cdf")
    names = [
        f"{k} {name}: up to {int(cut)} words"
        for k, name, cut in zip((1, 2, 3), ("short", "middle", "long"), cuts, strict=True)
    ]
    return [names[int(np.searchsorted(cuts, n))] for n in words]
