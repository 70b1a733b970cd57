"""The forms that compete with a law: AICc at the effective number of points, and errors on blocks that were left out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from breadth.laws.curves import CURVES, Curve
from breadth.laws.projection import Projection, polish, search, search_groups
from breadth.laws.yardstick import rounding_floor

RIVALS = ("exponential", "linear", "power", "unit_exponential", "falling_logistic")  # minus the form that is fitted
_FOLDS = 8  # blocks of consecutive checkpoints in each run; fewer in a run of fewer than two checkpoints a block


def best_fit(curve: Curve, x: np.ndarray, y: np.ndarray, sign: int | None = None) -> Projection:
    """Return the point estimate of a curve, polished to machine precision (B = 1)."""
    return polish(curve, x, y, search(curve, x, y, np.ones((1, x.size)), sign), sign)


def rival_gains(
    curve: Curve, point: Projection, rivals: Mapping[str, Projection], x: np.ndarray, y: np.ndarray, n_effective: float
) -> dict[str, float]:
    """Return AICc of each rival minus this form's, at n_eff points (negative = better).

    ``rivals`` are optima on all points, as :func:`search_rivals` returns them; they are polished here. Empty where n_eff is too
    small for AICc. The exponential is no rival of the theory form, whose R_max it frees: ``endpoint`` tests that.

    Source: Hurvich and Tsai (1989). Departures: n_eff in place of n, so that autocorrelated checkpoints do not shout.
    """
    own = _aicc(float(point.sse[0]) + rounding_floor(y), curve.n_params, x.size, n_effective)
    if own is None:
        return {}
    gains = {}
    for name, found in rivals.items():
        rival = CURVES[name]
        best = polish(rival, x, y, found, _sign(curve, rival))
        score = _aicc(float(best.sse[0]) + rounding_floor(y), rival.n_params, x.size, n_effective)
        if score is not None:
            gains[name] = score - own
    return gains


def search_rivals(
    curve: Curve, x: np.ndarray, y: np.ndarray, run: np.ndarray
) -> tuple[dict[str, Projection], dict[str, float]]:
    """Return the optimum of each rival on all points (B = 1), and the errors of :func:`out_of_sample`.

    Rivals of a line, whose slope has either sign, are free in sign too; a rival that the data do not admit (the power curve at
    x < 0) is left out.

    Source, Departures: as :func:`out_of_sample`.
    """
    kept, scored = _folds(x, run)
    fewest = min(np.unique(x[row > 0]).size for row in kept)
    every = np.ones((1, x.size))
    points, errors = {}, {}
    for form in (curve, *(CURVES[name] for name in _admitted(curve, x))):
        tested = scored.any() and fewest >= form.n_params + 1
        if form is curve and not tested:
            continue
        groups = ([] if form is curve else [every]) + ([kept] if tested else [])
        optima = search_groups(form, x, y, groups, _sign(curve, form))
        if form is not curve:
            points[form.name] = optima[0]
        if tested:
            found = optima[-1]
            shape = np.stack([form.shape(x, theta, found.anchor) for theta in found.theta])  # (F, n)
            residual = (y - found.beta[:, None] * shape - found.alpha[:, None])[scored]
            errors[form.name] = float(np.sqrt(np.mean(residual**2)))
    return points, errors


def out_of_sample(curve: Curve, x: np.ndarray, y: np.ndarray, run: np.ndarray) -> dict[str, float]:
    """Return the root mean square error on left-out blocks, of this form and of each rival.

    Each run is cut into up to 8 blocks of consecutive checkpoints; block j of every run is left out together, the form is
    fitted to the rest and read at the left-out x inside the range of the rest: what a form does outside is another question,
    and one exponential there would drown the others.

    Parameters
    ----------
    curve : Curve
    x, y, run : (n,) arrays, in (run, step) order

    Returns
    -------
    mapping from form to error, in the unit of y
        Forms that the data do not admit, or that a fold leaves too few distinct x for, are left out; empty where no left-out
        x lies inside the range of the rest.

    Source: block cross-validation, Burman, Chow and Nolan (1994). Departures: no gap is left between the blocks.

    Examples
    --------
    >>> from breadth.laws.curves import EXPONENTIAL, exponential
    >>> x = np.linspace(0.9, 0.2, 30)
    >>> error = out_of_sample(EXPONENTIAL, x, exponential(x, 0.0109, 1.023, 5.024), np.zeros(30, int))
    >>> min(error, key=error.get), error["exponential"] < 1e-3 < error["power"]
    ('exponential', True)
    """
    return search_rivals(curve, x, y, run)[1]


def _folds(x: np.ndarray, run: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, n) weights of what each fold is fitted to, and (F, n) bool: the left-out points that are scored."""
    fold = np.zeros(x.size, dtype=int)
    for label in np.unique(run):
        where = np.flatnonzero(run == label)
        fold[where] = np.arange(where.size) * min(_FOLDS, max(2, where.size // 2)) // where.size
    kept = (fold[None, :] != np.unique(fold)[:, None]).astype(float)
    inside = [(row == 0) & (x >= x[row > 0].min()) & (x <= x[row > 0].max()) for row in kept]
    return kept, np.array(inside)


def _sign(curve: Curve, form: Curve) -> int:
    return 0 if curve.sign == 0 else form.sign


def _admitted(curve: Curve, x: np.ndarray) -> list[str]:
    if curve.direction > 0:
        return []
    return [
        name
        for name in RIVALS
        if name != curve.name
        and not (curve.name == "theory" and name == "exponential")
        and not (CURVES[name].needs_positive_x and (x.min() < 0 or x.max() <= 0))
    ]


def _aicc(sse: float, n_params: int, n: int, n_effective: float) -> float | None:
    k = n_params + 1  # and the variance
    if n_effective <= k + 1:
        return None
    return n_effective * float(np.log(sse / n)) + 2 * k + 2 * k * (k + 1) / (n_effective - k - 1)
