"""Texts of vertex numbers as lists of directed edges, and what makes such a list a circle or a line.

Everything works on M texts at once. The lists are ragged, so they are kept flat: K edges in all, each with the number
of the text that it came from. Nothing is padded, and a text of any length costs what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

import numpy as np


@dataclass(frozen=True, slots=True)
class EdgeLists:
    """M texts read as lists of directed edges over V vertices; K edges in all, in the order of texts and of tokens."""

    n_vertices: int  # V
    parsable: np.ndarray  # (M,) bool
    count: np.ndarray  # (M,) int64, edges of each text with repeats; 0 where the text is not parsable
    owner: np.ndarray  # (K,) int64, which text
    source: np.ndarray  # (K,) int64 in [0, V)
    target: np.ndarray  # (K,) int64 in [0, V)

    @property
    def first(self) -> np.ndarray:
        """Where each text's edges begin in the flat arrays, (M,) int64."""
        return np.cumsum(self.count) - self.count

    @property
    def code(self) -> np.ndarray:
        """Each edge as one number, source · V + target, (K,) int64."""
        return self.source * self.n_vertices + self.target


def read_edges(texts: Sequence[str], *, number_of: Mapping[str, int], walk: bool) -> EdgeLists:
    """Return the directed edges that each text writes down.

    Parameters
    ----------
    texts : M strings
        Vertex names separated by white space.
    number_of : mapping
        Vertex name -> number; the numbers are 0 .. V-1. Names are compared as they stand: ``"03"`` is not ``"3"``.
    walk : bool
        False: the words are disjoint pairs ``x y``, each an edge x → y. True: each adjacent pair is an edge.

    Returns
    -------
    EdgeLists
        A text is parsable where every word is a vertex name and the number of words is even and at least 2 (pairs), or
        at least 2 (walk). A text that is not parsable has no edges. Self-loops and repeated edges are kept as written.

    Examples
    --------
    >>> edges = read_edges(["0 1 1 2", "0 9", ""], number_of={"0": 0, "1": 1, "2": 2}, walk=False)
    >>> edges.parsable.tolist(), edges.count.tolist()
    ([True, False, False], [2, 0, 0])
    """
    words: list[str] = []
    lengths: list[int] = []
    for text in texts:
        found = text.split()
        words += found
        lengths.append(len(found))
    n = len(lengths)
    length = np.array(lengths, dtype=np.int64)  # (M,)
    vertex = np.fromiter(map(number_of.get, words, repeat(-1)), dtype=np.int64, count=len(words))
    text_of = np.repeat(np.arange(n), length)
    parsable = length >= 2
    if not walk:
        parsable &= length % 2 == 0
    parsable[text_of[vertex < 0]] = False
    keep = parsable[text_of]
    vertex, text_of = vertex[keep], text_of[keep]
    if walk:
        inside = text_of[1:] == text_of[:-1]
        owner, source, target = text_of[1:][inside], vertex[:-1][inside], vertex[1:][inside]
    else:  # every kept text holds an even number of words, so pairs never straddle two texts
        owner, source, target = text_of[0::2], vertex[0::2], vertex[1::2]
    return EdgeLists(len(number_of), parsable, np.bincount(owner, minlength=n), owner, source, target)


def degrees(edges: EdgeLists) -> tuple[np.ndarray, np.ndarray]:
    """Return out-degree and in-degree of every vertex in every text, two (M, V) int64 arrays; repeats count."""
    shape = (edges.count.size, edges.n_vertices)
    row = edges.owner * edges.n_vertices
    out_degree = np.bincount(row + edges.source, minlength=shape[0] * shape[1]).reshape(shape)
    in_degree = np.bincount(row + edges.target, minlength=shape[0] * shape[1]).reshape(shape)
    return out_degree, in_degree


