"""What is read from a law by its confidence region: the band of the curve, and the x at which it stands at a level.

Both are closed forms on the region's line of θ (see ``profile``): for a fixed θ the curve is linear in (β, α), and those lie in an ellipse.
"""

from __future__ import annotations

import numpy as np

from breadth.laws.curves import Curve
from breadth.laws.profile import Region


def profile_band(
    curve: Curve, region: Region, at: np.ndarray, span: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest value of the curve over the region at each x of ``at`` (m,); NaN where nothing limits it.

    β·φ(x; θ) + α is linear in (β, α) for a fixed θ, so its ends there are closed forms. Outside ``span``, the measured x, an end that
    the last θ of an open region decides is no end of the data's but of the search's, and NaN.

    Source: profile likelihood, Bates and Watts (1988), ch. 6. Departures: n_eff in place of n (see ``profile``).
    """
    if region.beta.size == 0:
        return np.full(at.shape, np.nan), np.full(at.shape, np.nan)
    outside = (at < span[0]) | (at > span[1])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        phi = np.broadcast_to(curve.shape(at, region.theta, region.anchor), (region.beta.size, at.size))  # (θ, m)
        bb, ba, aa = (column[:, None] for column in region.covariance.T)
        half = np.sqrt(region.slack[:, None] * np.maximum(bb * phi**2 + 2 * ba * phi + aa, 0))
        centre = region.beta[:, None] * phi + region.alpha[:, None]
    ends = []
    for values, pick in ((centre - half, np.argmin), (centre + half, np.argmax)):
        where = pick(values, axis=0)
        found = values[where, np.arange(at.size)]
        unlimited = (outside & _at_open_end(region, where)) | ~np.isfinite(found)
        ends.append(np.where(unlimited, np.nan, found))
    return ends[0], ends[1]


def profile_inverse(
    curve: Curve, region: Region, level: float, span: tuple[float, float], falls: bool, least: float
) -> tuple[float | None, float | None]:
    """Return the least and the largest x at which a curve of the region stands at ``level``; None where nothing limits it.

    The x at which β·φ + α ± √(slack·(σ_ββ·φ² + 2·σ_βα·φ + σ_αα)) = level are the roots of a quadratic in φ for each θ: Fieller's
    interval, the band turned on its side.

    Parameters
    ----------
    curve, region : Curve, Region
    level : float
    span : (float, float)
        The measured x: beyond it an end that the last θ of an open region decides is not known.
    falls : bool
        The curve falls with x: one that never comes to the level stays below it.
    least : float
        The least x that is an answer: an end below it is None.

    Source: Fieller (1954) for a given θ; Bates and Watts (1988), ch. 6. Departures: none.

    Examples
    --------
    >>> from breadth.laws.curves import LINEAR
    >>> from breadth.laws.profile import confidence_region
    >>> from breadth.laws.rivals import best_fit
    >>> x, y = np.arange(5.0), np.array([0.1, 0.9, 2.1, 2.9, 4.0])
    >>> region = confidence_region(LINEAR, best_fit(LINEAR, x, y), x, y, 5.0)
    >>> [round(end, 2) for end in profile_inverse(LINEAR, region, 2.0, (0.0, 4.0), False, 0.0)]  # 2 ± √(0.0243/0.9483)
    [1.84, 2.16]
    """
    if region.beta.size == 0:
        return None, None
    bb, ba, aa = region.covariance.T
    ends = []
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        gap = (region.alpha - level) / region.beta  # in units of β: no square overflows
        share = region.slack / region.beta**2
        square = 1 - share * bb
        if not (square > 0).all():  # a level curve is among them: it stands at the level everywhere or nowhere
            return None, None
        half = gap - share * ba
        root = np.sqrt(np.maximum(half**2 - square * (gap**2 - share * aa), 0))
        found = [
            curve.shape_inverse(((sign * root - half) / square)[:, None], region.theta, region.anchor)[:, 0]
            for sign in (-1, 1)
        ]
    x = np.stack([np.where(np.isfinite(f), f, -np.inf if falls else np.inf) for f in found])  # (2, θ)
    for values, pick in ((x.min(0), np.argmin), (x.max(0), np.argmax)):
        where = int(pick(values))
        end = float(values[where])
        beyond = end < span[0] or end > span[1]
        known = np.isfinite(end) and end >= least and not (beyond and _at_open_end(region, np.array(where)))
        ends.append(end if known else None)
    return ends[0], ends[1]


def _at_open_end(region: Region, where: np.ndarray) -> np.ndarray:
    return ((where == 0) & region.open_low) | ((where == region.beta.size - 1) & region.open_high)
