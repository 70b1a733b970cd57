"""Answers that can be checked: the same exactly when their canonical keys are equal."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from breadth.dotted import load_dotted
from breadth.partitions.canonical import kinds_from_keys
from breadth.partitions.expressions import canonical_expression
from breadth.partitions.protocol import Answers
from breadth.partitions.words import split_words

_BOXED = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
_MARKED = re.compile(r"####\s*(.+)")
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")


def words_key(text: str) -> str | None:
    """Return the words of a text without case, spacing and punctuation; None where it has none.

    Examples
    --------
    >>> words_key(" Quokka! ") == words_key("quokka")
    True
    """
    return " ".join(split_words(text)) or None


def final_answer_key(text: str) -> str | None:
    r"""Return the final answer: the last ``\boxed{…}``, else what follows the last ``####``, else the last number.

    Numbers are compared without thousands separators and trailing zeros. None where there is nothing of the kind.

    Examples
    --------
    >>> final_answer_key(r"so \boxed{1,024}"), final_answer_key("first 3, then 1024.0"), final_answer_key("none")
    ('1024', '1024', None)
    """
    marked = _BOXED.findall(text) or _MARKED.findall(text)
    found = marked[-1].strip().strip("$").strip() if marked else (_NUMBER.findall(text) or [""])[-1]
    if _NUMBER.fullmatch(found):
        found = found.replace(",", "")
        return (found.rstrip("0").rstrip(".") if "." in found else found) or None
    return re.sub(r"\s+", "", found) or None


KEYS: dict[str, Callable[[str], Hashable | None]] = {
    "words": words_key,
    "final_answer": final_answer_key,
    "expression": canonical_expression,
}


def named_key(name: str) -> Callable[[str], Hashable | None]:
    """Return the key function of a name in ``KEYS``, or of a dotted name ``package.module:function``.

    Raises
    ------
    ValueError
        Neither; or there is no such function.

    Examples
    --------
    >>> named_key("expression")("(3+5)*2") == named_key("breadth.partitions.keys:canonical_expression")("2*(5+3)")
    True
    """
    if name in KEYS:
        return KEYS[name]
    return load_dotted(
        name,
        malformed=f"key: expected one of {', '.join(KEYS)}, package.module:function or a function, got {{name!r}}",
        missing="key: there is no function {name!r} ({error})",
        uncallable="key: {name!r} is no function but {kind}",
    )


class Canonical:
    """Exact equality of keys; the backend ``"canonical"``.

    Parameters
    ----------
    key : str or callable
        ``words`` (case and punctuation do not count), ``final_answer``, ``expression`` (arithmetic, up to order and
        grouping), ``package.module:function``, or a function from a text to something hashable, None where the text cannot
        be parsed. Of a task: ``key=lambda text: task.key([text])[0]``.

    Raises
    ------
    ValueError
        An unknown name. TypeError where ``key`` is neither a name nor callable.

    Source: none. Departures: texts that cannot be parsed are told apart from each other, even equal ones.

    Examples
    --------
    >>> Canonical("words").blocks([Answers("", ("Oslo!", "oslo", "Rome"))])[0].tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    name = "canonical"
    threshold = 0.5
    merges_identical = False  # equal texts without a key are different answers

    def __init__(self, key: str | Callable[[str], Hashable | None] = "words") -> None:
        self.fingerprint = key if isinstance(key, str) else None
        if isinstance(key, str):
            key = named_key(key)
        if not callable(key):
            raise TypeError(f"key: expected a name or a function of one text, got {type(key).__name__}")
        self.key = key

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group 1 where the keys are equal and 0 elsewhere; see :class:`BlockBackend`."""
        found = []
        for group in groups:
            kinds = kinds_from_keys(
                [self.key(text) for text in group.texts], np.zeros(len(group.texts), dtype=np.int64)
            )
            found.append((kinds[:, None] == kinds[None, :]).astype(float))
        return found
