"""What a partition of a prompt's answers says: how many classes, how even, how much use to a user who reads on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from breadth.metrics.vendi_score import hill_number


def distinct_k(partition: Sequence[Hashable], k: int | None = None) -> float | None:
    """Return the number of classes among k of the answers, as the mean over all choices of k of the n.

    Σ_c (1 − C(n − n_c, k) / C(n, k)); with k = n (the default) simply the number of classes.

    Parameters
    ----------
    partition : n labels
        Class of each answer; any labels.
    k : int, optional
        At most n. None: n.

    Returns
    -------
    float or None
        None without answers (or k = 0).

    Raises
    ------
    ValueError
        k outside 0 .. n.

    Source: Zhang et al. 2025 (NoveltyBench), arXiv 2504.05228, distinct_k.
    Departures: 1. the number of classes, not the largest label: the released ``partition.py`` stores max(partition) as
    "distinct", which is one too few (labels start at 0). 2. k < n is the mean over subsets (rarefaction), not the first k.

    Examples
    --------
    >>> distinct_k([0, 0, 1, 2]), round(distinct_k([0, 0, 1, 1], k=2), 6)
    (3.0, 1.666667)
    """
    sizes = _sizes(partition)
    n = int(sizes.sum())
    k = n if k is None else k
    if not 0 <= k <= n:
        raise ValueError(f"k: expected a number of answers between 0 and {n}, got {k}")
    if k == 0:
        return None
    return float(sum(1 - _none_drawn(n, size, k) for size in sizes.tolist()))


def utility_k(*, partition: Sequence[Hashable], score: Sequence[float], patience: float = 0.8) -> float | None:
    """Return the utility of k answers to a user who reads on with probability p after each: new classes earn their score.

    (1−p)/(1−p^k) · Σ_{i=1..k} p^{i−1} · 1[class of answer i is new] · u_i.

    Parameters
    ----------
    partition : k labels
        Class of each answer, in the order of reading.
    score : k numbers
        u_i, in any unit; the utility has the same. NoveltyBench: 1 to 10.
    patience : float
        p in [0, 1]; 1 gives every answer the weight 1/k.

    Returns
    -------
    float or None
        None without answers.

    Raises
    ------
    ValueError
        Lengths that differ, a score that is not finite, p outside [0, 1].

    Source: Zhang et al. 2025 (NoveltyBench), arXiv 2504.05228, utility_k. Departures: none; equal to the utilities that
    its authors published. (DARLING's evaluation drops the patience, which is ``patience=1``.)

    Examples
    --------
    >>> utility_k(partition=[0, 0, 1], score=[10, 10, 10], patience=1)
    6.666666666666667
    """
    value = np.asarray(score, dtype=float)
    if value.shape != (len(partition),):
        raise ValueError(f"score: expected {len(partition)} numbers, one for each answer, got shape {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"score: expected finite numbers, got {int((~np.isfinite(value)).sum())} that are not")
    if not 0 <= patience <= 1:
        raise ValueError(f"patience: expected a probability between 0 and 1, got {patience}")
    if not len(partition):
        return None
    seen: set[Hashable] = set()
    new = np.zeros(len(partition))
    for place, label in enumerate(partition):
        new[place] = label not in seen
        seen.add(label)
    weight = patience ** np.arange(len(partition))
    return float((weight * new * value).sum() / weight.sum())


def semantic_entropy(partition: Sequence[Hashable], *, seq_logp: Sequence[float] | None = None) -> float | None:
    """Return −Σ_c p(c) ln p(c) over the classes of a prompt's answers, in nats.

    Parameters
    ----------
    partition : n labels
    seq_logp : n numbers, optional
        log-probability of each answer, nats. Given: p(c) = Σ of the probabilities of the class's answers, normalised
        over all that are listed; list each distinct text once, or it counts double. None: p(c) = n_c / n (the discrete
        form).

    Returns
    -------
    float or None
        Between 0 and ln(number of classes); None without answers.

    Raises
    ------
    ValueError
        Lengths that differ, or a log-probability that is not finite.

    Source: Kuhn, Gal and Farquhar 2023, arXiv 2302.09664, eq. 4; the discrete form: Farquhar et al. 2024, Nature 630.
    Departures: none.

    Examples
    --------
    >>> round(semantic_entropy(["a", "a", "b", "b"]), 6)  # ln 2
    0.693147
    """
    weights = _class_weights(partition, seq_logp)
    return None if weights is None else float(np.log(hill_number(weights[weights > 0])))


def effective_number(
    partition: Sequence[Hashable], *, q: float = 1.0, seq_logp: Sequence[float] | None = None
) -> float | None:
    """Return the effective number of classes of order q: exp(:func:`semantic_entropy`) at q = 1.

    Parameters as :func:`semantic_entropy`; q as :func:`breadth.metrics.vendi_score.hill_number`. With counts it is too
    small for few answers: n answers cannot show more than n classes.

    Source: Hill 1973. Departures: none.

    Examples
    --------
    >>> effective_number([0, 0, 1, 1]), effective_number([0, 0, 0, 1], q=0)
    (2.0, 2.0)
    """
    weights = _class_weights(partition, seq_logp)
    return None if weights is None else hill_number(weights[weights > 0], q)


def _sizes(partition: Sequence[Hashable]) -> np.ndarray:
    """Return the number of answers in each class, in the order in which the classes appear."""
    counts: dict[Hashable, int] = {}
    for label in partition:
        counts[label] = counts.get(label, 0) + 1
    return np.array(list(counts.values()), dtype=np.int64)


def _none_drawn(n: int, size: int, k: int) -> float:
    """Return C(n − size, k) / C(n, k): the chance that k of n answers miss a class of this size."""
    if size + k > n:
        return 0.0
    few, many = min(size, k), max(size, k)
    return float(np.prod(1 - many / np.arange(n, n - few, -1)))


def _class_weights(partition: Sequence[Hashable], seq_logp: Sequence[float] | None) -> np.ndarray | None:
    if not len(partition):
        return None
    if seq_logp is None:
        return _sizes(partition).astype(float)
    logp = np.asarray(seq_logp, dtype=float)
    if logp.shape != (len(partition),) or not np.isfinite(logp).all():
        raise ValueError(f"seq_logp: expected {len(partition)} finite numbers, got shape {logp.shape}")
    names = {label: place for place, label in enumerate(dict.fromkeys(partition))}
    # against the largest, so that exp does not underflow for all of them
    return np.bincount([names[label] for label in partition], weights=np.exp(logp - logp.max()), minlength=len(names))
