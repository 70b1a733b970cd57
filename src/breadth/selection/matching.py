"""E: preference pairs out of groups of judged answers, at random: better over worse, no answer twice before all had a turn."""

from __future__ import annotations

import numpy as np


def match_pairs(
    reward: np.ndarray,
    group: np.ndarray,
    *,
    n_pairs: int | None = None,
    margin: float = 0.0,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return rows of (chosen, rejected), (M, 2) int64, ordered by group.

    A group with two distinct rewards (right and wrong): every right answer may meet every wrong one, in random order; as many
    pairs as the rarer kind has members use no answer twice. A group with more distinct rewards: its members are paired at random.

    Parameters
    ----------
    reward : (N,) float
        NaN = unscored: in no pair.
    group : (N,) int
    n_pairs : int, optional
        Pairs of each group. None: as many as use no answer twice. Beyond that, answers are used again as evenly as can be, and no
        pair comes twice; a group may have fewer than ``n_pairs`` different ones.
    margin : float
        The rewards of a pair differ by more than this.
    generator : numpy.random.Generator

    Raises
    ------
    ValueError
        ``n_pairs`` below 1, a negative margin, shapes that differ.

    Source: ours, arithmetic; pairs of a correct and a wrong sample: Pang et al. 2024, arXiv 2404.19733, section 2. Departures: none.

    Examples
    --------
    >>> match_pairs(np.array([1.0, 0.0, 0.0]), np.zeros(3, dtype=int), generator=np.random.default_rng(0))[:, 0]
    array([0])
    """
    if n_pairs is not None and n_pairs < 1:
        raise ValueError(f"n_pairs: expected an integer >= 1, got {n_pairs}")
    if not margin >= 0:
        raise ValueError(f"margin: expected a number >= 0, got {margin}")
    if reward.shape != group.shape or reward.ndim != 1:
        raise ValueError(f"expected reward and group of one shape (N,), got {reward.shape} and {group.shape}")
    found: list[np.ndarray] = []
    for label in np.unique(group):
        rows = np.flatnonzero((group == label) & ~np.isnan(reward))
        values = np.unique(reward[rows])
        if len(values) < 2 or values[-1] - values[0] <= margin:
            continue
        if len(values) == 2:
            good, bad = rows[reward[rows] == values[1]], rows[reward[rows] == values[0]]
            found.append(_across(good, bad, n_pairs, generator))
        else:
            found.append(_among(rows, reward, n_pairs, margin, generator))
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)


def _across(good: np.ndarray, bad: np.ndarray, n_pairs: int | None, generator: np.random.Generator) -> np.ndarray:
    """Return pairs of one from each side, no pair twice: both sides go round, shifted by one whenever their laps coincide."""
    good, bad = generator.permutation(good), generator.permutation(bad)
    count = np.arange(min(n_pairs or min(len(good), len(bad)), len(good) * len(bad)))
    return np.stack([good[count % len(good)], bad[(count + count // np.lcm(len(good), len(bad))) % len(bad)]], axis=1)


def _among(
    rows: np.ndarray, reward: np.ndarray, n_pairs: int | None, margin: float, generator: np.random.Generator
) -> np.ndarray:
    """Return random pairs of members whose rewards differ by more than the margin, the better first."""
    n = len(rows)
    order = generator.permutation(rows)
    pairs = np.stack([order[0 : n - 1 : 2], order[1:n:2]], axis=1)  # no answer twice
    if n_pairs is not None and n_pairs > len(pairs):
        a, b = np.triu_indices(n, 1)
        rest = generator.permutation(np.stack([order[a], order[b]], axis=1))
        first = {tuple(pair) for pair in np.sort(pairs, axis=1).tolist()}
        new = np.array([tuple(pair) not in first for pair in np.sort(rest, axis=1).tolist()], dtype=bool)
        pairs = np.concatenate([pairs, rest[new]])
    gap = reward[pairs[:, 0]] - reward[pairs[:, 1]]
    pairs = np.where((gap < 0)[:, None], pairs[:, ::-1], pairs)
    return pairs[np.abs(gap) > margin][:n_pairs]
