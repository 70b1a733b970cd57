"""Expressions: read without evaluating code, exact, and the same up to order and grouping."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import breadth
from breadth.partitions.expressions import canonical_expression, read_expression, structure_distance

SAME = [
    ("1+2", "2+1"), ("(1+2)+3", "1+(2+3)"), ("9-2-3", "9-(2+3)"), ("9-2-3", "9-3-2"), ("9-(2-3)", "9+3-2"), ("9-(2-(3-4))", "3+9-2-4"),
    ("8/2/4", "8/(2*4)"), ("8/(2/4)", "8*4/2"), ("8/(2/(4/6))", "4*8/2/6"), ("(3+7)*12", "12*(7+3)"), ("2*(3*4)", "4*3*2"),
    ("3+(4*5)", "3+4*5"), ("((3))+4", "4+3"), ("3×4", "3*4"), ("8÷2−1", "8/2-1"), (" 3\t+ 4 ", "3+4"),
]  # fmt: skip
DIFFERENT = [
    ("1-2", "2-1"), ("(5-3)*(7-4)", "(3-5)*(4-7)"), ("2*(3+4)", "2*3+2*4"), ("5*1", "5/1"), ("2*2", "2+2"), ("4/2", "2"), ("9-(2-3)", "9-2-3"),
    ("8/(2/4)", "8/2/4"), ("2+3*4", "(2+3)*4"),
]  # fmt: skip
BAD = [
    "",
    " ",
    "3 +",
    "+ 3",
    "-3",
    "3 4",
    "3 + * 4",
    "(3",
    "3)",
    "()",
    "2(3)",
    "(2)(3)",
    "2**3",
    "2//3",
    "1.5",
    "03",
    "0x1F",
    "1e3",
    "3!",
    "x",
    "3 = 3",
    "__import__('os').system('true')",
    "３",
    "²",
    "٣+٤",
    "9999999999",
    "+".join(["1"] * 33),
    "(" * 33 + "1" + ")" * 33,
    "1 " * 400,
    "\x00",
    "1\u200b+2",
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_equal_up_to_order_and_grouping(a, b):
    assert canonical_expression(a) == canonical_expression(b)
    assert read_expression(a).value == read_expression(b).value


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_nothing_more_is_merged(a, b):
    assert canonical_expression(a) != canonical_expression(b)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_expression_is_none(text):
    assert read_expression(text) is None and canonical_expression(text) is None


def test_values_are_exact_and_division_by_zero_has_none():
    assert read_expression("8/(3-8/3)").value == 24
    assert read_expression("1/3+1/3+1/3").value == Fraction(1)
    for text in ("1/0", "1/(2-2)", "0/(1/0)", "5*(1/(3-3))", "(1/0)*0"):
        assert read_expression(text).value is None and read_expression(text).key
    # the quotient a/(b/0) has no value though its canonical form a*0/b would have one
    assert read_expression("4/(2/0)").value is None and read_expression("4*0/2").value == 0


def test_largest_input_that_is_taken():
    assert read_expression("+".join(["999999999"] * 32)).value == 32 * 999_999_999
    assert read_expression("(" * 32 + "1" + ")" * 32).value == 1


_NUMBERS = st.integers(0, 20).map(str)
_EXPRESSIONS = st.recursive(
    _NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]}){t[1]}({t[2]})"),
    max_leaves=8,
)


def _python_value(text):
    """The value by Python's own arithmetic on fractions, an independent reading."""
    import re

    try:
        return eval(re.sub(r"(\d+)", r"F(\1)", text), {"__builtins__": {}, "F": Fraction})
    except ZeroDivisionError:
        return None


@given(_EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_value_key_and_numbers_of_random_expressions(text):
    found = read_expression(text)
    assert found.value == _python_value(text)
    again = read_expression(found.key)
    assert again.key == found.key, "the canonical form is its own canonical form"
    assert (
        again.numbers
        == found.numbers
        == tuple(sorted(int(n) for n in text.replace("(", " ").replace(")", " ").split() if n.isdigit()))
    )
    if found.value is not None:
        assert again.value == found.value == _python_value(found.key)


@given(_EXPRESSIONS, _EXPRESSIONS, _EXPRESSIONS)
@settings(max_examples=50, deadline=None)
def test_commuting_and_regrouping_leaves_the_key(a, b, c):
    for one, other in (("({a})+({b})", "({b})+({a})"), ("({a})*({b})", "({b})*({a})"), ("(({a})+({b}))+({c})", "({c})+(({b})+({a}))"),
                       ("({a})-(({b})-({c}))", "(({a})+({c}))-({b})"), ("({a})/(({b})/({c}))", "(({a})*({c}))/({b})")):  # fmt: skip
        keys = [canonical_expression(form.format(a=a, b=b, c=c)) for form in (one, other)]
        assert keys[0] == keys[1]


def test_structure_distance_by_hand():
    parts = {text: read_expression(text).parts for text in ("(1+2)*3", "3*(2+1)", "(1+2)-3", "1+2+3", "1*2*3", "7")}
    assert structure_distance(parts["(1+2)*3"], parts["3*(2+1)"]) == 0
    # {1+2, 3*(1+2)} and {1+2-3}: a flattened sum has no inner sum
    assert structure_distance(parts["(1+2)*3"], parts["(1+2)-3"]) == 1
    assert structure_distance(read_expression("(1+2)*3").parts, read_expression("(1+2)/3").parts) == pytest.approx(
        2 / 3
    )
    assert structure_distance(parts["7"], parts["7"]) == 0 and structure_distance(parts["7"], parts["1+2+3"]) == 1


def test_as_a_partition():
    same = breadth.partition("canonical", key="expression")
    assert same(["(3+7)*12", "12*(7+3)", "12*7+3", "no", "no"]).tolist() == [0, 0, 1, 2, 3]


def test_long_texts_are_refused_before_they_are_remembered():
    """What a policy rambles on must not be kept: 65,536 texts of 30,000 characters would be 2 GB."""
    from breadth.partitions import expressions

    before = expressions._read.cache_info().currsize
    for i in range(100):
        assert read_expression(f"1+{i}" + " " * expressions.MAX_CHARACTERS) is None
    assert expressions._read.cache_info().currsize == before
    assert read_expression("1+" * 10 + "987654321") is not None
    assert expressions._read.cache_info().currsize == before + 1
