"""Classes from canonical keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadth.partitions.canonical import kinds_from_keys


def test_classes_are_numbered_by_first_appearance_inside_each_group():
    kinds = kinds_from_keys(["b", "a", "b", "a", "c", "b"], [5, 5, 5, 2, 5, 2])
    assert kinds.tolist() == [0, 1, 0, 0, 2, 1] and kinds.dtype == np.int64


def test_each_unparsable_answer_is_a_class_of_its_own():
    assert kinds_from_keys([None, None, "a", None, "a"], [0] * 5).tolist() == [0, 1, 2, 3, 2]


def test_empty_and_singletons():
    assert kinds_from_keys([], []).tolist() == []
    assert kinds_from_keys(["a", None], np.array([1, 0])).tolist() == [0, 0]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="expected equal lengths, got 2 keys and 3 group labels"):
        kinds_from_keys(["a", "b"], [0, 0, 0])


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(-2, 2)), max_size=30))
def test_same_class_exactly_when_same_group_and_same_key(items):
    keys, group = [k for k, _ in items], [g for _, g in items]
    kinds = kinds_from_keys(keys, group)
    for i in range(len(items)):
        for j in range(len(items)):
            if group[i] == group[j]:
                assert (kinds[i] == kinds[j]) == (i == j or (keys[i] is not None and keys[i] == keys[j]))
    for label in set(group):
        own = kinds[np.array(group) == label]
        assert sorted(set(own.tolist())) == list(range(len(set(own.tolist()))))
