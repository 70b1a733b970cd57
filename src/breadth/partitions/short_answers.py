"""Answers of a few words: the same exactly when their informative words are."""

from __future__ import annotations

import re
import unicodedata

from breadth.partitions.words import split_words

SHORT_WORDS = 5  # NoveltyBench and DARLING judge pairs of up to 5 words by rule, not by model

FUNCTION_WORDS = frozenset(
    "a an the and or but if of to in on at by for from with as is are was were be been being it its this that these "  # noqa: SIM905
    "those i you he she we they my your his her our their me him them us do does did have has had will would can could "
    "should may might must so than then there here what which who whom when where why how all any some each more most "
    "other into over also just about up out s re ve ll d m".split()
)
# "t" is what the tokeniser leaves of "don't"
NEGATIONS = frozenset("no not never none nor without t nothing neither cannot".split())  # noqa: SIM905
# what an answer of a few words is introduced by; "I picked 53" says 53
_LEADS = frozenset(
    "pick picked choose chose choice answer say said think guess go going suggest name sure okay".split()  # noqa: SIM905
)


def short_key(text: str, prompt: str = "") -> tuple[str, ...]:
    """Return the informative words of a short answer, in order.

    Function words, words of the prompt and words that introduce an answer ("I picked …") are left out as long as
    something remains. A text without words (an emoji, ``+-*``) is its own visible characters.

    Parameters
    ----------
    text : str
    prompt : str

    Examples
    --------
    >>> short_key("I picked 53."), short_key("A quokka!"), short_key("It is blue", prompt="Is it blue or red?")
    (('53',), ('quokka',), ('blue',))
    """
    words = split_words(text)
    if not words:
        return (re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)),)
    content = [word for word in words if word not in FUNCTION_WORDS and word not in _LEADS]
    asked = set(split_words(prompt))
    own = [word for word in content if word not in asked]
    return tuple(own or content or words)


def is_short(text: str, limit: int = SHORT_WORDS) -> bool:
    """Return whether a text has at most ``limit`` words separated by white space.

    Examples
    --------
    >>> is_short("one two three four five"), is_short("one two three four five six")
    (True, False)
    """
    return len(text.split()) <= limit


def short_score(first: tuple[str, ...], second: tuple[str, ...]) -> float:
    """Return how alike two short answers are, in [0, 1], from their :func:`short_key`.

    1 if the keys hold the same words; 0 if each says a word that the other does not (one thing was replaced by another),
    or only one of them denies; else (one says more) the share of words in common.

    Source: the rule for pairs of up to five words of NoveltyBench (Zhang et al. 2025, arXiv 2504.05228), also used by
    DARLING: the same if they share at least half of the words.
    Departures: (1) case and punctuation do not count ("Quokka" and "Quokka!" are the same answer). (2) half of the
    words is not enough where the only informative word differs ("I picked 53", "I picked 67").

    Examples
    --------
    >>> short_score(("53",), ("67",)), short_score(("iphone", "se"), ("iphone", "se", "3rd", "generation"))
    (0.0, 0.5)
    """
    a, b = set(first), set(second)
    if a == b:
        return 1.0
    if (a - b and b - a) or bool(a & NEGATIONS) != bool(b & NEGATIONS):
        return 0.0
    return len(a & b) / len(a | b)
