"""Calling a scorer so that its failures cost only the items that it failed on, and are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ScoreFunction = Callable[[Sequence[str], Sequence[str] | None], Sequence[float]]


@dataclass(frozen=True)
class Scored:
    """Scores of a batch, (n,) float64, NaN where the scorer failed, and the distinct reasons of failure."""

    values: np.ndarray
    failures: tuple[str, ...] = ()

    @property
    def n_unscored(self) -> int:
        return int(np.isnan(self.values).sum())


def score_batch(score: ScoreFunction, texts: Sequence[str], prompts: Sequence[str] | None = None) -> Scored:
    """Return the scores of all texts.

    A scorer that raises on the batch is called again text by text, so that only the texts it cannot take are unscored.
    Infinite values count as failures.

    Raises
    ------
    ValueError
        Where the scorer returns another number of values than it was given texts: then nothing says which score is whose.
    """
    failures: list[str] = []
    try:
        values = _call(score, texts, prompts)
    except Exception as error:  # whatever a user's function raises; it is reported, and narrowed down to single texts
        if isinstance(error, WrongLengthError):
            raise
        values = np.full(len(texts), np.nan)
        for i, text in enumerate(texts):
            try:
                values[i] = _call(score, [text], None if prompts is None else [prompts[i]])[0]
            except Exception as single:  # as above, for this text alone
                if isinstance(single, WrongLengthError):
                    raise
                failures.append(f"{type(single).__name__}: {single}")
    if np.isinf(values).any():
        failures.append(f"{int(np.isinf(values).sum())} infinite values")
        values = np.where(np.isinf(values), np.nan, values)
    if np.isnan(values).any() and not failures:
        failures.append("the scorer returned NaN")
    return Scored(values, tuple(dict.fromkeys(failures)))


class WrongLengthError(ValueError):
    """A scorer returned another number of values than it was given texts."""


def _call(score: ScoreFunction, texts: Sequence[str], prompts: Sequence[str] | None) -> np.ndarray:
    returned = score(list(texts), None if prompts is None else list(prompts))
    values = np.array([np.nan if v is None else float(v) for v in returned], dtype=np.float64)
    if len(values) != len(texts):
        raise WrongLengthError(
            f"the scorer returned {len(values)} values for {len(texts)} texts: expected one each, in order"
        )
    return values
