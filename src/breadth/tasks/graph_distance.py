"""How different two edge lists are: as labelled graphs, directed or not, and as patterns blind to vertex names."""

from __future__ import annotations

import numpy as np

from breadth.tasks.graph_edges import EdgeLists


def edge_jaccard_distance(edges: EdgeLists, *, directed: bool) -> np.ndarray:
    """Return 1 − |A ∩ B| / |A ∪ B| of the labelled edge sets, (M, M) float64, symmetric, zero diagonal.

    Parameters
    ----------
    edges : EdgeLists
        M texts. Repeats of an edge count once.
    directed : bool
        False: x → y and y → x are the same edge.

    Returns
    -------
    (M, M) array
        A text that is not parsable is at distance 1 from every other.

    Examples
    --------
    >>> from breadth.tasks.graph_edges import read_edges
    >>> edges = read_edges(["0 1 1 2", "0 1 2 1"], number_of={"0": 0, "1": 1, "2": 2}, walk=False)
    >>> round(float(edge_jaccard_distance(edges, directed=True)[0, 1]), 4)
    0.6667
    >>> float(edge_jaccard_distance(edges, directed=False)[0, 1])
    0.0
    """
    code = edges.code
    if not directed:
        low, high = np.minimum(edges.source, edges.target), np.maximum(edges.source, edges.target)
        code = low * edges.n_vertices + high
    n = edges.count.size
    columns, place = np.unique(code, return_inverse=True)  # only the edges that occur: any V stays cheap
    present = np.zeros((n, columns.size), dtype=np.float32)
    present[edges.owner, place] = 1.0
    shared = (present @ present.T).astype(float)  # (M, M), exact: small whole numbers in float32
    size = np.diagonal(shared)
    union = size[:, None] + size[None, :] - shared
    similarity = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return _finish(1.0 - similarity)


def pattern_distance(edges: EdgeLists) -> np.ndarray:
    """Return the share of edge positions that differ after relabelling, (M, M) float64, symmetric, zero diagonal.

    The vertices of each text are renamed 0, 1, 2, ... in the order of their first appearance; then position j of one
    list is compared with position j of the other: 1 − (equal positions) / max(length, length). Names of vertices leave
    no trace, the order of the edges does. A text that is not parsable is at distance 1 from every other.

    Examples
    --------
    >>> from breadth.tasks.graph_edges import read_edges
    >>> names = {str(v): v for v in range(5)}
    >>> edges = read_edges(["0 1 1 2", "4 3 3 0", "1 2 0 1"], number_of=names, walk=False)
    >>> pattern_distance(edges)[0].tolist()
    [0.0, 0.0, 0.5]
    """
    n, longest = edges.count.size, int(edges.count.max(initial=0))
    source, target = _relabel(edges)
    position = np.arange(edges.owner.size) - edges.first[edges.owner]
    table = np.full((n, longest), -1)  # (M, longest) relabelled edge at each position, -1 past the end
    table[edges.owner, position] = source * edges.n_vertices + target
    equal = np.zeros((n, n))
    for column in table.T:  # longest steps; never an (M, M, longest) block
        equal += (column[:, None] == column[None, :]) & (column[:, None] >= 0)
    length = np.maximum(edges.count[:, None], edges.count[None, :])
    return _finish(1.0 - np.divide(equal, length, out=np.zeros_like(equal), where=length > 0))


def _relabel(edges: EdgeLists) -> tuple[np.ndarray, np.ndarray]:
    """Return source and target, (K,) each, as ranks of first appearance within their text."""
    n, n_vertices, n_edges = edges.count.size, edges.n_vertices, edges.owner.size
    both = np.stack([edges.source, edges.target], axis=1).ravel()  # (2K,) in reading order
    cell = np.repeat(edges.owner, 2) * n_vertices + both
    never = 2 * n_edges
    seen = np.full(n * n_vertices, never)
    seen[cell[::-1]] = np.arange(never)[::-1]  # the last write wins, so write backwards: the first appearance stays
    rank = seen.reshape(n, n_vertices).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable").ravel()
    renamed = rank[cell].reshape(n_edges, 2)
    return renamed[:, 0], renamed[:, 1]


def _finish(distance: np.ndarray) -> np.ndarray:
    """Zero the diagonal in place: every text is at distance 0 from itself, parsable or not."""
    np.fill_diagonal(distance, 0.0)
    return distance
