"""Circle and line: what is right, what is wrong however clever it looks, what cannot be read at all."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.tasks.graphs import CircleTask, LineTask

CIRCLE = CircleTask(vertices=10, edges=4)
LINE = LineTask(vertices=10, edges=3)
CIRCLE_WALK = CircleTask(vertices=10, edges=4, encoding="walk")
LINE_WALK = LineTask(vertices=10, edges=3, encoding="walk")

RIGHT = [
    (CIRCLE, "0 1 1 2 2 3 3 0"),
    (CIRCLE, "9 4 7 2 4 7 2 9"),  # any order of the edges
    (CircleTask(vertices=3, edges=2), "0 1 1 0"),  # a 2-cycle where two edges are asked for
    (CIRCLE_WALK, "0 1 2 3 0"),
    (LINE, "0 1 1 2 2 3"),
    (LINE, "2 3 0 1 1 2"),
    (LineTask(vertices=2, edges=1), "1 0"),
    (LINE_WALK, "3 1 0 2"),
]

PARSABLE_BUT_WRONG = [
    (CIRCLE, "0 0 1 1 2 2 3 3", "self-loops only"),
    (CIRCLE, "0 1 1 2 2 0 3 3", "a self-loop beside a triangle"),
    (CIRCLE, "0 1 1 0 2 3 3 2", "two 2-cycles: two components"),
    (CIRCLE, "0 1 1 0 0 1 1 0", "a 2-cycle walked twice"),
    (CIRCLE, "0 1 1 2 2 0 0 1", "a triangle and a repeated edge"),
    (CIRCLE, "0 1 0 1 2 3 2 3", "repeated edges"),
    (CIRCLE, "0 1 2 1 2 3 3 0", "one edge points the wrong way"),
    (CIRCLE, "0 1 1 2 2 3 3 4", "a line"),
    (CIRCLE, "0 1 1 2 2 0", "a triangle: too few edges"),
    (CIRCLE, "0 1 1 2 2 3 3 4 4 0", "a pentagon: too many edges"),
    (CIRCLE, "0 1 1 2 2 3 3 0 0 1", "right, and then one edge again"),
    (CIRCLE, "0 1 0 2 0 3 0 4", "a star"),
    (CircleTask(vertices=10, edges=6), "0 1 1 2 2 0 3 4 4 5 5 3", "two triangles"),
    (CIRCLE_WALK, "0 1 2 3 4", "does not come back"),
    (CIRCLE_WALK, "0 1 0 1 0", "to and fro"),
    (CIRCLE_WALK, "0 1 2 0", "too short"),
    (CIRCLE_WALK, "0 0 0 0 0", "stays where it is"),
    (CIRCLE_WALK, "0 1 2 2 0", "a self-loop on the way"),
    (LINE, "0 1 1 2 2 0", "a cycle"),
    (LINE, "0 1 1 2 3 2", "one edge points the wrong way"),
    (LINE, "0 1 2 3 4 5", "three components"),
    (LINE, "0 1 2 3 3 2", "an edge beside a 2-cycle"),
    (LINE, "0 1 1 2 1 2", "a repeated edge"),
    (LINE, "0 1 1 2 3 3", "a path beside a self-loop"),
    (LINE, "0 1 1 2 1 3", "a fork"),
    (LINE, "0 1", "too few edges: the published checker takes a single edge"),
    (LINE, "0 1 1 2 2 3 3 4", "too many edges"),
    (LINE_WALK, "0 1 2 0", "comes back"),
    (LINE_WALK, "0 1 1 2", "a self-loop"),
    (LINE_WALK, "0 1 2", "too short"),
]

UNPARSABLE = [
    "",
    " ",
    "0",
    "0 1 1",
    "0 1 1 2 2 3 3 10",
    "0 1 1 2 2 3 3 -1",
    "0 1 1 2 2 3 3 00",
    "00 1 1 2 2 3 3 00",
    "0 1 1 2 2 3 3 x",
    "0 1 1 2 2 3 3 0.0",
    "0 1 1 2 2 3 3 +0",
    "0 1 1 2 2 3 3 1e0",
    "0 1 1 2 2 3 3 \u0660",  # the Arabic digit zero, which int() would take
    "0 1 1 2 2 3 3 \uff10",  # the full-width digit zero
    "0 1 1 2 2 3 3 \ufffd",
    "0,1,1,2,2,3,3,0",
    "01122330",
    "<bos> 0 1 1 2 2 3 3 0",
]


@pytest.mark.parametrize(("task", "text"), RIGHT)
def test_right_answers_score_one(task, text):
    assert task.score([text]).tolist() == [1.0]
    assert task.key([text]) != [None]
    assert task.valid([text], task.score([text])).tolist() == [True]


@pytest.mark.parametrize(("task", "text", "why"), PARSABLE_BUT_WRONG)
def test_wrong_answers_score_zero_and_stay_parsable(task, text, why):
    assert task.score([text]).tolist() == [0.0], why
    assert task.key([text]) != [None], why
    assert task.valid([text], task.score([text])).tolist() == [False], why


@pytest.mark.parametrize("text", UNPARSABLE)
def test_unparsable_answers_score_zero_and_have_no_key(text):
    for task in (CIRCLE, LINE):
        assert task.score([text]).tolist() == [0.0]
        assert task.reward([text]).tolist() == [0.0]
        assert task.key([text]) == [None]
        assert task.picture(text) is None


def test_walk_takes_an_odd_number_of_words_and_refuses_a_single_one():
    assert CIRCLE_WALK.key(["0 1 2", "0", "", "0 10"]) == ["0>1 1>2", None, None, None]


def test_a_batch_is_judged_item_by_item():
    texts = [text for task, text in RIGHT[:2]] + UNPARSABLE[:4] + [text for task, text, _ in PARSABLE_BUT_WRONG[:10]]
    assert CIRCLE.score(texts).tolist() == [float(CIRCLE.score([text])[0]) for text in texts]
    assert CIRCLE.key(texts) == [CIRCLE.key([text])[0] for text in texts]
    assert CIRCLE.score([]).shape == (0,) and CIRCLE.key([]) == [] and CIRCLE.distance([]).shape == (0, 0)


def _is_circle_by_hand(text: str, n_vertices: int, n_edges: int) -> bool:
    """A second, slow opinion: rebuild every simple cycle's edge set from the walk that starts at its first edge."""
    words = text.split(" ")
    if len(words) != 2 * n_edges or not all(re.fullmatch(r"0|[1-9][0-9]*", w) and int(w) < n_vertices for w in words):
        return False
    pairs = list(zip(words[::2], words[1::2], strict=True))
    follow = dict(pairs)
    walk = [pairs[0][0]]
    for _ in range(n_edges):
        if walk[-1] not in follow:
            return False
        walk.append(follow[walk[-1]])
    return len(set(pairs)) == n_edges and walk[0] == walk[-1] and len(set(walk)) == n_edges


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_score_agrees_with_a_second_opinion(numbers):
    text = " ".join(map(str, numbers))
    assert CircleTask(vertices=4, edges=3).score([text])[0] == float(_is_circle_by_hand(text, 4, 3))


