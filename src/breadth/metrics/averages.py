"""From numbers of texts, or of sets of texts, to a measurement with its error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from breadth.records import Measurement

SetValue = tuple[float | None, float | None, int]  # value, standard error within the set, texts that it rests on


def mean_over_texts(
    metric: str, values: np.ndarray, chosen: Sequence[np.ndarray], n_unscored: int, unit: str
) -> Measurement:
    """Return the mean of ``values`` over all chosen texts; its error is the standard error over texts.

    Parameters
    ----------
    metric : str
        Name of the row.
    values : (M,) array
        One finite number for each chosen text; what stands at other places is not read.
    chosen : k int arrays
        Which texts of each set take part.
    n_unscored : int
        Texts that the scorer failed on.
    unit : str

    Returns
    -------
    Measurement
        ``value`` None without any text, ``error`` None below two.

    Examples
    --------
    >>> row = mean_over_texts("length", np.array([1.0, 3.0, 5.0]), [np.array([0, 1]), np.array([2])], 0, "tokens")
    >>> row.value, row.n, row.sets
    (3.0, 3, (2.0, 5.0))
    """
    pooled = values[np.concatenate(chosen)]
    n = pooled.size
    return Measurement(
        metric,
        float(pooled.mean()) if n else None,
        float(pooled.std(ddof=1) / np.sqrt(n)) if n > 1 else None,
        n,
        n_unscored,
        unit,
        tuple(float(values[members].mean()) if members.size else None for members in chosen),
    )


def ratio_over_texts(
    metric: str, top: np.ndarray, bottom: np.ndarray, chosen: Sequence[np.ndarray], unit: str
) -> Measurement:
    """Return Σ top / Σ bottom over all chosen texts, (M,) arrays each, ``bottom`` positive for every chosen text.

    The error is the standard error of the linearised ratio over texts; None below two texts. Otherwise as
    :func:`mean_over_texts`.
    """
    pooled = np.concatenate(chosen)
    n = pooled.size
    if n == 0:
        return Measurement(metric, None, None, 0, 0, unit, (None,) * len(chosen))
    value = top[pooled].sum() / bottom[pooled].sum()
    residual = (top[pooled] - value * bottom[pooled]) / bottom[pooled].mean()
    error = float(residual.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    of_sets = tuple(float(top[m].sum() / bottom[m].sum()) if m.size else None for m in chosen)
    return Measurement(metric, float(value), error, n, 0, unit, of_sets)


def mean_over_sets(metric: str, values: Sequence[SetValue], n_unscored: int, unit: str) -> Measurement:
    """Return the mean over the sets that have a value, each set counting alike.

    The error is the standard error over those sets; where just one has a value, that set's own error.
    """
    present = [(value, error) for value, error, _ in values if value is not None]
    found = np.array([value for value, _ in present])
    error = present[0][1] if present else None  # of one set alone: what the set itself says
    if found.size > 1:
        error = float(found.std(ddof=1) / np.sqrt(found.size))
    return Measurement(
        metric,
        float(found.mean()) if found.size else None,
        error,
        sum(n for value, _, n in values if value is not None),
        n_unscored,
        unit,
        tuple(value for value, _, _ in values),
    )
