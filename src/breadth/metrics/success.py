"""Success in k tries, and how many different successes: pass@k, coverage, distinct correct answers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from breadth.metrics.conditions import TextMeasurement


def pass_at_k(n: int | np.ndarray, c: int | np.ndarray, k: int) -> float | np.ndarray:
    """Return 1 − C(n−c, k)/C(n, k): the chance that k of n answers, c of them correct, hold a correct one.

    Parameters
    ----------
    n : int or (P,) int array
        Answers of a problem.
    c : int or (P,) int array
        Correct ones among them.
    k : int
        At least 1, at most every n.

    Returns
    -------
    float or (P,) float64
        The unbiased estimate of the chance of a success in k independent tries. As a product of min(c, k) factors summed in
        logarithms: exact to rounding for n of millions, and for chances near 0.

    Raises
    ------
    ValueError
        k < 1, k > n (it cannot be estimated without bias), or c outside 0 .. n.

    Source: Chen et al. 2021, arXiv 2107.03374, eq. 1. Departures: none.

    Examples
    --------
    >>> pass_at_k(4, 1, 2), pass_at_k(10, 0, 5), pass_at_k(10, 6, 5)
    (0.5, 0.0, 1.0)
    """
    sizes, right = np.broadcast_arrays(np.asarray(n), np.asarray(c))
    if k < 1 or (sizes.size and k > sizes.min()):
        raise ValueError(
            f"k: expected between 1 and the smallest number of answers ({sizes.min() if sizes.size else 0}), got {k}"
        )
    if (right < 0).any() or (right > sizes).any():
        raise ValueError("c: expected between 0 and n correct answers")
    found = np.array(
        [_success(int(size), int(hits), k) for size, hits in zip(sizes.ravel(), right.ravel(), strict=True)]
    ).reshape(sizes.shape)
    return found if found.ndim else float(found)


def coverage(correct: Sequence[float], group: Sequence[Hashable], *, k: int) -> TextMeasurement:
    """Return the mean over problems of pass@k: the share of problems that k tries solve.

    Parameters
    ----------
    correct : (N,) bool or float
        1 correct, 0 wrong, NaN unscored (takes no part, counted in ``n_unscored``).
    group : N labels
        Which problem.
    k : int

    Returns
    -------
    TextMeasurement
        ``error``: standard error over problems, None for one; ``sets``: each problem's own value in order of appearance,
        None for one with fewer than k scored answers (``note`` counts them; they take no part in the mean).

    Raises
    ------
    ValueError
        Lengths that differ, k < 1, or numbers other than 0, 1 and NaN.

    Source: Brown et al. 2024, arXiv 2407.21787 (coverage); Chen et al. 2021, eq. 1. Departures: none.

    Examples
    --------
    >>> round(coverage([1, 0, 0, 0, 0, 0], ["p", "p", "p", "q", "q", "q"], k=2).value, 6)
    0.333333
    """
    right = _zero_or_one(correct, len(group))
    values: list[float | None] = []
    for members in _members(group):
        scored = right[members][~np.isnan(right[members])]
        values.append(_success(scored.size, int(scored.sum()), k) if 1 <= k <= scored.size else None)
    return _over_problems(f"pass_at_{k}", values, right, k, "share")


def distinct_correct_at_k(
    correct: Sequence[float], kind: Sequence[Hashable], group: Sequence[Hashable], *, k: int
) -> TextMeasurement:
    """Return the mean over problems of the number of different correct answers that k tries show.

    Σ over classes of 1 − C(n − n_c, k)/C(n, k), n_c the correct answers of class c: an unbiased estimate, like pass@k,
    which is its value where all correct answers are one class.

    Parameters
    ----------
    correct : (N,) bool or float
        1 correct, 0 wrong, NaN unscored.
    kind : N labels
        Class of each answer inside its problem.
    group : N labels
    k : int

    Returns
    -------
    TextMeasurement
        As :func:`coverage`; ``unit`` "answers".

    Raises
    ------
    ValueError
        Lengths that differ, k < 1, or numbers other than 0, 1 and NaN.

    Source: this project; the rarefaction of :func:`breadth.metrics.classes.distinct_k` among correct answers.
    Departures: none.

    Examples
    --------
    >>> distinct_correct_at_k([1, 1, 0], ["a", "b", "c"], [0, 0, 0], k=3).value
    2.0
    """
    right = _zero_or_one(correct, len(group))
    if len(kind) != len(group):
        raise ValueError(f"kind: expected {len(group)} labels, one for each answer, got {len(kind)}")
    values: list[float | None] = []
    for members in _members(group):
        scored = [i for i in members.tolist() if not np.isnan(right[i])]
        counts: dict[Hashable, int] = {}
        for i in scored:
            if right[i]:
                counts[kind[i]] = counts.get(kind[i], 0) + 1
        enough = 1 <= k <= len(scored)
        values.append(float(sum(_success(len(scored), size, k) for size in counts.values())) if enough else None)
    return _over_problems(f"distinct_correct_at_{k}", values, right, k, "answers")


def _success(n: int, c: int, k: int) -> float:
    """Return 1 − C(n−c, k)/C(n, k) without forming a binomial."""
    if c == 0:
        return 0.0
    if n - c < k:
        return 1.0
    few, many = min(c, k), max(c, k)  # the ratio is symmetric in c and k: take the shorter product
    return float(-np.expm1(np.log1p(-many / np.arange(n, n - few, -1.0)).sum()))


def _over_problems(
    metric: str, values: Sequence[float | None], right: np.ndarray, k: int, unit: str
) -> TextMeasurement:
    if k < 1:
        raise ValueError(f"k: expected at least 1 try, got {k}")
    known = np.array([value for value in values if value is not None])
    missing = len(values) - known.size
    return TextMeasurement(
        metric,
        float(known.mean()) if known.size else None,
        float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else None,
        int((~np.isnan(right)).sum()),
        int(np.isnan(right).sum()),
        unit,
        tuple(values),
        scope="within_prompt",
        note=f"{missing} of {len(values)} problems have fewer than {k} scored answers" if missing else "",
    )


def _zero_or_one(correct: Sequence[float], n: int) -> np.ndarray:
    right = np.asarray(correct, dtype=float)
    if right.shape != (n,):
        raise ValueError(f"correct: expected {n} numbers, one for each label of group, got shape {right.shape}")
    if not np.isin(right[~np.isnan(right)], (0, 1)).all():
        raise ValueError("correct: expected 1, 0, or NaN for unscored, got other numbers")
    return right


def _members(group: Sequence[Hashable]) -> list[np.ndarray]:
    """Return the places of each label, labels in order of appearance."""
    places: dict[Hashable, list[int]] = {}
    for place, label in enumerate(group):
        places.setdefault(label, []).append(place)
    return [np.array(members) for members in places.values()]