def test_all_small_lists_by_enumeration():
    every = [" ".join(map(str, np.unravel_index(i, (4,) * 6))) for i in range(4**6)]
    # 8 labelled directed 3-cycles over 4 vertices, 24 paths of 4 distinct vertices; each in 3! orders of its edges
    assert CircleTask(vertices=4, edges=3).score(every).sum() == 8 * 6
    assert LineTask(vertices=4, edges=3).score(every).sum() == 24 * 6


def test_a_range_of_sizes():
    task = CircleTask(vertices=10, edges=5, min_edges=3)
    texts = ["0 1 1 0", "0 1 1 2 2 0", "0 1 1 2 2 3 3 0", "0 1 1 2 2 3 3 4 4 0", "0 1 1 2 2 3 3 4 4 5 5 0"]
    assert task.score(texts).tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert task.describe().end_token and task.describe().max_tokens == 11
    assert not CIRCLE.describe().end_token and CIRCLE.describe().max_tokens == 8
    assert LINE_WALK.describe().max_tokens == 4


def test_graded_reward_is_partial_credit_and_one_only_where_valid():
    circle = CircleTask(vertices=10, edges=4, reward_form="graded")
    line = LineTask(vertices=10, edges=3, reward_form="graded")
    texts = ["0 1 1 2 2 3 3 0", "0 1 1 2 2 3 3 4", "0 1 1 2 2 0", "0 1 1 0 2 3 3 2", "0 0", "0 1 1"]
    # parses, length, share of fitting vertices, one component
    expected = [1.0, (1 + 1 + 3 / 5 + 1) / 4, (1 + 0 + 1 + 1) / 4, (1 + 1 + 1 + 0) / 4, (1 + 0 + 1 + 1) / 4, 0.0]
    assert np.allclose(circle.reward(texts), expected, atol=1e-12)
    assert circle.score(texts).tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert np.allclose(line.reward(["0 1 1 2 2 3", "0 1 1 2 2 0"]), [1.0, (1 + 1 + 3 / 4 + 1) / 4])
    assert CIRCLE.reward(texts).tolist() == CIRCLE.score(texts).tolist()
    for make in (CircleTask, LineTask):
        task = make(vertices=4, edges=3, reward_form="graded")
        every = [" ".join(map(str, np.unravel_index(i, (4,) * 6))) for i in range(4**6)]
        assert np.array_equal(task.reward(every) == 1.0, task.score(every) == 1.0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6), st.randoms())
