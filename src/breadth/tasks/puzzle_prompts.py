"""Number puzzles as prompts, in bare tokens and in English, and the expression that an answer ends with."""

from __future__ import annotations

import re

from breadth.tasks.puzzles import Puzzle

MAX_CHARACTERS = 20_000  # of an answer that are looked through, from its end
_TOKENS = re.compile(r"((?:\d+ )+)-> (\d+) :")
_WORDS = re.compile(r"numbers ((?:\d+, )*\d+ and \d+), .* equal to (\d+)\.", re.DOTALL)
_ASK = (
    "Write an arithmetic expression of the numbers {numbers}, each used exactly once, with + - * / and brackets, that is equal to {target}. "
    "Think as long as you like, and end with the expression alone inside \\boxed{{}}."
)
_BOXED, _TAGGED = re.compile(r"\\boxed\s*\{([^{}]*)\}"), re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def write_prompt(puzzle: Puzzle, *, words: bool) -> str:
    """Return the prompt of a puzzle: bare tokens, or an English sentence.

    Examples
    --------
    >>> write_prompt(Puzzle((3, 7, 12), 120), words=False)
    '3 7 12 -> 120 :'
    """
    shown = list(map(str, puzzle.numbers))
    if not words:
        return f"{' '.join(shown)} -> {puzzle.target} :"
    return _ASK.format(numbers=f"{', '.join(shown[:-1])} and {shown[-1]}", target=puzzle.target)


def read_prompt(prompt: str) -> Puzzle:
    """Return the puzzle of a prompt of either form.

    Raises
    ------
    ValueError
        The text is no such prompt.

    Examples
    --------
    >>> read_prompt("12 3 7 -> 120 :"), read_prompt(write_prompt(Puzzle((1, 2), 3), words=True))
    (Puzzle(numbers=(3, 7, 12), target=120), Puzzle(numbers=(1, 2), target=3))
    """
    found = _TOKENS.fullmatch(prompt.strip()) or _WORDS.search(prompt)
    if not found:
        raise ValueError(f"countdown: expected a prompt such as '3 7 12 -> 120 :', got {prompt[:120]!r}")
    return Puzzle(tuple(sorted(map(int, re.findall(r"\d+", found[1])))), int(found[2]))


def answer_in(text: str) -> str:
    """Return the expression that a text ends with: in the last ``\\boxed{}``, else the last ``<answer>`` tags, else the whole text.

    LaTeX's ``\\times``, ``\\cdot`` and ``\\div`` become signs; ``= 24`` after the expression is left out.

    Examples
    --------
    >>> answer_in("8 / (3 - 8 / 3)"), answer_in(r"so \\boxed{3 \\times 8 = 24}"), answer_in("<answer>3*8</answer> done")
    ('8 / (3 - 8 / 3)', '3 * 8', '3*8')
    """
    text = text[-MAX_CHARACTERS:]
    found = _BOXED.findall(text) or _TAGGED.findall(text)
    if found:
        text = found[-1].strip().strip("$")
        for latex, sign in (("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("\\left", ""), ("\\right", "")):
            text = text.replace(latex, sign)
        text = re.sub(r"\s*=\s*\d+\s*$", "", text)
    return text.strip()
