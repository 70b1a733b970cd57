"""Calling a scorer so that its failures cost only the items that it failed on, and are counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ScoreFunction = Callable[[Sequence[str], Sequence[str] | None], Sequence[float]]


@dataclass(frozen=True)
class Scored:
    """Scores of a batch, (n,) float64, NaN where the scorer failed, and the distinct reasons of failure.

    ``vector`` (n, K) where the scorer returned K rewards per text; ``values`` is then their mean.
    """

    values: np.ndarray
    failures: tuple[str, ...] = ()
    vector: np.ndarray | None = None

    @property
    def n_unscored(self) -> int:
        return int(np.isnan(self.values).sum())


def score_batch(
    score: ScoreFunction,
    texts: Sequence[str],
    prompts: Sequence[str] | None = None,
    *,
    vectors: bool = False,
    timeout: float | None = None,
) -> Scored:
    """Return the scores of all texts.

    A scorer that raises on the batch is called again text by text, so that only the texts it cannot take are unscored.
    Infinite values count as failures. With ``vectors`` a scorer may return K rewards per text: a text of which one of
    them failed is unscored, and the value of the others is the mean of the K. With ``timeout`` seconds for one call the
    scorer runs in a process of its own, which is ended where it takes longer: see :mod:`breadth.tasks.scoring_process`.

    Raises
    ------
    ValueError
        Where the scorer returns another number of values than it was given texts: then nothing says which score is whose.
    """
    if timeout is not None:
        from breadth.tasks.scoring_process import limited

        score = limited(score, timeout)
    failures: list[str] = []
    try:
        values = _call(score, texts, prompts, vectors)
    except Exception as error:  # whatever a user's function raises; it is reported, and narrowed down to single texts
        if isinstance(error, WrongLengthError):
            raise
        singles: list[np.ndarray | None] = [None] * len(texts)
        for i, text in enumerate(texts):
            try:
                singles[i] = _call(score, [text], None if prompts is None else [prompts[i]], vectors)[0]
            except Exception as single:  # as above, for this text alone
                if isinstance(single, WrongLengthError):
                    raise
                failures.append(f"{type(single).__name__}: {single}")
        values = _stacked(singles, vectors)
    if np.isinf(values).any():
        failures.append(f"{int(np.isinf(values).sum())} infinite values")
        values = np.where(np.isinf(values), np.nan, values)
    if np.isnan(values).any() and not failures:
        failures.append("the scorer returned NaN")
    reasons = tuple(dict.fromkeys(failures))
    return Scored(values, reasons) if values.ndim == 1 else Scored(values.mean(axis=1), reasons, values)


class WrongLengthError(ValueError):
    """A scorer returned another number of values than it was given texts."""


def _call(score: ScoreFunction, texts: Sequence[str], prompts: Sequence[str] | None, vectors: bool) -> np.ndarray:
    values = _stacked(list(score(list(texts), None if prompts is None else list(prompts))), vectors)
    if len(values) != len(texts):
        raise WrongLengthError(
            f"the scorer returned {len(values)} values for {len(texts)} texts: expected one each, in order"
        )
    return values


def _stacked(returned: list, vectors: bool) -> np.ndarray:
    """Return (n,) numbers, or (n, K) where ``vectors`` allows it and any text has more than one; None becomes NaN."""
    if not vectors or all(v is None or np.ndim(v) == 0 for v in returned):
        return np.array([np.nan if v is None else float(v) for v in returned], dtype=np.float64)
    rows = [None if v is None else np.asarray(v, dtype=np.float64) for v in returned]
    shapes = {row.shape for row in rows if row is not None}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise WrongLengthError(
            f"the scorer returned rewards of the shapes {sorted(shapes)}: expected one number for each text, or the same "
            "number K >= 1 of rewards for each"
        )
    missing = np.full(next(iter(shapes)), np.nan)
    return np.stack([missing if row is None else row for row in rows])