def is_circle(edges: EdgeLists, *, low: int, high: int) -> np.ndarray:
    """Return which texts are one simple directed cycle of ``low`` to ``high`` edges, (M,) bool.

    Every vertex that occurs is left once and entered once, and the cycle through the first edge is all there is. A
    self-loop, a repeated or reversed edge, two cycles side by side or any other number of edges gives False.

    Examples
    --------
    >>> names = {str(v): v for v in range(6)}
    >>> texts = ["2 0 0 1 1 2", "2 0 1 0 1 2", "0 1 1 0 3 4 4 3"]
    >>> is_circle(read_edges(texts, number_of=names, walk=False), low=3, high=4).tolist()
    [True, False, False]
    """
    out_degree, in_degree = degrees(edges)
    right = edges.parsable & (edges.count >= low) & (edges.count <= high)
    right &= (out_degree <= 1).all(axis=1) & (out_degree == in_degree).all(axis=1)
    # What is left permutes `count` vertices: one cycle when the start comes back after `count` steps and not before.
    row = np.flatnonzero(right)
    count = edges.count[row]
    successor = _successors(edges)
    start = edges.source[edges.first[row]]
    here, single = start, np.ones(row.size, dtype=bool)
    for step in range(1, int(count.max(initial=0))):
        here = successor[row, here]
        single &= (here != start) | (step >= count)
    right[row] = single
    return right


def is_line(edges: EdgeLists, *, low: int, high: int) -> np.ndarray:
    """Return which texts are one simple directed path of ``low`` to ``high`` edges, (M,) bool.

    No vertex is left twice or entered twice, exactly one is left and never entered, and the path from it uses every
    edge.

    Examples
    --------
    >>> names = {str(v): v for v in range(6)}
    >>> texts = ["1 2 0 1", "1 0 1 2", "0 1 1 2 2 0", "0 1 2 3"]
    >>> is_line(read_edges(texts, number_of=names, walk=False), low=2, high=3).tolist()
    [True, False, False, False]
    """
    out_degree, in_degree = degrees(edges)
    right = edges.parsable & (edges.count >= low) & (edges.count <= high)
    right &= (out_degree <= 1).all(axis=1) & (in_degree <= 1).all(axis=1)
    starts = (out_degree == 1) & (in_degree == 0)  # (M, V)
    right &= starts.sum(axis=1) == 1
    # One start leaves one path, and perhaps cycles beside it: the path must be as long as the list.
    row = np.flatnonzero(right)
    count = edges.count[row]
    successor = _successors(edges)
    here, whole = starts[row].argmax(axis=1), np.ones(row.size, dtype=bool)
    for step in range(1, int(count.max(initial=0)) + 1):
        here = successor[row, here]
        whole &= (here != edges.n_vertices) | (step > count)
    right[row] = whole
    return right


def _successors(edges: EdgeLists) -> np.ndarray:
    """Return the vertex after each vertex, (M, V+1) int64; V stands for "none" and follows itself."""
    successor = np.full((edges.count.size, edges.n_vertices + 1), edges.n_vertices)
    successor[edges.owner, edges.source] = edges.target
    return successor


def one_component(edges: EdgeLists) -> np.ndarray:
    """Return which texts have edges that hang together, direction ignored, (M,) bool; False without edges."""
    n, n_vertices = edges.count.size, edges.n_vertices
    label = np.broadcast_to(np.arange(n_vertices), (n, n_vertices)).copy()  # (M, V), shrinks to the smallest member
    while True:
        lower = np.minimum(label[edges.owner, edges.source], label[edges.owner, edges.target])  # (K,)
        spread = label.copy()
        np.minimum.at(spread, (edges.owner, edges.source), lower)
        np.minimum.at(spread, (edges.owner, edges.target), lower)
        if np.array_equal(spread, label):
            break
        label = spread
    # One component: the label of every edge is the label of the text's first edge.
    together = edges.count > 0
    edge_label = label[edges.owner, edges.source]
    first_label = np.zeros(n, dtype=np.int64)
    first_label[together] = edge_label[edges.first[together]]
    together[edges.owner[edge_label != first_label[edges.owner]]] = False
    return together


def edge_set_keys(edges: EdgeLists) -> list[str | None]:
    """Return the sorted set of directed edges of each text as ``"0>1 1>2"``; None where it is not parsable.

    Equal keys mean equal labelled directed edge sets: the order of the edges, a circle's starting point and repeats of
    an edge leave no trace.
    """
    n_codes = edges.n_vertices**2
    owner, code = np.divmod(np.unique(edges.owner * n_codes + edges.code), n_codes)  # sorted by text, then by edge
    codes, place = np.unique(code, return_inverse=True)
    names = [f"{c // edges.n_vertices}>{c % edges.n_vertices}" for c in codes.tolist()]
    words = [names[i] for i in place.tolist()]
    end = np.cumsum(np.bincount(owner, minlength=edges.count.size)).tolist()
    return [" ".join(words[a:b]) if b > a else None for a, b in pairwise([0, *end])]
