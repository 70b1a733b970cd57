r"""Final answers of worked mathematics: finding them, and writing equal ones alike.

The canonical form is a string: an exact fraction for everything that is a number, cleaned-up LaTeX for everything else. Two answers count
as the same where their forms are equal. What it does not do: algebra (``2x+2`` and ``2(x+1)`` differ; math-verify knows better).

Conventions, those of the field's graders: a percent sign, a currency sign, a degree sign and a unit after a number are left out (``50\%`` is
50, ``5 \text{ cm}`` is 5); ``x = 5`` is 5; thousands separators go; ``3.0`` is 3; ``1\frac{4}{5}`` is 9/5; a base (``52_8``) stays.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARACTERS = 100_000  # of a worked solution that is looked through, from its end
MAX_ANSWER = 2_000  # of one final answer
MAX_BOXES = 16  # of the last boxes one is taken
_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_MARK = re.compile(r"####\s*(.+)")
_SAID = re.compile(r"answer\**\s*(?:is|=|:)\**:?", re.IGNORECASE)
_MATHS = re.compile(r"\$[^$\n]+\$|\\\([^\n]+?\\\)")
_NUMBER = re.compile(r"(?<![\w.])-?\$?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
_SPACES = re.compile(r"\\[,;:!> ]|\\q?quad\b|~|\s+")
_COMMANDS = (
    (r"\dfrac", r"\frac"), (r"\tfrac", r"\frac"), (r"\cfrac", r"\frac"), (r"\left", ""), (r"\right", ""), (r"\displaystyle", ""),
    (r"\leq", r"\le"), (r"\geq", r"\ge"), (r"\neq", r"\ne"), (r"\lbrace", r"\{"), (r"\rbrace", r"\}"), (r"\cdot", "*"), (r"\times", "*"),
    ("−", "-"), ("–", "-"), ("π", r"\pi"), ("∞", r"\infty"), ("×", "*"), ("°", ""), ("√", r"\sqrt"),
)  # fmt: skip
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mbox|mathrm|mathbf|operatorname|rm)\s*\{([^{}]*)\}(?:\^\{?\d\}?)?")
_ATTACHED = frozenset("mm cm km kg mg ml cl ft in yd mi lb lbs oz min hr hrs am pm mph kmh Hz".split())  # noqa: SIM905
_NO_UNIT = frozenset("sin cos tan cot sec csc log ln exp pi sqrt mod and or to in of ab ac bc xy xz yz".split())  # noqa: SIM905
_DECIMAL = re.compile(r"([-+]?)(\d+\.?\d*|\.\d+)")
_FRACTION = re.compile(r"([-+]?)\\frac\{([-+]?\d+)\}\{([-+]?\d+)\}")
_SLASH = re.compile(r"([-+]?\d+)/(\d+)")
_MIXED = re.compile(r"([-+]?)(\d+)\\frac\{(\d+)\}\{(\d+)\}")


def final_answer(text: str) -> str | None:
    r"""Return the final answer of a worked solution, as it is written; None where there is none.

    The last ``\boxed{…}`` with balanced braces; else what follows the last ``####``; else the last ``<answer>`` tags; else what follows
    the last "answer is"; else the last number. An opened box that never closes (a cut-off solution) is no answer.

    Parameters
    ----------
    text : str
        Its last 100,000 characters are looked at.

    Examples
    --------
    >>> final_answer(r"so \boxed{\frac{1}{2}}."), final_answer("18 eggs\n#### 1,024"), final_answer("The answer is $x^2$.")
    ('\\frac{1}{2}', '1,024', '$x^2$')
    >>> final_answer("first 3, then 7"), final_answer("no idea"), final_answer(r"so \boxed{\frac{1}{2}")
    ('7', None, None)
    """
    text = text[-MAX_CHARACTERS:]
    opened = [found.end() for found in _BOX.finditer(text)]
    for start in reversed(opened[-MAX_BOXES:]):
        inside = _braced(text, start)
        if inside is not None:
            return inside.strip()[:MAX_ANSWER] or None
    if opened:
        return None
    marks = _MARK.findall(text)
    if marks:
        return marks[-1].strip()[:MAX_ANSWER] or None
    lower = text.lower()
    closed = lower.rfind("</answer>")
    tagged = lower.rfind("<answer>", 0, closed) if closed >= 0 else -1
    if tagged >= 0:
        return text[tagged + len("<answer>") : closed].strip()[:MAX_ANSWER] or None
    said = [found.end() for found in _SAID.finditer(text)]
    if said:
        rest = text[said[-1] :].lstrip().split("\n")[0]
        formula = _MATHS.match(rest.lstrip("*: "))
        rest = formula[0] if formula else re.split(r"\.(?:\s|$)", rest)[0]
        return rest.strip().strip("*").strip()[:MAX_ANSWER] or None
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else None


def _braced(text: str, start: int) -> str | None:
    """Return what stands in the braces that open at ``start``, or the one token there; None where they never close."""
    if start >= len(text):
        return None
    if text[start] != "{":
        return text[start:].split("$")[0].split()[0] if text[start:].split("$")[0].split() else None
    depth = 0
    for place in range(start, len(text)):
        if text[place] in "{}" and (place == 0 or text[place - 1] != "\\"):
            depth += 1 if text[place] == "{" else -1
            if depth == 0:
                return text[start + 1 : place]
    return None


def canonical_answer(answer: str) -> str | None:
    r"""Return the canonical form of a final answer; None where nothing is left of it.

    Parameters
    ----------
    answer : str
        As :func:`final_answer` returns it, or a gold answer.

    Examples
    --------
    >>> canonical_answer(r"\$32,\!348"), canonical_answer(r"\dfrac{2}{4}"), canonical_answer("0.5"), canonical_answer(r"\frac12")
    ('32348', '1/2', '1/2', '1/2')
    >>> canonical_answer(r"864 \mbox{ inches}^2"), canonical_answer("x = 5"), canonical_answer(r"90^\circ"), canonical_answer("(3, .5]")
    ('864', '5', '90', '(3,1/2]')
    >>> canonical_answer(r"\text{(C)}"), canonical_answer("C"), canonical_answer("52_8"), canonical_answer(r"1\frac{4}{5}")
    ('C', 'C', '52_8', '9/5')
    """
    text = _clean(answer[:MAX_ANSWER])
    return _form(text) or None


def same_answer(a: str, b: str) -> bool:
    r"""Return whether two final answers have one canonical form.

    Examples
    --------
    >>> same_answer("1{,}024", "1024.0"), same_answer(r"(1, 2)", r"\left(1,2\right)"), same_answer("3", "4"), same_answer("", "")
    (True, True, False, False)
    """
    one = canonical_answer(a)
    return one is not None and one == canonical_answer(b)


def _clean(text: str) -> str:
    """Return an answer without dress: delimiters, spacing, units, currency, and one spelling of each command."""
    text = text.strip()
    for _ in range(3):  # $\text{...}$ and the like come in layers
        before = text
        text = text.strip().rstrip(".,;").strip()
        for left, right in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            if text.startswith(left) and text.endswith(right) and len(text) >= len(left) + len(right):
                text = text[len(left) : len(text) - len(right)]
        inner = re.fullmatch(r"\\(?:boxed|fbox)\s*\{(.*)\}", text, re.DOTALL)
        text = inner[1] if inner else text
        if text == before:
            break
    for old, new in _COMMANDS:
        if old[0] == "\\" and old[-1].isalpha():
            text = re.sub(re.escape(old) + r"(?![a-zA-Z])", lambda _, new=new: new, text)
        else:
            text = text.replace(old, new)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-zA-Z])", "", text)
    text = re.sub(r"\\?%|\\?\$|€|£|\\pounds(?![a-zA-Z])", "", text)
    alone = _TEXT.fullmatch(text.strip())
    text = (
        alone[1]
        if alone
        else _TEXT.sub(lambda found: "" if re.search(r"[\d})]", text[: found.start()]) else found[1], text)
    )
    text = re.sub(r"(?<=\d)(?:\{,\}|,\\!|,\s*\\!)\s*(?=\d{3})", "", text)
    # words after a number are its unit: "5 cm", "12 square feet"
    unit = re.fullmatch(r"(-?[\d.,/]+)(\s+|(?=[a-zA-Z]))([a-zA-Z]{2}[a-zA-Z. ]*)(?:\^\{?\d\}?)?", text.strip())
    if unit and (unit[3] in _ATTACHED or (unit[2] and unit[3].split()[0] not in _NO_UNIT)):
        text = unit[1]
    return text.strip()


def _form(text: str) -> str:
    text = re.sub(r"\s*\\(?:cup|bigcup)\s*", "U", text)
    assigned = re.fullmatch(r"\s*[a-zA-Z](?:\([a-zA-Z]\))?\s*(?:=|\\in\b)\s*(.+)", text, re.DOTALL)
    if assigned and not re.search(r"[a-zA-Z]\s*=", assigned[1]) and not re.search(r"(?<!\\)\b[a-zA-Z]\b", assigned[1]):
        text = assigned[1]  # "x = 5" says 5; "y = 2x + 3" stays an equation
    if re.fullmatch(r"[-+]?\d{1,3}(?:,\s?\d{3})+(?:\.\d+)?", text.strip()):
        text = text.replace(",", "")
    text = _SPACES.sub("", text)
    text = re.sub(r"\\sqrt(\d|[a-zA-Z])", r"\\sqrt{\1}", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac(\d)\{", r"\\frac{\1}{", text)
    text = re.sub(r"(\\frac\{[^{}]*\})(\d|[a-zA-Z])", r"\1{\2}", text)
    text = re.sub(r"([_^])\{(\w)\}", r"\1\2", text)
    number = _number(text)
    if number is not None:
        return str(number)
    choice = re.fullmatch(r"\(([A-Za-z])\)", text)
    if choice:
        return choice[1]
    parts = _split(text)
    if len(parts) > 1:  # a bare list: all solutions, in any order
        return ",".join(sorted(_form(part) for part in parts))
    wrapped = re.fullmatch(r"(\(|\[|\\\{)(.*)(\)|\]|\\\})", text, re.DOTALL)
    if wrapped and len(inside := _split(wrapped[2])) > 1 and _balanced(wrapped[2]):
        forms = [_form(part) for part in inside]
        return f"{wrapped[1]}{','.join(sorted(forms) if wrapped[1] == chr(92) + '{' else forms)}{wrapped[3]}"
    if re.fullmatch(r"[A-Za-z][A-Za-z' -]*", text) and len(text) > 1:
        return text.lower()
    return text


def _number(text: str) -> Fraction | None:
    """Return the number that a text is, exactly; None where it is none."""
    found = _DECIMAL.fullmatch(text)
    if found and len(found[2]) <= MAX_ANSWER // 4:
        value = Fraction(found[2])
        return -value if found[1] == "-" else value
    found = _FRACTION.fullmatch(text)
    if found and int(found[3]):
        value = Fraction(int(found[2]), int(found[3]))
        return -value if found[1] == "-" else value
    found = _SLASH.fullmatch(text)
    if found and int(found[2]):
        return Fraction(int(found[1]), int(found[2]))
    found = _MIXED.fullmatch(text)
    if found and int(found[4]):
        value = int(found[2]) + Fraction(int(found[3]), int(found[4]))
        return -value if found[1] == "-" else value
    return None


def _split(text: str) -> list[str]:
    """Return the parts between commas that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _balanced(text: str) -> bool:
    depth = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        if depth < 0:
            return False
    return depth == 0
