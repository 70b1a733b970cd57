"""Puzzles: every solution is found, the splits do not meet, and what is drawn has a solution."""

import gzip
import itertools
import json
from fractions import Fraction

import numpy as np
import pytest

from breadth.partitions.expressions import read_expression
from breadth.seeds import numpy_generator
from breadth.tasks.puzzle_draws import PuzzleDraws
from breadth.tasks.puzzles import Puzzle, all_expressions, draw_expression, read_puzzle_file, solutions, split_of


def test_number_of_expressions_of_numbers_in_general_position():
    # 1, 6, 68, 1170 different values: OEIS A140606; signs of differences are not moved, so 1260 forms for four numbers
    for n, forms, values in ((1, 1, 1), (2, 6, 6), (3, 68, 68), (4, 1260, 1170)):
        found = all_expressions((101, 1009, 10007, 100003)[:n])
        assert len(found) == forms and len({e.value for e in found.values()}) == values


def _brute_force(numbers, target):
    """Keys of all fully bracketed expressions, by plain recursion over ordered pairs: an independent enumeration."""
    keys = set()

    def go(parts):
        if len(parts) == 1:
            text, value = parts[0]
            if value == target:
                keys.add(read_expression(text).key)
            return
        for i, j in itertools.permutations(range(len(parts)), 2):
            (a, x), (b, y) = parts[i], parts[j]
            rest = [p for k, p in enumerate(parts) if k not in (i, j)]
            for operator in "+-*/":
                if operator == "/" and y == 0:
                    continue
                value = {"+": x + y, "-": x - y, "*": x * y}[operator] if operator != "/" else x / y
                go([*rest, (f"({a}{operator}{b})", value)])

    go([(str(n), Fraction(n)) for n in numbers])
    return keys


@pytest.mark.parametrize(
    ("numbers", "target"), [((3, 7, 12), 120), ((2, 2, 2), 6), ((4, 4, 4), 1), ((1, 5, 6), 30), ((3, 3, 8, 8), 24)]
)
def test_solutions_are_those_of_a_plain_search(numbers, target):
    assert set(solutions(Puzzle(numbers, target))) == _brute_force(numbers, target)


def test_counts_of_game24_are_those_of_the_data_set(shared_data):
    with gzip.open(shared_data / "game24.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines][::60]
    for row in rows:
        assert len(solutions(Puzzle(tuple(sorted(row["numbers"])), 24))) == row["n_distinct_solutions"], row["numbers"]


def test_splits_are_by_the_numbers_alone():
    every = list(itertools.combinations_with_replacement(range(1, 21), 3))
    shares = {s: np.mean([split_of(n, 0.1) == s for n in every]) for s in ("train", "valid", "test")}
    assert 0.76 < shares["train"] < 0.84 and 0.07 < shares["valid"] < 0.13 and 0.07 < shares["test"] < 0.13
    assert split_of((12, 3, 7), 0.1) == split_of((3, 7, 12), 0.1)


def test_drawn_expressions_read_back_to_their_value_and_use_every_number():
    generator = np.random.default_rng(0)
    seen = 0
    for _ in range(2000):
        numbers = tuple(sorted(generator.integers(1, 13, 4).tolist()))
        drawn = draw_expression(numbers, generator.random(9))
        if drawn is None:
            continue
        read = read_expression(drawn.text)
        assert read.value == Fraction(drawn.top, drawn.bottom) and read.numbers == numbers
        seen += 1
    assert seen > 1900


def test_every_solution_can_be_drawn():
    generator, wanted = np.random.default_rng(1), solutions(Puzzle((2, 3, 4), 24))
    found = set()
    for _ in range(20_000):
        drawn = draw_expression((2, 3, 4), generator.random(6))
        if drawn is not None and drawn.bottom == 1 and drawn.top == 24:
            found.add(read_expression(drawn.text).key)
    assert found == set(wanted)


def test_large_puzzles_are_drawn_without_listing_them():
    draws = PuzzleDraws(count=6, max_number=100, low=1, high=1000, held_out=0.1)
    assert draws._multisets is None
    found = draws.draw(50, numpy_generator(0, "x"), split="test")
    assert all(split_of(p.numbers, 0.1) == "test" and read_expression(text).value == p.target for p, text in found)


def test_fixed_puzzles_begin_alike_whatever_their_number_and_run_out_with_words():
    draws = PuzzleDraws(count=3, max_number=6, low=1, high=20, held_out=0.2)
    assert draws.distinct(20, split="valid")[:7] == draws.distinct(7, split="valid")
    with pytest.raises(
        ValueError, match=r"100000 different prompts of the split 'valid' were asked for, \d+ were found: ask for fewer"
    ):
        draws.distinct(100_000, split="valid")
    with pytest.raises(
        ValueError, match="made no puzzle with a target of 99999 to 99999: raise max_number or max_target"
    ):
        PuzzleDraws(count=2, max_number=9, low=99_999, high=99_999, held_out=0.2).draw(
            1, numpy_generator(0), split="train"
        )


def test_puzzle_files(tmp_path):
    path = tmp_path / "p.jsonl.gz"
    with gzip.open(path, "wt") as out:
        out.write(
            '{"numbers": [8, 3, 3, 8]}\n\n{"numbers": [1, 2], "target": 3, "more": 1}\n{"numbers": [3, 8, 3, 8]}\n'
        )
    assert read_puzzle_file(path) == [Puzzle((3, 3, 8, 8), 24), Puzzle((1, 2), 3)]
    for line, words in (
        ('{"numbers": [1]}', "line 1: expected"),
        ("[1, 2]", "line 1"),
        ('{"numbers": ["a", 2]}', "line 1"),
        ("{", "line 1"),
    ):
        (tmp_path / "bad.jsonl").write_text(line + "\n")
        with pytest.raises(ValueError, match=words):
            read_puzzle_file(tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="at least one puzzle"):
        read_puzzle_file(tmp_path / "bad.jsonl")
    with pytest.raises(FileNotFoundError, match="puzzles: no such file"):
        read_puzzle_file(tmp_path / "none.jsonl")
