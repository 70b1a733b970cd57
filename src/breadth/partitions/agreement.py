"""How well found classes agree with given ones: adjusted Rand index and the error of the number of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from breadth.records import Estimate


@dataclass(frozen=True)
class PartitionEvaluation:
    """What found classes are worth against given ones; means over groups with 95 % bootstrap intervals over prompts.

    ``ari`` adjusted Rand index; ``distinct``, ``distinct_true`` classes a group, found and given; ``distinct_error``
    found − given (> 0: answers are split that are the same), ``distinct_absolute_error`` its size.
    """

    n_groups: int
    n_answers: int
    ari: Estimate
    distinct: Estimate
    distinct_true: Estimate
    distinct_error: Estimate
    distinct_absolute_error: Estimate


def evaluate_partitions(
    kinds: Sequence[Sequence[int] | np.ndarray],
    truth: Sequence[Sequence[int] | np.ndarray],
    *,
    prompts: Sequence[str] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> PartitionEvaluation:
    """Return what found classes are worth against given ones.

    Parameters
    ----------
    kinds, truth : (P,) sequences of (n,) labels
        Classes of the answers of each group, found and given; names are free.
    prompts : (P,) sequence of str, optional
        Unit of the bootstrap; each group on its own where absent.
    n_boot, seed : int

    Raises
    ------
    ValueError
        No groups, a group without answers, or unequal lengths.

    Source: Hubert and Arabie 1985; distinct-k with k = n of NoveltyBench (Zhang et al. 2025, arXiv 2504.05228), section 3.
    Departures: none.

    Examples
    --------
    >>> found = evaluate_partitions([[0, 0, 1], [0, 1, 2]], [[5, 5, 7], [0, 0, 1]], n_boot=10)
    >>> found.ari.value, found.distinct.value, found.distinct_error.value
    (0.5, 2.5, 0.5)
    """
    if not len(kinds) or len(kinds) != len(truth):
        raise ValueError(
            f"kinds and truth: expected equal numbers of groups, at least 1, got {len(kinds)} and {len(truth)}"
        )
    if prompts is not None and len(prompts) != len(kinds):
        raise ValueError(f"prompts: expected {len(kinds)}, one for each group, got {len(prompts)}")
    rows = np.empty((len(kinds), 3))
    for g, (found, given) in enumerate(zip(kinds, truth, strict=True)):
        if not len(found):
            raise ValueError(f"group {g}: expected answers, got none")
        rows[g] = (
            adjusted_rand_index(found, given),
            len(set(np.asarray(found).tolist())),
            len(set(np.asarray(given).tolist())),
        )
    table = np.c_[rows, rows[:, 1] - rows[:, 2], np.abs(rows[:, 1] - rows[:, 2])]  # (P, 5)
    names = (
        np.arange(len(kinds))
        if prompts is None
        else np.unique(np.asarray([*prompts], dtype=str), return_inverse=True)[1]
    )
    n_units = int(names.max()) + 1
    total = np.zeros((n_units, 5))
    np.add.at(total, names, table)
    size = np.bincount(names)
    generator = np.random.default_rng(seed)
    draws = np.empty((n_boot, 5))
    for k in range(n_boot):
        chosen = generator.integers(n_units, size=n_units)
        draws[k] = total[chosen].sum(axis=0) / size[chosen].sum()
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    estimates = [Estimate(*map(float, row)) for row in zip(table.mean(axis=0), low, high, strict=True)]
    return PartitionEvaluation(len(kinds), sum(map(len, kinds)), *estimates)


def adjusted_rand_index(kinds: Sequence[int] | np.ndarray, truth: Sequence[int] | np.ndarray) -> float:
    """Return the agreement of two partitions of the same items, 0 = as by chance, 1 = equal up to names.

    Parameters
    ----------
    kinds, truth : (n,) labels

    Returns
    -------
    float
        1 where both put everything together or both put everything apart, and for fewer than two items.

    Raises
    ------
    ValueError
        Unequal lengths.

    Source: Hubert and Arabie 1985. Departures: none.

    Examples
    --------
    >>> adjusted_rand_index([0, 0, 1, 1], [5, 5, 7, 7]), round(adjusted_rand_index([0, 0, 1, 1], [0, 0, 1, 2]), 4)
    (1.0, 0.5714)
    """
    a, b = np.asarray(kinds), np.asarray(truth)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"kinds and truth: expected equal lengths, got shapes {a.shape} and {b.shape}")

    def pairs(counts: np.ndarray) -> float:
        return float((counts * (counts - 1) / 2).sum())

    a, b = np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]
    together = pairs(np.unique(a * (b.max(initial=0) + 1) + b, return_counts=True)[1])
    in_a, in_b, total = pairs(np.bincount(a)), pairs(np.bincount(b)), len(a) * (len(a) - 1) / 2
    expected = in_a * in_b / total if total else 0.0
    largest = (in_a + in_b) / 2
    return 1.0 if largest == expected else (together - expected) / (largest - expected)
