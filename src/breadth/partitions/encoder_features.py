"""What a sentence encoder says about pairs of answers: sentence laid against sentence, in order."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from breadth.partitions.protocol import Answers
from breadth.partitions.vector_cache import VectorCache, without_direction

_BETWEEN = re.compile(r"(?<=[.!?。！？])[\"”’)\]*_]*\s+|\n+")
_WORD = re.compile(r"\w+")
_ORNAMENT = " \t*#-•>|_"
MOST_SENTENCES = 64  # of a text

ENCODER_FEATURES = ("ordered_own",)


def split_sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text, without list marks; at most ``MOST_SENTENCES``, at least one.

    Examples
    --------
    >>> split_sentences("It rains. We stay in!\\n- **Cards** and tea")
    ['It rains.', 'We stay in!', 'Cards** and tea']
    """
    pieces = (piece.strip(_ORNAMENT) for piece in _BETWEEN.split(text))
    found = [piece for piece in pieces if len(_WORD.findall(piece)) >= 2]  # a word alone says too little
    return found[:MOST_SENTENCES] or [text.strip()]


def encoder_features(groups: Sequence[Answers], vectors: VectorCache) -> list[np.ndarray]:
    """Return the features of all pairs of each group, (n, n, E) float64, symmetric; E and order as ``ENCODER_FEATURES``.

    ``ordered_own``, in [0, 1]: sentences of one text are laid against sentences of the other, in order, so that the sum of
    their cosines is largest; twice that sum over the number of sentences of both. The direction of the prompt is taken out
    of every sentence first, and a negative cosine counts 0. It is 1 for equal texts and blind to which text comes first.

    Parameters
    ----------
    groups : sequence of Answers
    vectors : VectorCache
        Every distinct sentence and prompt is encoded once.

    Source: none; the recursion is that of the longest common subsequence with cosines in the place of equality.
    Departures: none.

    Examples
    --------
    >>> axes = {"red one": [1, 0], "blue two": [0, 1]}
    >>> cache = VectorCache(lambda texts: np.array([axes[text] for text in texts], float))
    >>> group = Answers("", ("red one\\nblue two", "blue two", "blue two\\nred one"))
    >>> encoder_features([group], cache)[0][..., 0].round(3).tolist()
    [[1.0, 0.667, 0.5], [0.667, 1.0, 0.667], [0.5, 0.667, 1.0]]
    """
    sentences = [[split_sentences(text) for text in group.texts] for group in groups]
    wanted = [group.prompt for group in groups if group.prompt]
    wanted += [sentence for group in sentences for text in group for sentence in text if sentence]
    known = vectors.of(wanted) if wanted else {}
    nothing = np.zeros(len(next(iter(known.values()))) if known else 1)
    found = []
    for group, split in zip(groups, sentences, strict=True):
        table = np.stack([known.get(sentence, nothing) for text in split for sentence in text])  # (S, d)
        if group.prompt:
            table = without_direction(table, known[group.prompt])
        found.append(_ordered(table, np.array([len(text) for text in split]))[..., None])
    return found


def _ordered(table: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the best ordered alignment of every two texts, (n, n); rows of ``table`` are sentences, text after text."""
    n, most = len(sizes), int(sizes.max())
    start = np.cumsum(sizes) - sizes
    place = np.arange(most)
    column = np.where(place < sizes[:, None], start[:, None] + place, len(table))  # (n, most); the last one is padding
    gain = np.c_[np.maximum(table @ table.T, 0.0), np.zeros(len(table))]  # (S, S + 1)
    total = np.empty((n, n))
    for i in range(n):
        state = np.zeros((n, most + 1))  # best sum of what was read of text i against the beginnings of every text
        for row in range(start[i], start[i] + sizes[i]):
            joined = state[:, :-1] + gain[row, column]  # (n, most)
            state[:, 1:] = np.maximum.accumulate(np.maximum(state[:, 1:], joined), axis=1)
        total[i] = state[:, -1]
    total = (total + total.T) / 2  # equal but for rounding
    return np.minimum(2 * total / (sizes[:, None] + sizes[None, :]), 1.0)
