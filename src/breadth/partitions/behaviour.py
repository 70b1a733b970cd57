"""How each clustering behaves when the judge of pairs is wrong at a stated rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from breadth.partitions.clustering import CLUSTERINGS, class_share


@dataclass(frozen=True)
class Behaviour:
    """Mean diversity (share of pairs told apart) that is left, by clustering; ``truth`` is what is really there."""

    n: int
    n_classes: int
    false_merges: float
    false_splits: float
    truth: float
    diversity: dict[str, float]  # clustering, or "soft", to diversity


def under_errors(
    n: int,
    *,
    n_classes: int | None = None,
    false_merges: float,
    false_splits: float = 0.0,
    floor: float = 0.0,
    repeats: int = 2_000,
    seed: int = 0,
) -> Behaviour:
    """Return the diversity that each clustering finds among n answers if pairs are misjudged independently.

    Parameters
    ----------
    n : int
        Answers in the group, at least 2.
    n_classes : int, optional
        Classes of (nearly) equal size; n (all distinct) where absent.
    false_merges, false_splits : float
        In [0, 1]: chance that two different answers are called the same, and two equal ones different.
    floor : float
        Least diversity of an answer; DARLING's code has 0.1.
    repeats : int
    seed : int

    Raises
    ------
    ValueError
        A rate outside [0, 1], n below 2, or more classes than answers.

    Source: none; the two columns for components and all pairs repeat a count made for DARLING's code.
    Departures: real errors are correlated, so this is an illustration and no forecast.

    Examples
    --------
    >>> found = under_errors(8, false_merges=0.2, repeats=500)
    >>> found.truth, round(found.diversity["soft"], 1), round(found.diversity["components"], 1)
    (1.0, 0.8, 0.5)
    """
    n_classes = n if n_classes is None else n_classes
    if n < 2 or not 1 <= n_classes <= n:
        raise ValueError(f"n, n_classes: expected n ≥ 2 and 1 to n classes, got n = {n}, n_classes = {n_classes}")
    for name, rate in (("false_merges", false_merges), ("false_splits", false_splits)):
        if not 0 <= rate <= 1:
            raise ValueError(f"{name}: expected a rate in [0, 1], got {rate}")
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % n_classes
    same = truth[:, None] == truth[None, :]
    upper = np.triu_indices(n, k=1)
    total = dict.fromkeys([*CLUSTERINGS, "soft"], 0.0)
    for _ in range(repeats):
        wrong = generator.random(len(upper[0])) < np.where(same[upper], false_splits, false_merges)
        verdict = np.eye(n)
        verdict[upper] = same[upper] ^ wrong
        verdict = np.maximum(verdict, verdict.T)
        for name, cluster in CLUSTERINGS.items():
            size = np.bincount(kinds := cluster(verdict, 0.5))[kinds]
            total[name] += np.maximum((n - size) / (n - 1), floor).mean()
        total["soft"] += np.maximum((n - verdict.sum(axis=1)) / (n - 1), floor).mean()
    mean = {name: float(value / repeats) for name, value in total.items()}
    return Behaviour(n, n_classes, false_merges, false_splits, class_share(truth), mean)


def components_left(n: int, *, false_merges: float, floor: float = 0.0) -> float:
    """Return what ``components`` leaves of the diversity of n distinct answers in expectation, exactly.

    Σ_k P(k)·max((n − k)/(n − 1), floor), P(k) = C(n−1, k−1)·connected(k)·(1 − q)^(k(n−k)): the class of an answer is its
    component in a random graph with edge probability q.

    Parameters
    ----------
    n : int
        At least 2.
    false_merges : float
        q, in [0, 1].
    floor : float
        Least diversity of an answer; DARLING's code has 0.1.

    Raises
    ------
    ValueError
        A rate outside [0, 1], or n below 2.

    Source: Gilbert 1959, eq. 3 and 4 (connected random graphs). Departures: none.

    Examples
    --------
    >>> round(components_left(8, false_merges=0.2), 3), round(components_left(8, false_merges=0.2, floor=0.1), 3)
    (0.498, 0.512)
    """
    if n < 2 or not 0 <= false_merges <= 1:
        raise ValueError(
            f"n, false_merges: expected n ≥ 2 and a rate in [0, 1], got n = {n}, false_merges = {false_merges}"
        )
    apart = 1 - false_merges
    connected = [0.0, 1.0]  # by number of answers
    for k in range(2, n + 1):
        connected.append(1 - sum(comb(k - 1, j - 1) * connected[j] * apart ** (j * (k - j)) for j in range(1, k)))
    share = [comb(n - 1, k - 1) * connected[k] * apart ** (k * (n - k)) for k in range(1, n + 1)]
    return sum(p * max((n - k) / (n - 1), floor) for k, p in enumerate(share, start=1))


def behaviour_table(rows: Sequence[Behaviour]) -> str:
    """Return the rows as a Markdown table, two decimals.

    Examples
    --------
    >>> print(behaviour_table([under_errors(2, false_merges=0.0, repeats=1)]).splitlines()[2])
    | 2 | 2 | 0 % | 0 % | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |
    """
    names = [*CLUSTERINGS, "soft"]
    lines = ["| answers | classes | false merges | false splits | truth | " + " | ".join(names) + " |"]
    lines.append("|---" * (5 + len(names)) + "|")
    for row in rows:
        cells = [str(row.n), str(row.n_classes), f"{row.false_merges:.0%}".replace("%", " %")]
        cells += [f"{row.false_splits:.0%}".replace("%", " %"), f"{row.truth:.2f}"]
        lines.append("| " + " | ".join(cells + [f"{row.diversity[name]:.2f}" for name in names]) + " |")
    return "\n".join(lines)
