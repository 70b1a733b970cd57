"""Arithmetic expressions: read without evaluating code, computed exactly, and told apart up to order and grouping.

The canonical form of an expression is what remains when the order of the terms of a sum and of the factors of a product, and all grouping that
these make needless, are forgotten. What is the same and what is not:

==========================================  =======================================================
the same                                    different
==========================================  =======================================================
``a+b``, ``b+a``                            ``a-b``, ``b-a``
``(a+b)+c``, ``a+(b+c)``                    ``(a-b)*(c-d)``, ``(b-a)*(d-c)``: signs are not moved
``a-b-c``, ``a-(b+c)``, ``a-c-b``           ``a*(b+c)``, ``a*b+a*c``: nothing is multiplied out
``a-(b-c)``, ``a+c-b``                      ``a*1``, ``a/1``: values play no part
``a/b/c``, ``a/(b*c)``                      ``2*2``, ``2+2``: nor does the result
``a/(b/c)``, ``a*c/b``                      ``4/2``, ``2``
==========================================  =======================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

MAX_CHARACTERS, MAX_NUMBERS, MAX_DIGITS, MAX_DEPTH = 512, 32, 9, 32
_TOKEN = re.compile(r"\s*(?:(\d+)|([-+*/()]))")
_SPELLINGS = str.maketrans({"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-", "–": "-"})


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression in canonical form.

    ``key`` is the form as text (itself an expression), ``value`` the exact result, None where the expression as it was written divides by
    zero, ``numbers`` the numbers in it, sorted, ``parts`` the keys of all its sub-expressions of at least two numbers, itself among them.
    """

    key: str
    value: Fraction | None
    numbers: tuple[int, ...]
    parts: tuple[str, ...]
    _sum: bool | None = field(repr=False, compare=False)  # True a sum, False a product, None a single number
    _terms: tuple[tuple[Expression, bool], ...] = field(repr=False, compare=False)  # (member, added or multiplied)


def number(value: int) -> Expression:
    """Return a single number as an expression."""
    return Expression(str(value), Fraction(value), (value,), (), None, ())


def combine(a: Expression, operator: str, b: Expression) -> Expression:
    """Return ``a operator b`` in canonical form; ``operator`` is one of ``+ - * /``.

    Examples
    --------
    >>> three, five = number(3), number(5)
    >>> combine(five, "-", combine(three, "-", number(1))).key
    '1+5-3'
    """
    is_sum = operator in "+-"
    members = [*_members(a, is_sum, True), *_members(b, is_sum, operator in "+*")]
    members.sort(key=lambda pair: (not pair[1], pair[0]._sum is not None, len(pair[0].key), pair[0].key))
    if is_sum:
        key = "".join(("+" if up else "-") + m.key for m, up in members)
    else:
        key = "".join(("*" if up else "/") + (f"({m.key})" if m._sum else m.key) for m, up in members)
    inner = [part for m, _ in members for part in m.parts]
    return Expression(
        key[1:], _value(a.value, operator, b.value), tuple(sorted((*a.numbers, *b.numbers))), tuple(sorted((*inner, key[1:]))), is_sum,
        tuple(members),
    )  # fmt: skip


def _members(part: Expression, is_sum: bool, up: bool) -> list[tuple[Expression, bool]]:
    """Return the terms (factors) that a part brings into a sum (product); taking it away turns all of them over."""
    return [(m, u == up) for m, u in part._terms] if part._sum is is_sum else [(part, up)]


def _value(a: Fraction | None, operator: str, b: Fraction | None) -> Fraction | None:
    if a is None or b is None or (operator == "/" and b == 0):
        return None
    return a + b if operator == "+" else a - b if operator == "-" else a * b if operator == "*" else a / b


