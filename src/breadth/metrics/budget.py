"""Equal amounts of text before numbers are compared, and intervals over texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from breadth.metrics.tokens import Tokenizer, tokenize
from breadth.records import Estimate, Measurement


def within_budget(
    texts: Sequence[str], budget: int, *, seed: int = 0, tokenizer: Tokenizer = "words"
) -> list[str] | None:
    """Return texts drawn in random order until they hold ``budget`` tokens; the last one is cut to fit.

    Distinct-n falls and the compression ratio rises with the amount of text, so a model that writes longer answers looks
    less diverse. Measured on equally many tokens, it does not.

    Parameters
    ----------
    texts : sequence of str
    budget : int
        Tokens, at least 1.
    seed : int
        Order of the draw.
    tokenizer : str or callable

    Returns
    -------
    list of str or None
        Tokens of each text joined by blanks, so measure them with ``tokenizer="whitespace"``. None where all texts
        together are too short.

    Raises
    ------
    ValueError
        ``budget`` below 1.

    Examples
    --------
    >>> [len(text.split()) for text in within_budget(["a b c", "d e f", "g h i"], 5)]
    [3, 2]
    >>> within_budget(["a b"], 5) is None
    True
    """
    if budget < 1:
        raise ValueError(f"budget: expected at least 1 token, got {budget}")
    tokens = tokenize(texts, tokenizer)
    if sum(len(text) for text in tokens) < budget:
        return None
    kept, left = [], budget
    for place in np.random.default_rng(seed).permutation(len(tokens)).tolist():
        part = tokens[place][:left]
        if part:
            kept.append(" ".join(part))
        left -= len(part)
        if not left:
            break
    return kept


def interval_over_texts(
    measure: Callable[[list[Any]], Measurement | float | None],
    texts: Sequence[Any],
    *,
    n_boot: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return a measure with an interval from half-samples of the texts, drawn without replacement.

    Resampled are texts, never pairs: the n(n−1)/2 pairs of n texts are not independent, and treating them so makes an
    interval too narrow by about √n. And they are drawn *without* replacement: a bootstrap draws a third of the texts
    twice, and to a measure of diversity a repeat is the loss of diversity that it measures. The spread of the measure
    over random halves estimates its standard error at n: for a mean, the variance over halves is that of the mean.

    Parameters
    ----------
    measure : callable
        Texts to a number, a Measurement, or None.
    texts : n things
        n ≥ 4; what stands in the sequence is handed to ``measure``.
    n_boot : int
        Half-samples, at least 20.
    level : float
    seed : int

    Returns
    -------
    Estimate
        ``value``: the measure of all texts. ``low``, ``high``: value ± the quantiles of the halves about their own mean;
        None where n < 4 or where the measure has no value for some half. A measure whose expectation moves with n (distinct-n)
        keeps its value at n; the interval is about that value.

    Raises
    ------
    ValueError
        ``n_boot`` below 20, ``level`` outside (0, 1).

    Source: Politis and Romano 1994 (subsampling), size n/2, for which finite-population and subsample factors cancel.
    Departures: none.

    Examples
    --------
    >>> found = interval_over_texts(lambda x: float(np.mean(x)), list(range(100)), seed=1)
    >>> found.value, 10 < found.high - found.low < 13  # 2 · 1.96 · 28.9/√100 = 11.3
    (49.5, True)
    """
    if n_boot < 20 or not 0 < level < 1:
        raise ValueError(f"n_boot, level: expected at least 20 and a share inside (0, 1), got {n_boot} and {level}")
    items = list(texts)
    value = _number(measure(items))
    if value is None or len(items) < 4:
        return Estimate(value)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(n_boot):
        chosen = np.sort(generator.permutation(len(items))[: len(items) // 2])
        found = _number(measure([items[i] for i in chosen.tolist()]))
        if found is None:
            return Estimate(value)
        drawn.append(found)
    low, high = np.quantile(np.array(drawn) - np.mean(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(value + low), float(value + high))


def _number(found: Measurement | float | None) -> float | None:
    return found.value if isinstance(found, Measurement) else found
