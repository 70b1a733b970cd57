"""A measurement that also says under which conditions it was made: tokenizer, budget, seed, interval, scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from breadth.records import Measurement


@dataclass(frozen=True, slots=True)
class TextMeasurement(Measurement):
    """A :class:`breadth.records.Measurement` of texts, with what the number depends on besides the texts.

    Most numbers of text move with the number of texts and of tokens. Two of them may be compared only where ``n`` (or
    ``budget``), ``tokenizer`` and ``scope`` agree.

    ``tokenizer`` names the tokenizer (empty: none was used); ``n_tokens`` counts the tokens that took part; ``budget`` is
    the number of tokens, n-grams or texts that was asked for (None: everything); ``seed`` drew the sample (None: nothing
    was drawn); ``low`` and ``high`` are the 95 % interval (None: not asked for, or not known); ``scope`` is
    ``"within_prompt"`` or ``"pooled"``; ``note`` says what a reader must know; ``conditions`` how the texts were drawn
    (:func:`sampling_sentence`; empty: not known).

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
    conditions: str = ""


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


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers were drawn from a model: part of every measurement, so that a decoding trick and a trained policy stand side by side.

    ``top_p`` 1, ``min_p`` 0 and ``verbalized`` 0 are off; ``temperature`` 0 is greedy. ``verbalized``: so many answers with
    their probabilities are asked for in one reply. ``protocol``: ``"single"`` or ``"two_turn"``. ``template``: whether the
    model's chat template was used ("chat", "plain"; "" where the server decides).

    Raises
    ------
    ValueError
        A number out of range; names what was expected.

    Source: min-p: Nguyen et al. 2024, arXiv 2407.01082; verbalized sampling: Zhang et al. 2025, arXiv 2510.01171.

    Examples
    --------
    >>> Sampling(temperature=0.7, min_p=0.1).sentence
    'temperature 0.7, min-p 0.1, at most 512 tokens, seed 0'
    """

    temperature: float = 1.0
    top_p: float = 1.0
    min_p: float = 0.0
    verbalized: int = 0
    max_tokens: int = 512
    seed: int = 0
    protocol: str = "single"
    model: str = ""
    template: str = ""

    def __post_init__(self) -> None:
        for name, right, what in (
            ("temperature", self.temperature >= 0, "0 (greedy) or more"),
            ("top_p", 0 < self.top_p <= 1, "a share in (0, 1]"),
            ("min_p", 0 <= self.min_p < 1, "a share in [0, 1)"),
            ("verbalized", self.verbalized >= 0 and self.verbalized != 1, "0 (off) or at least 2 answers in a reply"),
            ("max_tokens", self.max_tokens >= 1, "at least 1"),
            ("protocol", self.protocol in PROTOCOLS, " or ".join(PROTOCOLS)),
        ):
            if not right:
                raise ValueError(f"{name}: expected {what}, got {getattr(self, name)!r}")

    @property
    def sentence(self) -> str:
        """What a table says of it."""
        return sampling_sentence(asdict(self))


PROTOCOLS = ("single", "two_turn")


def sampling_sentence(sampling: Mapping[str, Any]) -> str:
    """Return the conditions in words; what is off or not known is left out.

    Examples
    --------
    >>> sampling_sentence({"model": "base", "temperature": 1.0, "top_p": 1.0, "verbalized": 5})
    'base, temperature 1, 5 verbalized answers a reply'
    """
    parts = [str(sampling["model"])] if sampling.get("model") else []
    parts += [f"protocol {sampling['protocol']}"] if sampling.get("protocol", "single") != "single" else []
    for name, word, off in (("temperature", "temperature", None), ("top_p", "top-p", 1.0), ("min_p", "min-p", 0.0)):
        if sampling.get(name) not in (None, off):
            parts.append(f"{word} {sampling[name]:g}" if isinstance(sampling[name], int | float) else f"{word} {sampling[name]}")
    if sampling.get("verbalized"):
        parts.append(f"{sampling['verbalized']} verbalized answers a reply")
    if sampling.get("template"):
        parts.append(f"{sampling['template']} prompt")
    if sampling.get("max_tokens"):
        parts.append(f"at most {sampling['max_tokens']} tokens")
    if sampling.get("seed") is not None:
        parts.append(f"seed {sampling['seed']}")
    return ", ".join(parts)
