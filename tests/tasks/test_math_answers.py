"""Final answers: found where solutions put them, equal where they are equal, and nothing else."""

import gzip
import json
import time
from fractions import Fraction

import pytest

from breadth.tasks.math_answers import canonical_answer, final_answer, same_answer

EQUAL = [
    ("0.5", r"\frac{1}{2}"),
    (r"\frac12", r"\dfrac{1}{2}"),
    (r"\frac 59", "5/9"),
    (r"\frac43", r"\tfrac{4}{3}"),
    (r"\frac{270}7\text{ degrees}", r"\frac{270}{7}"),
    (r"10,\!080", "10080"),
    ("58,500", "58500"),
    ("1{,}024", "1024.0"),
    (r"11,\! 111,\! 111,\! 100", "11111111100"),
    (r"\$32,\!348", "32348"),
    (r"\$18.90", "18.9"),
    ("$18", "18"),
    (r"50\%", "50"),
    ("50%", "50"),
    (r"90^\circ", "90"),
    (r"90^{\circ}", "90 degrees"),
    ("5 cm", "5"),
    (r"864 \mbox{ inches}^2", "864"),
    (r"15\mbox{ cm}^2", r"15\text{ cm}^2"),
    (r"5.4 \text{ cents}", "5.4"),
    ("12 square feet", "12"),
    (r"\text{(C)}", "C"),
    (r"\text{(C)}", "(C)"),
    (r"\text{Evelyn}", "evelyn"),
    ("x=5", "5"),
    ("x = 5", " 5."),
    (r"x \in [-2,7]", "[-2, 7]"),
    (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})"),
    (r"\left(\frac{3}{5},\frac{8}{3}\right]", "(0.6, 8/3]"),
    ("1,-2", "-2, 1"),
    (r"\{1\pm\sqrt{5},-2\}", r"\{-2, 1 \pm \sqrt 5\}"),
    (r"11\sqrt2", r"11 \sqrt{2}"),
    ("4210_{5}", "4210_5"),
    (r"1\frac{4}{5}", "1.8"),
    (r"137 \frac{1}{2}", "137.5"),
    (r"-\frac{3}{8}", r"\frac{-3}{8}"),
    (".35625", "0.35625"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(-\infty,2)\cup(3,\infty)"),
    (r"8 \pi", r"8\pi"),
    (r"3\cdot 4", r"3 \times 4"),
    (r"\$5\$", "5"),
    (r"\boxed{7}", "7"),
    (r"\(7\)", "7"),
    ("7.", "7"),
    ("+7", "7"),
    ("−7", "-7"),
    ("3.00", "3"),
]
UNEQUAL = [
    ("3", "4"),
    ("0.5", "0.05"),
    ("1/2", "2/1"),
    ("-3", "3"),
    ("52_8", "52"),
    ("52_8", "52_9"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    (r"\sqrt{2}", "2"),
    ("y = 2x + 3", "2x + 4"),
    ("2ab", "2"),
    (r"3\sin x", "3"),
    ("3 sin x", "3"),
    ("1,2", "1,3"),
    ("12", "1,2"),
    ("1e3", "1000"),
    (r"\text{(A)}", r"\text{(B)}"),
    ("x^2", "x^3"),
    (r"1\frac{4}{5}", r"\frac{14}{5}"),
    ("", ""),
    (" ", " "),
    (r"\pi", "3.14"),
    ("100", "10"),
    ("5x", "5"),
]


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_equal_answers(a, b):
    assert canonical_answer(a) == canonical_answer(b) and same_answer(a, b) and same_answer(b, a)


@pytest.mark.parametrize(("a", "b"), UNEQUAL)
def test_unequal_answers(a, b):
    assert not same_answer(a, b) and not same_answer(b, a)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"so \boxed{\frac{1}{2}}, not \boxed{2}. Done", "2"),
        (r"\boxed{\left( 3, \frac{\pi}{2} \right)}", r"\left( 3, \frac{\pi}{2} \right)"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\fbox{3}", "3"),
        (r"$\boxed 5$", "5"),
        (r"first \boxed{3}, then \boxed{4", "3"),
        (r"cut off: \boxed{4", None),
        (r"\boxed{}", None),
        ("18 eggs\n#### 1,024\n", "1,024"),
        ("<answer>7</answer> or <ANSWER> 8 </ANSWER>", "8"),
        ("The answer is 3. No, the answer is 4.", "4"),
        ("The final answer is: **12** apples", "12** apples"),
        ("The answer is $x^2 + 1$. I hope it is correct.", "$x^2 + 1$"),
        ("Answer: 3.5", "3.5"),
        ("the result is 12 and then 15.5 in all", "15.5"),
        ("costs $1,234.50", "$1,234.50"),
        ("no number", None),
        ("", None),
    ],
)
def test_where_the_final_answer_stands(text, found):
    assert final_answer(text) == found


def test_hostile_texts_take_no_time():
    started = time.process_time()
    for text in (
        r"\boxed{" * 20_000,
        "<answer>" * 15_000,
        "answer is " * 10_000,
        "#### " * 20_000,
        "1" * 100_000,
        r"\boxed{" + "1," * 50_000 + "}",
        "(" * 100_000,
        r"\boxed{" + "{" * 40_000,
        r"\boxed{5 " + "a" * 90_000 + "!}",
        r"\boxed{" + "[" * 900 + "1,2" + "]" * 900 + "}",
        r"\text{" * 20_000,
        "9" * 1999 + "/7",
    ):
        said = final_answer(text)
        if said is not None:
            canonical_answer(said)
    assert time.process_time() - started < 20  # a blow-up takes hours; no bound on speed


def test_every_gold_answer_is_itself_and_not_a_changed_one(shared_data):
    def rows(name):
        with gzip.open(shared_data / f"{name}.jsonl.gz", "rt") as lines:
            return [json.loads(line) for line in lines]

    for name, n in (("gsm8k_test", 1319), ("math500", 500)):
        found = rows(name)
        assert len(found) == n
        for row in found:
            gold = row["answer"]
            assert same_answer(gold, gold) and same_answer(f"${gold}$", gold), gold
            marked = row["solution"] if name == "math500" else f"{row['solution']}\n#### {gold}"
            assert same_answer(final_answer(marked) or "", gold), gold
            form = canonical_answer(gold)
            try:
                changed = str(Fraction(form) + 1)
            except ValueError:
                changed = f"{gold} + 1"
            assert not same_answer(changed, gold), (changed, gold)
