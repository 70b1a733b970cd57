"""A measurement that also says under which conditions it was made: tokenizer, budget, seed, interval, scope."""

from __future__ import annotations

from dataclasses import dataclass, fields

from breadth.records import Measurement


@dataclass(frozen=True, slots=True)
class TextMeasurement(Measurement):
    """A :class:`breadth.records.Measurement` of texts, with what the number depends on besides the texts.

    Most numbers of text move with the number of texts and of tokens. Two of them may be compared only where ``n`` (or
    ``budget``), ``tokenizer`` and ``scope`` agree.

    ``tokenizer`` names the tokenizer (empty: none was used); ``n_tokens`` counts the tokens that took part; ``budget`` is
    the number of tokens, n-grams or texts that was asked for (None: everything); ``seed`` drew the sample (None: nothing
    was drawn); ``low`` and ``high`` are the 95 % interval (None: not asked for, or not known); ``scope`` is
    ``"within_prompt"`` or ``"pooled"``; ``note`` says what a reader must know.

    Examples
    --------
    >>> row = TextMeasurement("distinct_2", 0.5, None, 3, unit="share", tokenizer="words", n_tokens=12)
    >>> isinstance(row, Measurement), row.tokenizer, row.budget
    (True, 'words', None)
    """

    tokenizer: str = ""
    n_tokens: int | None = None
    budget: int | None = None
    seed: int | None = None
    low: float | None = None
    high: float | None = None
    scope: str = "pooled"
    note: str = ""


def with_conditions(row: Measurement, **conditions: object) -> TextMeasurement:
    """Return the measurement with these fields changed or added; everything else stays.

    Examples
    --------
    >>> with_conditions(Measurement("x", 1.0, None, 2), seed=3).seed
    3
    """
    # by fields, not asdict: asdict would copy the sets
    values = {f.name: getattr(row, f.name) for f in fields(row)}
    return TextMeasurement(**{**values, **conditions})