def read_expression(text: str) -> Expression | None:
    """Return the expression that a text is; None where it is not one, whole and alone.

    Whole numbers without sign and leading zero, ``+ - * /`` (also ``× · ÷ −``), round brackets, white space. Not taken: signs, powers,
    decimals, products without a sign between; more than 512 characters, 32 numbers, 9 digits in one or 32 brackets around one.
    Nothing is evaluated as code; the value is exact.

    Examples
    --------
    >>> found = read_expression("(3 + 7) * 12")
    >>> found.key, found.value, found.numbers
    ('12*(3+7)', Fraction(120, 1), (3, 7, 12))
    >>> read_expression("1 / (2 - 2)").value is None, read_expression("3 +") is None, read_expression("__import__('os')") is None
    (True, True, True)
    """
    return _read(text) if len(text) <= MAX_CHARACTERS else None


@lru_cache(maxsize=1 << 16)  # score, key and distance of an answer share a parse; texts of any length would make this grow to gigabytes
def _read(text: str) -> Expression | None:
    tokens = _tokens(text)
    if tokens is None:
        return None
    values: list[Expression] = []
    waiting: list[str] = []
    after_value, depth = False, 0
    for token in tokens:
        if token not in "+-*/()":
            if after_value:
                return None
            values.append(number(int(token)))
            after_value = True
        elif token == "(":
            depth += 1
            if after_value or depth > MAX_DEPTH:
                return None
            waiting.append(token)
        elif not after_value:  # an operator or a closing bracket without anything before it
            return None
        elif token == ")":
            while waiting and waiting[-1] != "(":
                _apply(values, waiting.pop())
            if not waiting:
                return None
            waiting.pop()
            depth -= 1
        else:
            while waiting and waiting[-1] != "(" and (waiting[-1] in "*/" or token in "+-"):
                _apply(values, waiting.pop())
            waiting.append(token)
            after_value = False
    if not after_value or depth:
        return None
    while waiting:
        _apply(values, waiting.pop())
    return values[0]


def _apply(values: list[Expression], operator: str) -> None:
    b, a = values.pop(), values.pop()
    values.append(combine(a, operator, b))


def _tokens(text: str) -> list[str] | None:
    text = text.translate(_SPELLINGS).strip()
    tokens, place, n_numbers = [], 0, 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            return None
        digits = found[1]
        if digits:
            n_numbers += 1
            if (
                not digits.isascii()
                or len(digits) > MAX_DIGITS
                or (digits[0] == "0" and len(digits) > 1)
                or n_numbers > MAX_NUMBERS
            ):
                return None
        tokens.append(digits or found[2])
        place = found.end()
    return tokens or None


def canonical_expression(text: str) -> str | None:
    """Return the canonical form of an expression as text; None where the text is not one. See the head of this module.

    As a partition: ``breadth.partition("canonical", key="expression")``.

    Examples
    --------
    >>> canonical_expression("8 - (2 - 4)"), canonical_expression("4 + 8 - 2"), canonical_expression("12 / (6 / 3)")
    ('4+8-2', '4+8-2', '3*12/6')
    """
    found = read_expression(text)
    return None if found is None else found.key


def structure_distance(a: Sequence[str], b: Sequence[str]) -> float:
    """Return how unlike two expressions are built: 1 − |A ∩ B| / |A ∪ B| of the multisets of their ``parts``, in [0, 1].

    0 exactly where the canonical forms are equal (two single numbers: where neither has a part). Two expressions that share no
    intermediate result's form are at 1.

    Source: this project; the Jaccard distance of sub-expressions. Departures: none.

    Examples
    --------
    >>> parts = [read_expression(text).parts for text in ("(3+7)*12", "12*(7+3)", "(3+7)+12", "(3+7)/12")]
    >>> [round(structure_distance(parts[0], other), 3) for other in parts]
    [0.0, 0.0, 1.0, 0.667]
    """
    if not a and not b:
        return 0.0
    rest, common = list(b), 0
    for part in a:
        if part in rest:
            rest.remove(part)
            common += 1
    return 1 - common / (len(a) + len(b) - common)
