"""From scores to probabilities (Platt, isotonic) and to a threshold for a stated objective, by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression, minimize

OBJECTIVES = ("accuracy", "balanced_accuracy", "f1", "count", "precision")
LEAST_RECALL = 0.8  # of the objective "precision"


@dataclass(frozen=True)
class Calibration:
    """A monotone map from score to probability: linear between knots (isotonic), or a logistic curve (Platt)."""

    method: str
    knots: tuple[float, ...]  # isotonic: scores; platt: (slope, intercept)
    values: tuple[float, ...]  # isotonic: probabilities; platt: empty

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return probabilities, the shape of ``scores``."""
        scores = np.asarray(scores, dtype=float)
        if self.method == "platt":
            slope, intercept = self.knots
            return 0.5 * (1 + np.tanh((slope * scores + intercept) / 2))
        return np.interp(scores, self.knots, self.values)


@dataclass(frozen=True)
class Threshold:
    """A cut chosen by cross-validation: ``value`` from all pairs, ``held_out`` the objective at cuts chosen without them."""

    value: float
    objective: str
    held_out: float
    in_sample: float
    n: int
    n_folds: int
    held_out_recall: float | None = None  # objective "precision" only: the recall that was reached without them


def grouped_folds(prompts: Sequence[str], n_folds: int, *, seed: int = 0) -> np.ndarray:
    """Return a fold for each pair, (M,) int64, equal prompts in the same fold.

    Parameters
    ----------
    prompts : (M,) sequence of str
    n_folds : int
    seed : int

    Raises
    ------
    ValueError
        Fewer distinct prompts than folds, or fewer than two folds.

    Examples
    --------
    >>> folds = grouped_folds(["a", "b", "a", "c"], 3)
    >>> bool(folds[0] == folds[2]), sorted(set(folds.tolist()))
    (True, [0, 1, 2])
    """
    names, number = np.unique(np.asarray(list(prompts), dtype=object).astype(str), return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise ValueError(f"n_folds: expected 2 to {len(names)} (the number of distinct prompts), got {n_folds}")
    fold = np.random.default_rng(seed).permutation(len(names)) % n_folds
    return fold[number].astype(np.int64)


def fit_calibration(scores: np.ndarray, same: np.ndarray, *, method: str = "platt") -> Calibration:
    """Return the map from score to probability of being equivalent.

    Parameters
    ----------
    scores : (M,) float
        Higher = more alike.
    same : (M,) bool or 0/1
    method : str
        ``platt``: P = 1/(1 + exp(−slope·s − intercept)) with smoothed targets; ``isotonic``: non-decreasing steps.

    Raises
    ------
    ValueError
        Unknown method, unequal lengths, a score that is not finite, or labels all equal.

    Source: Platt 1999 (targets (n₊ + 1)/(n₊ + 2) and 1/(n₋ + 2)); Zadrozny and Elkan 2002. Departures: none.

    Examples
    --------
    >>> import numpy as np
    >>> curve = fit_calibration(np.array([0.0, 0.2, 0.8, 1.0]), np.array([0, 0, 1, 1]), method="isotonic")
    >>> curve(np.array([0.1, 0.9])).tolist()
    [0.0, 1.0]
    """
    scores, same = check_labels(scores, same)
    if method == "isotonic":
        order = np.lexsort((same, scores))
        unique, group = np.unique(scores[order], return_inverse=True)
        weight = np.bincount(group).astype(float)
        mean = np.bincount(group, weights=same[order]) / weight
        fitted = isotonic_regression(mean, weights=weight).x
        end = np.diff(fitted) != 0
        kept = np.r_[True, end] | np.r_[end, True]  # the ends of each level say it all
        return Calibration("isotonic", tuple(unique[kept].tolist()), tuple(fitted[kept].tolist()))
    if method != "platt":
        raise ValueError(f"method: expected 'platt' or 'isotonic', got {method!r}")
    n_same, n_different = int(same.sum()), int((~same.astype(bool)).sum())
    target = np.where(same > 0, (n_same + 1) / (n_same + 2), 1 / (n_different + 2))

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = w[0] * scores + w[1]
        error = 0.5 * (1 + np.tanh(z / 2)) - target
        return float((np.logaddexp(0, z) - target * z).sum()), np.array([error @ scores, error.sum()])

    slope, intercept = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B").x
    return Calibration("platt", (float(slope), float(intercept)), ())


def choose_threshold(
    scores: np.ndarray,
    same: np.ndarray,
    prompts: Sequence[str],
    *,
    objective: str = "balanced_accuracy",
    least_recall: float = LEAST_RECALL,
    n_folds: int = 5,
    seed: int = 0,
) -> Threshold:
    """Return the cut above which two answers are called the same, and what it is worth on prompts it was not chosen on.

    Parameters
    ----------
    scores : (M,) float
    same : (M,) bool or 0/1
    prompts : (M,) sequence of str
        Pairs of one prompt stay in one fold.
    objective : str
        ``accuracy``; ``balanced_accuracy`` (mean of the two rates of right verdicts; blind to the share of equivalent
        pairs, so it carries over to other data); ``f1`` of "same"; ``count``: as many pairs called the same as are, for
        an unbiased number of classes (−|difference of shares|); ``precision`` of "same" among the cuts that find at least
        ``least_recall`` of the equivalent pairs.
    least_recall : float
        In (0, 1], for ``precision``.
    n_folds, seed : int

    Raises
    ------
    ValueError
        Unknown objective, wrong lengths, labels all equal; see :func:`grouped_folds`.

    Source: none; NoveltyBench's 0.102 was chosen on the set that it is reported on. Departures: none.

    Examples
    --------
    >>> import numpy as np
    >>> scores, same = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]), np.array([0, 0, 0, 1, 1, 1])
    >>> cut = choose_threshold(scores, same, list("abcdef"), n_folds=3)
    >>> cut.value, cut.in_sample
    (0.5, 1.0)
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"objective: expected one of {', '.join(OBJECTIVES)}, got {objective!r}")
    if not 0 < least_recall <= 1:
        raise ValueError(f"least_recall: expected a number in (0, 1], got {least_recall}")
    scores, same = check_labels(scores, same)
    if len(prompts) != len(scores):
        raise ValueError(f"prompts: expected {len(scores)}, one for each score, got {len(prompts)}")
    fold = grouped_folds(prompts, n_folds, seed=seed)
    verdict = np.zeros(len(scores), dtype=bool)
    for k in range(n_folds):
        verdict[fold == k] = scores[fold == k] > _best_cut(scores[fold != k], same[fold != k], objective, least_recall)
    value = _best_cut(scores, same, objective, least_recall)
    return Threshold(
        value, objective, verdict_value(verdict, same, objective), verdict_value(scores > value, same, objective),
        len(scores), n_folds, verdict_value(verdict, same, "recall") if objective == "precision" else None,
    )  # fmt: skip


def verdict_value(verdict: np.ndarray, same: np.ndarray, objective: str) -> float:
    """Return what hard verdicts are worth; see :func:`choose_threshold` for the objectives, and ``recall``.

    Nothing called the same has a precision of 0, nothing to find a recall of 0.

    Examples
    --------
    >>> verdict_value(np.array([True, False]), np.array([1, 1]), "accuracy")
    0.5
    """
    same = np.asarray(same).astype(bool)
    right, n_same, n_called = (verdict & same).sum(), same.sum(), verdict.sum()
    if objective == "accuracy":
        return float((verdict == same).mean())
    if objective == "f1":
        return float(2 * right / (n_same + n_called)) if n_same + n_called else 0.0
    if objective == "precision":
        return float(right / n_called) if n_called else 0.0
    if objective == "recall":
        return float(right / n_same) if n_same else 0.0
    if objective == "count":
        return -abs(float(verdict.mean() - same.mean()))
    rates = [(verdict == same)[same == label].mean() for label in (True, False) if (same == label).any()]
    return float(np.mean(rates))


def check_labels(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64, (M,).

    Raises
    ------
    ValueError
        Unequal lengths, a score that is not finite, a label that is neither 0 nor 1, or all labels equal.
    """
    scores, same = np.asarray(scores, dtype=float), np.asarray(same, dtype=float)
    if scores.ndim != 1 or scores.shape != same.shape:
        raise ValueError(f"scores and same: expected equal lengths, got shapes {scores.shape} and {same.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"scores: expected finite numbers, got {int((~np.isfinite(scores)).sum())} that are not")
    if not np.isin(same, (0, 1)).all():
        raise ValueError("same: expected 0 or 1 for every pair")
    if len(same) == 0 or same.min() == same.max():
        raise ValueError(f"same: expected both labels among the pairs, got {int(same.sum())} same of {len(same)}")
    return scores, same


def _best_cut(scores: np.ndarray, same: np.ndarray, objective: str, least_recall: float) -> float:
    """Return the middle of the gap between scores that is best for the objective; ties go to the middle of the ties."""
    levels = np.unique(scores)
    cuts = (levels[1:] + levels[:-1]) / 2 if len(levels) > 1 else levels
    if objective == "precision":  # below the lowest score as well: it alone may find them all
        cuts = np.r_[levels[0] - 1e-6, cuts]
    values = np.array([verdict_value(scores > cut, same, objective) for cut in cuts])
    if objective == "precision":
        found = np.array([verdict_value(scores > cut, same, "recall") for cut in cuts])
        values[found < least_recall] = -1.0
    best = cuts[values >= values.max() - 1e-12]
    return float(best[(len(best) - 1) // 2])
