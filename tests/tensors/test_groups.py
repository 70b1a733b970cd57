"""Reductions by group against a plain loop, for ragged groups, odd labels and missing values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from breadth.tensors import groups

LABELS = st.integers(-(2**62), 2**62)
VALUES = st.one_of(st.just(float("nan")), st.sampled_from([0.0, 1.0, 0.1]), st.floats(-5, 5))


@st.composite
def grouped(draw):
    pool = draw(st.lists(LABELS, min_size=1, max_size=4, unique=True))
    rows = draw(st.lists(st.tuples(st.sampled_from(pool), VALUES), min_size=1, max_size=20))
    label, value = zip(*rows, strict=True)
    return torch.tensor(value, dtype=torch.float64), torch.tensor(label)


def loop(values, group, of):
    """Return of(members, i) for each i, with members the scored values of i's group; NaN where i is unscored."""
    out = []
    for i in range(len(values)):
        rows = [j for j in range(len(values)) if group[j] == group[i] and not values[j].isnan()]
        out.append(of(values[rows], values[i], i in rows))
    return torch.tensor(out, dtype=torch.float64)


NAN = float("nan")


@settings(max_examples=60, deadline=None)
@given(grouped())
def test_against_a_loop(case):
    values, group = case
    same = {"rtol": 0, "atol": 1e-9, "equal_nan": True}
    close = torch.testing.assert_close
    close(groups.group_count(group, keep=~values.isnan()).double(), loop(values, group, lambda m, v, k: len(m)), **same)
    close(groups.group_sum(values, group), loop(values, group, lambda m, v, k: m.sum()), **same)
    close(groups.group_mean(values, group), loop(values, group, lambda m, v, k: m.mean()), **same)
    close(groups.group_centre(values, group), loop(values, group, lambda m, v, k: v - m.mean() if k else NAN), **same)
    for ddof in (0, 1):
        expected = loop(values, group, lambda m, v, k, d=ddof: m.std(correction=d) if len(m) > d else NAN)
        close(groups.group_deviation(values, group, ddof=ddof), expected, **same)
    others = loop(values, group, lambda m, v, k: (m.sum() - (v if k else 0)) / (len(m) - k) if len(m) > k else NAN)
    close(groups.leave_one_out_mean(values, group), others, **same)
    rank = loop(values, group, lambda m, v, k: (m < v).sum() + ((m == v).sum() - 1) / 2 if k else NAN)
    close(groups.group_rank(values, group), rank, **same)
    falling = loop(values, group, lambda m, v, k: (m > v).sum() + ((m == v).sum() - 1) / 2 if k else NAN)
    close(groups.group_rank(values, group, descending=True), falling, **same)


@settings(max_examples=40, deadline=None)
@given(grouped(), st.integers(0, 1000))
def test_classes_and_distances_against_a_loop(case, seed):
    values, group = case
    n, keep = len(values), ~values.isnan()
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(-2, 2, (n,), generator=generator)
    distance = torch.rand(n, n, generator=generator, dtype=torch.float64)
    alike = [sum(bool(keep[j] and group[j] == group[i] and kind[j] == kind[i]) for j in range(n)) for i in range(n)]
    assert groups.class_count(kind, group, keep=keep).tolist() == alike
    near = [[j for j in range(n) if keep[j] and group[j] == group[i] and j != i] for i in range(n)]
    mean = torch.tensor([distance[i, rows].mean() if rows else NAN for i, rows in enumerate(near)], dtype=torch.float64)
    torch.testing.assert_close(
        groups.mean_distance(distance, group, keep=keep), mean, equal_nan=True, rtol=0, atol=1e-12
    )


def test_equal_values_are_exactly_centred():
    values = torch.full((7,), 0.1)  # their float32 mean is not 0.1
    group = torch.zeros(7, dtype=torch.int64)
    assert groups.group_centre(values, group).abs().max() == 0
    assert groups.group_deviation(values, group).max() == 0


def test_means_are_differentiable():
    group = torch.tensor([3, 3, 5])
    values = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64, requires_grad=True)
    for function in (groups.group_mean, groups.group_centre, groups.group_sum):
        assert torch.autograd.gradcheck(lambda v, f=function: f(v, group), values)


def test_groups_are_counted():
    group = torch.tensor([5, 5, 9, 9, 1])
    keep = torch.tensor([True, True, True, False, True])
    assert groups.n_groups(group) == 3
    assert groups.n_groups(group, keep=keep, at_least=2) == 1


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: groups.group_index(torch.zeros(2)), TypeError, "group: expected integer labels, got torch.float32"),
        (
            lambda: groups.group_index(torch.zeros(2, 2).long()),
            ValueError,
            r"group: expected shape \(N,\), got \(2, 2\)",
        ),
        (lambda: groups.group_sum(torch.zeros(3), torch.zeros(2).long()), ValueError, r"values: expected shape \(2,\)"),
        (lambda: groups.class_count(torch.zeros(3).long(), torch.zeros(2).long()), ValueError, "kind: expected shape"),
        (
            lambda: groups.mean_distance(torch.zeros(3, 2), torch.zeros(3).long()),
            ValueError,
            r"expected shape \(3, 3\)",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_equal_values_are_centred_to_exactly_nothing_beside_an_unscored_one():
    """The least value is taken among those that count: a member that does not must not bring rounding in."""
    values = torch.tensor([0.1] * 7 + [float("nan")])
    assert groups.group_centre(values, torch.zeros(8, dtype=torch.int64))[:7].tolist() == [0.0] * 7


def test_deviations_of_values_whose_squares_overflow():
    values, group = torch.tensor([1.0, 2.0, 4.0, 3.0, 5.0]), torch.tensor([0, 0, 0, 1, 1])
    expected = groups.group_deviation(values, group)
    assert torch.allclose(groups.group_deviation(values * 1e30, group) / 1e30, expected, rtol=1e-6)
    assert torch.allclose(groups.group_deviation(values * 1e14, group) / 1e14, expected, rtol=1e-6)
