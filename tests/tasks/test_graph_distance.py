"""Distances between edge lists: hand numbers, ceilings of a uniform sampler, invariances."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.tasks.graphs import CircleTask, LineTask

CIRCLE = CircleTask(vertices=10, edges=4)


def between(a: str, b: str, kind: str, task=CIRCLE) -> float:
    return float(task.distance([a, b], kind=kind)[0, 1])


def test_hand_numbers():
    square, turned = "0 1 1 2 2 3 3 0", "2 3 3 0 0 1 1 2"
    other = "0 1 1 2 2 4 4 0"  # shares 0>1 and 1>2: 1 - 2/6
    back = "0 3 3 2 2 1 1 0"
    assert between(square, turned, "directed") == 0.0
    assert between(square, other, "directed") == pytest.approx(1 - 2 / 6, abs=1e-12)
    assert between(square, back, "directed") == 1.0
    assert between(square, back, "undirected") == 0.0
    assert between(square, other, "undirected") == pytest.approx(1 - 2 / 6, abs=1e-12)
    assert between(square, back, "pattern") == 0.0  # renamed by first appearance both read 0>1 1>2 2>3 3>0
    assert between(square, "0 1 2 3 1 2 3 0", "pattern") == pytest.approx(2 / 4)  # 01 12 23 30 against 01 23 12 30


def test_lists_of_different_length():
    task = CircleTask(vertices=10, edges=4, min_edges=2)
    assert between("0 1 1 0", "0 1 1 2 2 0", "directed", task) == pytest.approx(1 - 1 / 4)
    assert between("5 6 6 5", "0 1 1 2 2 0", "pattern", task) == pytest.approx(1 - 1 / 3)


def test_repeats_count_once_and_unparsable_is_far_from_everything():
    texts = ["0 1 0 1", "0 1", "x", "", "x"]
    for kind in ("directed", "undirected"):
        distance = CIRCLE.distance(texts, kind=kind)
        assert distance[0, 1] == 0.0
        assert np.array_equal(distance[2:] == 1.0, ~np.eye(5, dtype=bool)[2:])
    assert np.diagonal(CIRCLE.distance(texts, kind="pattern")).tolist() == [0.0] * 5


def test_unknown_kind_names_the_known_ones():
    with pytest.raises(ValueError, match="one of directed, undirected, pattern for task 'circle', got 'jaccard'"):
        CIRCLE.distance(["0 1"], kind="jaccard")


def _slow_pattern(text: str) -> list[tuple[int, int]]:
    names: dict[str, int] = {}
    words = [names.setdefault(word, len(names)) for word in text.split()]
    return list(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("task", [CircleTask(vertices=10, edges=9), LineTask(vertices=10, edges=9)])
def test_matrices_agree_with_slow_loops(task):
    texts = task.corpus(40, seed=3)
    sets = [set(zip(text.split()[::2], text.split()[1::2], strict=True)) for text in texts]
    loose = [{tuple(sorted(edge)) for edge in edges} for edges in sets]
    patterns = [_slow_pattern(text) for text in texts]
    for kind, expected in {
        "directed": [[1 - len(a & b) / len(a | b) for b in sets] for a in sets],
        "undirected": [[1 - len(a & b) / len(a | b) for b in loose] for a in loose],
        "pattern": [[np.mean([x != y for x, y in zip(a, b, strict=True)]) for b in patterns] for a in patterns],
    }.items():
        assert np.allclose(task.distance(texts, kind=kind), expected, rtol=0, atol=1e-12), kind


# Ceilings of a uniform sampler at V = 10, N = 9, by a separate slow simulation with Python sets and lists.
@pytest.mark.parametrize(
    ("make", "kind", "ceiling", "tolerance"),
    [
        (CircleTask, "directed", 0.944, 0.002),
        (CircleTask, "undirected", 0.883, 0.002),
        (CircleTask, "pattern", 0.767, 0.006),
        (LineTask, "directed", 0.944, 0.002),
        (LineTask, "undirected", 0.883, 0.002),
        (LineTask, "pattern", 0.757, 0.006),
    ],
)
def test_ceilings(make, kind, ceiling, tolerance):
    task = make(vertices=10, edges=9, corruption=0.0)
    distance = task.distance(task.corpus(1500, seed=0), kind=kind)
    assert distance[np.triu_indices(1500, 1)].mean() == pytest.approx(ceiling, abs=tolerance)


circles = st.permutations(range(10)).map(lambda order: order[:4])


def edge_list(cycle, order=(0, 1, 2, 3)) -> str:
    pairs = [(cycle[i], cycle[(i + 1) % 4]) for i in order]
    return " ".join(f"{a} {b}" for a, b in pairs)


@settings(deadline=None)
@given(circles, circles, st.permutations(range(4)), st.integers(0, 3))
def test_order_of_edges_and_rotation_leave_no_trace_in_key_and_labelled_distance(a, b, order, turn):
    same = [edge_list(a), edge_list(a, order), edge_list(a[turn:] + a[:turn])]
    assert len(set(CIRCLE.key(same))) == 1
    for kind in ("directed", "undirected"):
        assert CIRCLE.distance(same, kind=kind).max() == 0.0
        assert between(same[1], edge_list(b), kind) == between(same[0], edge_list(b), kind)


@settings(deadline=None)
@given(circles)
def test_a_reversed_circle_is_another_answer_but_the_same_undirected_one(a):
    forth, back = edge_list(a), edge_list(a[::-1])
    assert CIRCLE.score([forth, back]).tolist() == [1.0, 1.0]
    assert between(forth, back, "directed") == 1.0
    assert between(forth, back, "undirected") == 0.0
    assert CIRCLE.key([forth])[0] != CIRCLE.key([back])[0]


@settings(deadline=None)
@given(circles, circles, st.permutations(range(4)), st.permutations(range(10)))
def test_names_of_vertices_leave_no_trace_in_the_pattern(a, b, order, names):
    text, other = edge_list(a, order), edge_list(b)
    renamed = " ".join(str(names[int(word)]) for word in text.split())
    assert between(text, renamed, "pattern") == 0.0
    assert between(text, other, "pattern") == between(renamed, other, "pattern")


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="0123 x", max_size=12), max_size=6),
    st.sampled_from(["directed", "undirected", "pattern"]),
)
def test_every_distance_is_a_distance_matrix(texts, kind):
    distance = CIRCLE.distance(texts, kind=kind)
    assert np.array_equal(distance, distance.T) and not np.diagonal(distance).any()
    assert ((distance >= 0) & (distance <= 1)).all()
