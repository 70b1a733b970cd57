"""Random circles and lines to pre-train on, and the corruption that decides how good the prior is."""

from __future__ import annotations

import numpy as np


def random_walks(n: int, *, n_vertices: int, n_edges: int, closed: bool, generator: np.random.Generator) -> np.ndarray:
    """Return n uniformly drawn walks over distinct vertices, (n, n_edges + 1) int64; last = first where ``closed``.

    Parameters
    ----------
    n : int
    n_vertices, n_edges : int
        A closed walk visits n_edges distinct vertices, an open one n_edges + 1; there must be that many.
    closed : bool
        True: circle. False: line.
    generator : numpy Generator
    """
    n_drawn = n_edges if closed else n_edges + 1
    deck = np.repeat(np.arange(n_vertices)[:, None], n, axis=1)  # (V, n): one column a sample
    _shuffle_top(deck, n_drawn, generator)
    top = deck[:n_drawn]
    return np.concatenate([top, top[:1]] if closed else [top]).T


def corrupted_edge_lists(
    walks: np.ndarray, *, n_vertices: int, corruption: float, generator: np.random.Generator
) -> np.ndarray:
    """Return the edges of each walk in random order, some of them broken, (n, 2 · n_edges) int64.

    Each edge is broken with probability ``corruption``, independently: one of its two ends, chosen by a fair coin,
    becomes another vertex. For a circle that is any of the V − 1 others; for a line it is another vertex of the same
    line, because a free end moved to an unused vertex is only another valid line. A list stays valid with probability
    (1 − corruption)^n_edges, but for the rare case that several breaks mend each other.
    """
    n, n_edges = walks.shape[0], walks.shape[1] - 1
    closed = _closed(walks)
    ends = np.stack([walks[:, :-1], walks[:, 1:]], axis=2)  # (n, E, 2)
    order = np.repeat(np.arange(n_edges)[:, None], n, axis=1)
    _shuffle_top(order, n_edges, generator)
    ends = np.take_along_axis(ends, order.T[:, :, None], axis=1)
    sample, edge = np.nonzero(generator.random((n, n_edges)) < corruption)
    side = generator.integers(0, 2, sample.size)
    n_choices = n_vertices if closed else n_edges + 1
    shift = generator.integers(1, n_choices, sample.size)  # never 0, so the vertex always changes
    if closed:
        ends[sample, edge, side] = (ends[sample, edge, side] + shift) % n_vertices
    else:
        place = order.T[sample, edge] + side  # where the end stands in its walk
        ends[sample, edge, side] = walks[sample, (place + shift) % n_choices]
    return ends.reshape(n, 2 * n_edges)


def corrupted_walks(walks: np.ndarray, *, corruption: float, generator: np.random.Generator) -> np.ndarray:
    """Return the walks with some of their edges broken, (n, n_edges + 1) int64.

    Each edge is broken with probability ``corruption``, independently: the vertex that it leads to becomes another
    vertex of the same walk. A vertex from outside would not do: the walk would only pass through it and stay valid.
    """
    n, n_edges = walks.shape[0], walks.shape[1] - 1
    distinct = n_edges if _closed(walks) else n_edges + 1
    sample, edge = np.nonzero(generator.random((n, n_edges)) < corruption)
    place = edge + 1
    shift = generator.integers(1, distinct, sample.size)
    broken = walks.copy()
    broken[sample, place] = walks[sample, (place + shift) % distinct]  # from the intact walks: always another vertex
    return broken


def _closed(walks: np.ndarray) -> bool:
    """Return whether the walks end where they begin; all of one call do or none does."""
    return walks.shape[0] > 0 and bool(walks[0, 0] == walks[0, -1])


def _shuffle_top(deck: np.ndarray, n_top: int, generator: np.random.Generator) -> None:
    """Draw the first ``n_top`` rows of every column from the whole column, in place (Fisher-Yates on all at once)."""
    n_rows, n = deck.shape
    column = np.arange(n)
    for row in range(min(n_top, n_rows - 1)):
        other = generator.integers(row, n_rows, n)
        held = deck[row].copy()
        deck[row] = deck[other, column]
        deck[other, column] = held