def test_key_is_blind_to_the_order_of_edges(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    texts = [" ".join(f"{a} {b}" for a, b in order) for order in (pairs, shuffled)]
    first, second = CIRCLE.key(texts)
    assert first == second == " ".join(f"{a}>{b}" for a, b in sorted(set(pairs)))


@given(st.text(max_size=40))
def test_any_text_is_judged_without_an_exception(text):
    for task in (CIRCLE, LINE_WALK):
        assert task.score([text])[0] in (0.0, 1.0)
        assert task.distance([text, "0 1"]).shape == (2, 2)
        task.picture(text)


def test_a_very_long_text_costs_what_it_holds():
    long = " ".join(["3 4"] * 200_000)
    assert CIRCLE.score(["0 1 1 2 2 3 3 0", long]).tolist() == [1.0, 0.0]
    assert CIRCLE.key([long]) == ["3>4"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CircleTask(vertices=5, edges=6), "a circle of 6 edges needs 6 distinct vertices, got vertices=5"),
        (lambda: LineTask(vertices=6, edges=6), "a line of 6 edges needs 7 distinct vertices, got vertices=6"),
        (lambda: CircleTask(edges=1), "edges: expected 2 <= min_edges <= edges for a circle, got .*None, edges=1"),
        (lambda: CircleTask(min_edges=1), "min_edges: expected 2 <= min_edges <= edges for a circle, got min_edges=1"),
        (lambda: CircleTask(min_edges=7), "got min_edges=7, edges=6"),
        (lambda: LineTask(edges=0), "expected 1 <= min_edges <= edges for a line"),
        (lambda: CircleTask(corruption=1.5), r"corruption: expected a probability in \[0, 1\], got 1.5"),
        (lambda: CircleTask(encoding="pairs"), "encoding: expected 'edge_list' or 'walk', got 'pairs'"),
        (lambda: CircleTask(reward_form="soft"), "reward_form: expected 'exact' or 'graded', got 'soft'"),
    ],
)
def test_impossible_settings_are_named_with_numbers(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_all_problems_are_shown_at_once():
    with pytest.raises(ValueError) as caught:
        CircleTask(vertices=3, encoding="x", corruption=-1)
    assert len(str(caught.value).splitlines()) == 3


def test_prompts_and_description():
    assert CIRCLE.prompts(3, seed=0) == ["", "", ""]
    text = CIRCLE.describe()
    assert list(text.distances) == ["directed", "undirected", "pattern"] and text.correct_at == 1.0
    assert "2504.15266" in text.source and "4 edges over 10 vertices" in text.summary
    assert not text.notes and CIRCLE_WALK.describe().notes


def test_picture_is_safe_well_formed_and_shows_validity():
    right, wrong = CIRCLE.picture("0 1 1 2 2 3 3 0"), CIRCLE.picture("0 0 1 2 2 1 3 4")
    for drawing in (right, wrong):
        root = ET.fromstring(drawing)
        assert {element.tag.split("}")[1] for element in root.iter()} <= {"svg", "title", "g", "path", "circle", "text"}
        assert "currentColor" in drawing and " id=" not in drawing and "nan" not in drawing
    assert "<title>valid: 0→1, 1→2, 2→3, 3→0</title>" in right and "stroke-dasharray" not in right
    assert "<title>invalid: " in wrong and "stroke-dasharray" in wrong
