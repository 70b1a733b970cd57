"""Circle and line construction: write down the edges of one simple directed cycle, or of one simple directed path.

A text is a list of vertex numbers. There are astronomically many right answers, all of equal worth and none longer than
another, and whether an answer is right is exact: what a policy loses in range while it learns to be right can be seen.

Source: circle and line construction of Nagarajan et al. 2025 (arXiv 2504.15266).
Departures:

1. Validity is strict. The published checker walks the edges without their direction and does not count them: it accepts
   self-loops, 2-cycles, repeated and wrongly directed edges. As a reward that is gamed at once; here all of them
   score 0.
2. No random seed string stands before the answer: there is one empty prompt, and variety comes from sampling.
3. Sizes are smaller by default (15 vertices, 6 edges; there 10 and 9), so that a study runs on a laptop.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from breadth.records import TaskDescription
from breadth.seeds import numpy_generator
from breadth.tasks.graph_corpus import corrupted_edge_lists, corrupted_walks, random_walks
from breadth.tasks.graph_distance import edge_jaccard_distance, pattern_distance
from breadth.tasks.graph_edges import EdgeLists, degrees, edge_set_keys, is_circle, is_line, one_component, read_edges
from breadth.tasks.graph_picture import draw_edges
from breadth.tasks.protocol import Task
from breadth.tasks.vocabulary import Vocabulary

_N_SPECIAL = 3  # <pad>, <bos>, <eos> come first in a Vocabulary
_DISTANCES = {
    "directed": "Jaccard distance of the labelled directed edge sets",
    "undirected": "Jaccard distance of the labelled edge sets, direction ignored",
    "pattern": "share of edge positions that differ after relabelling vertices by first appearance",
}


@dataclass(frozen=True, kw_only=True)
class _GraphTask(Task):
    """What circle and line share: reading texts, distances, the corpus. Settings: see :class:`CircleTask`."""

    vertices: int = 15
    edges: int = 6
    min_edges: int | None = None
    encoding: str = "edge_list"
    corruption: float = 0.1
    reward_form: str = "exact"
    vector_form: str = "vertices"

    name: ClassVar[str]
    _closed: ClassVar[bool]
    _fewest: ClassVar[int]  # edges of the smallest graph of this kind
    _shape: ClassVar[str]

    def __post_init__(self) -> None:
        spare = 0 if self._closed else 1  # a line has one vertex more than it has edges
        low = self._range[0]
        problems = []
        if self.edges + spare > self.vertices:
            problems.append(
                f"edges: a {self.name} of {self.edges} edges needs {self.edges + spare} distinct vertices, got "
                f"vertices={self.vertices}; give at most edges={self.vertices - spare} or at least "
                f"vertices={self.edges + spare}"
            )
        if not self._fewest <= low <= self.edges:
            key = "edges" if self.min_edges is None else "min_edges"
            problems.append(
                f"{key}: expected {self._fewest} <= min_edges <= edges for a {self.name}, got "
                f"min_edges={self.min_edges}, edges={self.edges}"
            )
        if not 0.0 <= self.corruption <= 1.0:
            problems.append(f"corruption: expected a probability in [0, 1], got {self.corruption}")
        if self.encoding not in ("edge_list", "walk"):
            problems.append(f"encoding: expected 'edge_list' or 'walk', got {self.encoding!r}")
        if self.reward_form not in ("exact", "graded"):
            problems.append(f"reward_form: expected 'exact' or 'graded', got {self.reward_form!r}")
        if self.vector_form not in ("vertices", "parts"):
            problems.append(f"vector_form: expected 'vertices' or 'parts', got {self.vector_form!r}")
        if problems:
            raise ValueError("\n".join(problems))

    # Judging

    @abstractmethod
    def _is_valid(self, edges: EdgeLists) -> np.ndarray:
        """Return which lists are one graph of this kind, (M,) bool."""

    def prompts(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n empty prompts: every answer is an answer to the same question."""
        return [""] * n

    def score(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return 1 for each valid text and 0 for any other, (n,) float64; never NaN."""
        return self._is_valid(self._read(texts)).astype(float)

    def reward(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return the score, or with ``reward_form="graded"`` the mean of four parts, (n,) float64 in [0, 1].

        The parts: the text is parsable; it has a right number of edges; the share of its vertices whose degrees fit;
        its edges hang together. The graded reward is 1 exactly where the score is 1; an unparsable text has 0.
        """
        edges = self._read(texts)
        if self.reward_form == "exact":
            return self._is_valid(edges).astype(float)
        return self._parts(edges).sum(axis=1) / 4

    def _parts(self, edges: EdgeLists) -> np.ndarray:
        """Return the four parts of the graded reward, (M, 4)."""
        low, high = self._range
        right_length = (edges.count >= low) & (edges.count <= high)
        parts = [np.ones(edges.count.size), right_length, self._degrees_that_fit(edges), one_component(edges)]
        return np.stack(parts, axis=1) * edges.parsable[:, None]

    def reward_names(self) -> tuple[str, ...]:
        """Return the names of the rewards: one per vertex, or the four parts and ``correct``."""
        if self.vector_form == "vertices":
            return tuple(f"vertex_{vertex}" for vertex in range(self.vertices))
        return ("parsable", "size", "degrees", "connected", "correct")

    def reward_vector(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> np.ndarray:
        """Return several rewards of each text, (n, K) float64 in [0, 1].

        ``vector_form="vertices"``, K = V: 1 where the text is valid and visits the vertex; no answer visits all, so that
        preferences conflict. ``"parts"``, K = 5: the parts of the graded reward and the score; a valid text is best in all
        of them.
        """
        edges = self._read(texts)
        valid = self._is_valid(edges).astype(float)  # (n,)
        if self.vector_form == "parts":
            return np.concatenate([self._parts(edges), valid[:, None]], axis=1)
        out_degree, in_degree = degrees(edges)  # (n, V) each
        return valid[:, None] * ((out_degree + in_degree) > 0)

    def _degrees_that_fit(self, edges: EdgeLists) -> np.ndarray:
        """Return the share of vertices with fitting degrees, (M,) float64; 0 for a text without edges.

        Circle: left once and entered once. Line: the same, and one vertex more for each of the two ends. The share is
        taken of the vertices that occur, or of those that so many edges must have where that is more: a cycle is no
        line.
        """
        out_degree, in_degree = degrees(edges)  # (M, V) each
        fit = ((out_degree == 1) & (in_degree == 1)).sum(axis=1)
        needed = edges.count
        if not self._closed:
            fit = fit + ((out_degree == 1) & (in_degree == 0)).any(axis=1)  # one start
            fit = fit + ((out_degree == 0) & (in_degree == 1)).any(axis=1)  # one end
            needed = edges.count + 1
        occurring = ((out_degree + in_degree) > 0).sum(axis=1)
        return fit / np.maximum(np.maximum(occurring, needed), 1)

    def valid(
        self, texts: Sequence[str], scores: np.ndarray, *, keys: Sequence[str | None] | None = None
    ) -> np.ndarray:
        """Return which texts are valid, (n,) bool: those that score 1."""
        return np.asarray(scores) == 1.0

    # Telling apart

    def key(self, texts: Sequence[str], prompts: Sequence[str] | None = None) -> list[str | None]:
        """Return the sorted set of labelled directed edges, ``"0>1 1>2"``; None where the text is not parsable."""
        return edge_set_keys(self._read(texts))

    def distance(self, texts: Sequence[str], *, kind: str | None = None) -> np.ndarray:
        """Return pairwise distances, (n, n) float64 in [0, 1]; a text that is not parsable is at 1 from every other.

        Parameters
        ----------
        texts : n strings
        kind : str, optional
            ``"directed"`` (default), ``"undirected"`` or ``"pattern"``; see ``describe().distances``.

        Raises
        ------
        ValueError
            For any other kind.
        """
        kind = kind or "directed"
        if kind not in _DISTANCES:
            raise ValueError(f"kind: expected one of {', '.join(_DISTANCES)} for task {self.name!r}, got {kind!r}")
        edges = self._read(texts)
        if kind == "pattern":
            return pattern_distance(edges)
        return edge_jaccard_distance(edges, directed=kind == "directed")

    # Pre-training

    def vocabulary(self) -> Vocabulary:
        """Return the vocabulary: the vertex numbers."""
        return Vocabulary(list(self._number_of), pattern=r"\S+", joiner=" ")

    def corpus(self, n: int, *, seed: int = 0, split: str = "train") -> list[str]:
        """Return n texts to pre-train on: valid ones of which each edge is broken with probability ``corruption``.

        The sizes are uniform over ``min_edges`` .. ``edges``. About (1 − corruption)^edges of the texts stay valid.
        """
        names = [str(v) for v in range(self.vertices)]
        texts = [""] * n
        for rows, vertex in self._draw(n, seed, split):
            for row, walk in zip(rows.tolist(), vertex.tolist(), strict=True):
                texts[row] = " ".join([names[v] for v in walk])
        return texts

    def corpus_ids(self, n: int, *, seed: int = 0, split: str = "train") -> np.ndarray:
        """Return the token numbers of ``corpus(n, seed=seed, split=split)``, (n, max_tokens) int64.

        Without a start token; with an end token, then padding, where the size is a range. The same numbers as
        ``vocabulary().encode`` gives, without going through text.
        """
        ids = np.zeros((n, self._max_tokens), dtype=np.int64)
        for rows, vertex in self._draw(n, seed, split):
            ids[rows, : vertex.shape[1]] = vertex + _N_SPECIAL
            if self._ends:
                ids[rows, vertex.shape[1]] = Vocabulary.eos_id
        return ids

    def _draw(self, n: int, seed: int, split: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (rows, vertex numbers (rows, words)) for each size; the rows together are 0 .. n-1."""
        generator = numpy_generator(seed, "corpus", self.name, split)
        low, high = self._range
        size = generator.integers(low, high + 1, n)
        drawn = []
        for n_edges in range(low, high + 1):
            rows = np.flatnonzero(size == n_edges)
            walks = random_walks(
                rows.size, n_vertices=self.vertices, n_edges=n_edges, closed=self._closed, generator=generator
            )
            if self.encoding == "walk":
                vertex = corrupted_walks(walks, corruption=self.corruption, generator=generator)
            else:
                vertex = corrupted_edge_lists(
                    walks, n_vertices=self.vertices, corruption=self.corruption, generator=generator
                )
            drawn.append((rows, vertex))
        return drawn

    # Showing

    def describe(self) -> TaskDescription:
        """Say what quality, parsable, valid and the distances mean here."""
        low, high = self._range
        size = f"{high}" if low == high else f"{low} to {high}"
        words = "vertex numbers, an even number of them, read as pairs x y: edge x → y"
        notes: tuple[str, ...] = ()
        if self.encoding == "walk":
            words = "at least two vertex numbers; each adjacent pair x y is an edge x → y"
            notes = ("the pattern distance is 0 between valid walks of equal length: renamed, they are all 0 1 2 ...",)
        return TaskDescription(
            name=self.name,
            summary=f"write {self._shape} of {size} edges over {self.vertices} vertices ({self.encoding} encoding)",
            quality=f"1 for exactly {self._shape}, strictly checked, else 0",
            parsable=f"only {words}",
            valid=f"quality 1: {size} edges that form {self._shape}",
            distances=dict(_DISTANCES),
            correct_at=1.0,
            max_tokens=self._max_tokens,
            end_token=self._ends,
            source="Nagarajan et al. 2025, arXiv 2504.15266",
            notes=notes,
        )

    def picture(self, text: str) -> str | None:
        """Return a node-link drawing of the edges as SVG; None where the text is not parsable."""
        edges = self._read([text])
        if not edges.parsable[0]:
            return None
        pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
        return draw_edges(pairs, n_vertices=self.vertices, valid=bool(self._is_valid(edges)[0]))

    # Derived numbers

    @property
    def _range(self) -> tuple[int, int]:
        return (self.edges if self.min_edges is None else self.min_edges), self.edges

    @property
    def _ends(self) -> bool:
        return self._range[0] != self._range[1]

    @property
    def _max_tokens(self) -> int:
        return (self.edges + 1 if self.encoding == "walk" else 2 * self.edges) + self._ends

    @cached_property
    def _number_of(self) -> Mapping[str, int]:
        return {str(vertex): vertex for vertex in range(self.vertices)}

    def _read(self, texts: Sequence[str]) -> EdgeLists:
        return read_edges(texts, number_of=self._number_of, walk=self.encoding == "walk")


@dataclass(frozen=True, kw_only=True)
class CircleTask(_GraphTask):
    """Write one simple directed cycle over exactly ``edges`` distinct vertices.

    Parameters
    ----------
    vertices : int
        V; the words are ``0`` .. ``V-1``.
    edges : int
        N, the number of edges; the largest one where ``min_edges`` is given.
    min_edges : int, optional
        Smallest number of edges. None: exactly ``edges``, and texts have no end token because their length is fixed.
    encoding : {"edge_list", "walk"}
        ``edge_list``: 2N words, disjoint pairs in any order, ``x y`` is the edge x → y. ``walk``: N + 1 words, each
        adjacent pair is an edge and the last word repeats the first.
    corruption : float
        Probability that an edge of the pre-training corpus is broken; sets the quality of the prior.
    reward_form : {"exact", "graded"}
        What training sees: the 0/1 score, or the partial credit of :meth:`reward`. The score is 0/1 either way.
    vector_form : {"vertices", "parts"}
        What objectives that take several rewards see, see :meth:`reward_vector`.

    Raises
    ------
    ValueError
        Names every setting that is impossible, with numbers.

    Source: Nagarajan et al. 2025 (arXiv 2504.15266). Departures: see the head of this module.

    Examples
    --------
    >>> task = CircleTask(vertices=5, edges=3)
    >>> task.score(["0 1 1 2 2 0", "0 1 2 1 2 0", "0 1 1 2", "0 0 0 0 0 0"]).tolist()
    [1.0, 0.0, 0.0, 0.0]
    >>> task.key(["1 2 2 0 0 1", "0 1 1"])
    ['0>1 1>2 2>0', None]
    >>> there_and_back = ["0 1 1 2 2 0", "0 2 2 1 1 0"]
    >>> float(task.distance(there_and_back)[0, 1])
    1.0
    >>> float(task.distance(there_and_back, kind="undirected")[0, 1])
    0.0
    """

    name: ClassVar[str] = "circle"
    _closed: ClassVar[bool] = True
    _fewest: ClassVar[int] = 2
    _shape: ClassVar[str] = "one simple directed cycle"

    def _is_valid(self, edges: EdgeLists) -> np.ndarray:
        return is_circle(edges, low=self._range[0], high=self._range[1])


@dataclass(frozen=True, kw_only=True)
class LineTask(_GraphTask):
    """Write one simple directed path of exactly ``edges`` edges over ``edges + 1`` distinct vertices.

    Parameters and errors as in :class:`CircleTask`; in the ``walk`` encoding the N + 1 words are all distinct.

    Source: Nagarajan et al. 2025 (arXiv 2504.15266). Departures: see the head of this module.

    Examples
    --------
    >>> task = LineTask(vertices=5, edges=2, encoding="walk")
    >>> task.score(["3 0 4", "3 0 3", "3 0"]).tolist()
    [1.0, 0.0, 0.0]
    """

    name: ClassVar[str] = "line"
    _closed: ClassVar[bool] = False
    _fewest: ClassVar[int] = 1
    _shape: ClassVar[str] = "one simple directed path"

    def _is_valid(self, edges: EdgeLists) -> np.ndarray:
        return is_line(edges, low=self._range[0], high=self._range[1])
