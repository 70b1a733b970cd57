"""Texts to tokens, tokens to numbered n-grams. Which tokenizer was used is part of every measurement."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

import numpy as np

Tokenizer = str | Callable[[str], Sequence[str]]

_WORDS = re.compile(r"\w+|[^\w\s]")
_WORD_PUNCT = re.compile(r"\w+|[^\w\s]+")
_PUNCTUATION = frozenset(string.punctuation)
_SMILES = re.compile(r"\[[^\]]+\]|Br|Cl|%\d{2}|\S")


def _word_punct(text: str) -> list[str]:
    return [token for token in _WORD_PUNCT.findall(text.lower()) if token not in _PUNCTUATION]


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "words": lambda text: _WORDS.findall(text.lower()),
    "whitespace": str.split,
    "characters": list,
    "wordpunct": _word_punct,
    "smiles": _SMILES.findall,
}


def tokenize(texts: Sequence[str], tokenizer: Tokenizer = "words") -> list[list[str]]:
    """Return the tokens of each text.

    Parameters
    ----------
    texts : n strings
    tokenizer : str or callable
        ``"words"``: runs of letters and digits, and single other signs, lower-cased. ``"whitespace"``: ``str.split``.
        ``"characters"``. ``"wordpunct"``: NLTK's WordPunct, lower-cased, single punctuation marks dropped (Guo et al.).
        ``"smiles"``: atoms, bonds and brackets of a SMILES. A callable maps one text to its tokens.

    Returns
    -------
    n lists of str
        An empty text gives an empty list.

    Raises
    ------
    ValueError
        An unknown name.
    TypeError
        A single string instead of a sequence of texts, or a text that is not a string.

    Examples
    --------
    >>> tokenize(["Don't stop!", ""])
    [['don', "'", 't', 'stop', '!'], []]
    """
    if isinstance(texts, str):
        raise TypeError("texts: expected a sequence of texts, got one string; put it into a list")
    if isinstance(tokenizer, str):
        if tokenizer not in TOKENIZERS:
            raise ValueError(f"tokenizer: unknown {tokenizer!r}; known: {', '.join(TOKENIZERS)}, or a callable")
        cut: Callable[[str], Sequence[str]] = TOKENIZERS[tokenizer]
    else:
        cut = tokenizer
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts: expected strings, got {type(text).__name__} at {place}")
    return [list(cut(text)) for text in texts]


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """Return the name under which a tokenizer is recorded: its own, or ``module.qualname`` of a callable.

    Examples
    --------
    >>> tokenizer_name("words"), tokenizer_name(str.split)
    ('words', 'builtins.str.split')
    """
    if isinstance(tokenizer, str):
        return tokenizer
    name = getattr(tokenizer, "__qualname__", type(tokenizer).__qualname__)
    return f"{getattr(tokenizer, '__module__', None) or 'builtins'}.{name}"


def numbered(tokens: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, int]:
    """Return all tokens as numbers, the length of each text, and the number of distinct tokens.

    Returns
    -------
    ids : (M,) int64
        Tokens of all texts one after another; equal tokens have equal numbers in 0 .. V-1.
    lengths : (n,) int64
    n_distinct : int
        V.

    Examples
    --------
    >>> ids, lengths, v = numbered([["a", "b"], ["b"]])
    >>> ids.tolist(), lengths.tolist(), v
    ([0, 1, 1], [2, 1], 2)
    """
    vocabulary: dict[str, int] = {}
    ids = np.fromiter(
        (vocabulary.setdefault(token, len(vocabulary)) for text in tokens for token in text), dtype=np.int64
    )
    return ids, np.array([len(text) for text in tokens], dtype=np.int64), len(vocabulary)


def ngrams(ids: np.ndarray, lengths: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a number for each n-gram occurrence inside a text, and the text in which it stands.

    Parameters
    ----------
    ids : (M,) int64
        As :func:`numbered` returns them.
    lengths : (n,) int64
        Sum M.
    order : int
        n of the n-gram, at least 1. No n-gram crosses from one text into the next.

    Returns
    -------
    gram : (K,) int64
        Equal n-grams have equal numbers.
    text : (K,) int64
        Ascending.

    Raises
    ------
    ValueError
        ``order`` below 1.

    Examples
    --------
    >>> gram, text = ngrams(np.array([0, 1, 0, 1]), np.array([4]), 2)
    >>> (gram[0] == gram[2]).item(), np.unique(gram).size, text.tolist()
    (True, 2, [0, 0, 0])
    """
    if order < 1:
        raise ValueError(f"order: expected an n-gram order of at least 1, got {order}")
    text = np.repeat(np.arange(lengths.size), lengths)  # (M,)
    gram, width = ids, int(ids.max()) + 1 if ids.size else 0
    for step in range(1, order):
        # a number for each pair (n-gram so far, next token), renumbered densely so that it never overflows
        ahead = ids[step:]
        both = gram[: ahead.size] * width + ahead
        gram = np.unique(both, return_inverse=True)[1] if both.size else both
    k = max(ids.size - order + 1, 0)
    inside = text[:k] == text[order - 1 :]
    return gram[:k][inside], text[:k][inside]
