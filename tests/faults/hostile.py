"""Cases for the readers of files from elsewhere: near misses of each format, and what trips a parser anywhere."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

DEEP = 20_000  # brackets: far beyond what a parser that calls itself can go down
LONG = 5_000  # digits: Python turns no text of more than 4,300 into a number

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=6), x, max_size=3),
    max_leaves=8,
)

#: JSON that is legal, or nearly, and more than a reader bargains for
EXTREME_JSON = [
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"9" * LONG,
    b'{"prompt": "p", "response": "r", "reward": ' + b"9" * 400 + b"}",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b'"\\ud800"',
    b'{"prompt": "\\ud800", "response": "\\udfff"}',
    b"\xef\xbb\xbf{}",
    b"\x00",
    b"\xff\xfe{\x00}\x00",
    b'{"a": 1, "a": 2}',
    b"{} {}",
    b'{"numbers": [' + b"9" * LONG + b", 1]}",
    b"\x1f\x8b",
    b"\r\n",
    b"'",
    b'{"step": 1e400}',
    b'{"step": 9' + b"0" * 400 + b"}",
]

EXTREME_TEXT = [
    "",
    " ",
    "\x00",
    "\ud800",
    "\u2028",
    "9" * LONG,
    "(" * DEEP,
    "[" * DEEP,
    "{" * DEEP,
    "\\boxed{" * DEEP,
    "\\frac{" * 2_000,
    "1e999",
    "٣",
    "½",
    "−1",
    "a" * 100_000,
    "(" * 40 + "1" + ")" * 40,
    "1" + "+1" * 200,
    "C" * 500,
    "C1" * 120,
    "[C" * 99,
    "%99" * 50,
    "C(" * 300,
    "[Og+99]",
    "[9999C]",
    "C%(12345)",
    "0 " * 5_000,
    "$" * 3_000,
]

texts = st.text(max_size=60) | st.sampled_from(EXTREME_TEXT)


def words_of(*signs: str, most: int = 24) -> SearchStrategy[str]:
    """Return texts made of these pieces, with a stray character now and then."""
    return st.lists(st.sampled_from(signs) | st.characters(), max_size=most).map("".join)


smiles = words_of(
    *"CNOcnoFSPBI[]()=#+-.:/\\@%*123456789", "Cl", "Br", "[nH]", "[C@@H]", "[O-]", "c1ccccc1", "%10", "H", ">", "$"
)
expressions = words_of(*"0123456789+-*/() \n=", "×", "÷", "−", "->", "**", "//", " ")
formulas = words_of(
    *"0123456789{}$^_=,.%\\ ",
    "\\boxed{",
    "\\frac",
    "\\text{",
    "\\sqrt",
    "####",
    "answer is ",
    "</answer>",
    "<answer>",
    "\n",
    "}",
)
edges = st.lists(st.sampled_from([*map(str, range(12)), "03", "-1", "٣", "1e0", "x", "\x00"]), max_size=16).map(
    " ".join
)


def objects(*names: str, value: SearchStrategy = json_values) -> SearchStrategy[dict]:
    """Return JSON objects with some of these names, and any values."""
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=5), value, max_size=len(names))


def lines(rows: SearchStrategy) -> SearchStrategy[bytes]:
    """Return lines of JSON, whole or not."""
    whole = rows.map(lambda row: json.dumps(row).encode())
    return st.lists(whole | whole | st.binary(max_size=12) | st.sampled_from(EXTREME_JSON), max_size=5).map(b"\n".join)


def documents(shape: SearchStrategy) -> SearchStrategy[bytes]:
    """Return one JSON document, whole or not."""
    whole = shape.map(lambda value: json.dumps(value).encode())
    return (
        whole
        | whole
        | whole.map(lambda data: data[: len(data) // 2])
        | st.sampled_from(EXTREME_JSON)
        | st.binary(max_size=40)
    )


def tables(*names: str, cells: SearchStrategy[str] | None = None, separator: str = ",") -> SearchStrategy[bytes]:
    """Return delimited tables, with some of these column names."""
    cell = (
        (cells if cells is not None else st.nothing())
        | st.text(max_size=8)
        | st.sampled_from(["1", "0", "0.5", "nan", "inf", "1e999", "", "C", "train"])
    )

    def write(parts: tuple[list[str], list[list[str]], bytes]) -> bytes:
        head, rows, tail = parts
        text = io.StringIO()
        with_quotes = csv.writer(text, delimiter=separator, escapechar="\\", quoting=csv.QUOTE_MINIMAL)
        for row in (head, *rows):
            with_quotes.writerow(row)
        return text.getvalue().encode("utf-8", "surrogatepass") + tail

    head = st.lists(st.sampled_from(names), max_size=len(names), unique=True) | st.lists(cell, max_size=4)
    tail = st.just(b"") | st.binary(max_size=8) | st.sampled_from([b'"', b'"' + b"a" * 200_000, b"\x00", b"," * 300])
    return st.tuples(head, st.lists(st.lists(cell, max_size=len(names) + 1), max_size=5), tail).map(write)


def zipped(data: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """Return gzip files, whole, cut, or with a byte changed."""

    def spoil(parts: tuple[bytes, int, int]) -> bytes:
        whole, how, at = parts
        made = bytearray(gzip.compress(whole, 1, mtime=0))
        if how == 1:
            del made[at % len(made) :]
        elif how == 2:
            made[at % len(made)] ^= 1 + at % 255
        return bytes(made)

    return st.tuples(data, st.integers(0, 2), st.integers(0, 4_000)).map(spoil)


def some(*choices: Sequence) -> SearchStrategy:
    return st.sampled_from([one for group in choices for one in group])
