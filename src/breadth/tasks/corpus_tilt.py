"""The corpus-tilt frontier: how diverse known molecules of a wanted quality are, whatever any policy makes of them.

Of all distributions over the corpus with mean score R the tilt w_i ∝ exp(β·s_i) is the nearest to the corpus itself (the
least KL divergence), and it is the fixed point of objectives that buy quality with entropy. So its diversity at R is what a
policy that collapses leaves on the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from breadth.seeds import numpy_generator
from breadth.tasks.fingerprints import mean_tanimoto_distance
from breadth.tasks.pair_sums import similarity_sum

LEFT_OUT = 1e-5  # mass of the lightest molecules that an exact sum may leave out; D changes by at most twice that
BATCHES, PER_BATCH = 10, 1_000  # independent draws where the tilt is spread over too many molecules for the sum


@dataclass(frozen=True, slots=True)
class TiltPoint:
    """The tilt at one β. Entropies in nats."""

    beta: float
    quality: float  # R = Σ w_i·s_i
    diversity: float  # D = Σ_ij w_i·w_j·d_ij, what eq. 5 expects of independent draws
    error: float  # of D: a bound where the sum was taken ("sum"), a standard error where draws were ("draws")
    method: str  # "sum" or "draws"
    entropy: float  # -Σ w·log w
    kl: float  # from the corpus: log n - entropy
    effective: float  # exp(entropy): molecules in effect
    participation: float  # 1 / Σ w²
    n_heavy: int  # molecules that hold all but LEFT_OUT of the mass


def tilt_weights(scores: np.ndarray, beta: float) -> np.ndarray:
    """Return w_i = exp(β·s_i) / Σ_j exp(β·s_j), (n,) float64.

    Examples
    --------
    >>> tilt_weights(np.array([0.0, 1.0]), np.log(3)).round(6).tolist()
    [0.25, 0.75]
    """
    return softmax(float(beta) * np.asarray(scores, dtype=np.float64))


def tilt_quality(scores: np.ndarray, beta: float) -> float:
    """Return R(β) = Σ w_i·s_i; it rises with β from the mean score at 0 to the highest score."""
    return float(tilt_weights(scores, beta) @ scores)


def beta_for(scores: np.ndarray, target: float) -> float | None:
    """Return the β ≥ 0 whose tilt has mean score ``target``; None below the corpus mean or at the top score and above.

    Examples
    --------
    >>> round(beta_for(np.array([0.0, 1.0]), 0.75), 6) == round(float(np.log(3)), 6)
    True
    >>> beta_for(np.array([0.0, 1.0]), 0.3) is None, beta_for(np.array([0.0, 1.0]), 1.0) is None
    (True, True)
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not len(scores) or target < scores.mean() or target >= scores.max():
        return None
    high = 1.0
    while tilt_quality(scores, high) < target:
        high *= 2
        if high > 1e9:  # the top score is reached only in the limit, and rounding stands in between
            return None
    return float(brentq(lambda beta: tilt_quality(scores, beta) - target, 0.0, high, xtol=1e-10, rtol=1e-12))


def tilt_point(
    scores: np.ndarray,
    beta: float,
    fingerprints: Callable[[np.ndarray], np.ndarray],
    *,
    most: int = 20_000,
    seed: int = 0,
) -> TiltPoint:
    """Return R, D and the size of the tilt at β.

    Parameters
    ----------
    scores : (n,) float
        Of all molecules of the corpus, none missing.
    beta : float
    fingerprints : callable
        Places (k,) int64 -> packed fingerprints (k, words) uint64; asked for those alone that are needed.
    most : int
        Up to so many molecules D is the weighted sum over all pairs, with those left out that hold 1e-5 of the mass
        together. Above that it is the mean of 10 independent draws of 1,000 molecules each, unbiased, with its standard
        error.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        No scores, or one that is not finite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if not len(scores) or not np.isfinite(scores).all():
        raise ValueError(
            f"scores: expected finite numbers, got {int((~np.isfinite(scores)).sum())} others of {len(scores)}"
        )
    weight = tilt_weights(scores, beta)
    order = np.argsort(-weight, kind="stable")
    n_heavy = int(np.searchsorted(np.cumsum(weight[order]), 1.0 - LEFT_OUT) + 1)
    n_heavy = min(n_heavy, len(scores))
    if n_heavy <= most:
        heavy = order[:n_heavy]
        kept = weight[heavy]
        similar = 2 * similarity_sum(fingerprints(heavy), kept) + float((kept**2).sum())
        mass = float(kept.sum())
        diversity, error, method = mass**2 - similar, max(0.0, 1.0 - mass**2), "sum"
    else:
        values = []
        for number in range(BATCHES):
            drawn = numpy_generator(seed, "tilt", number).choice(len(scores), size=PER_BATCH, p=weight)
            places, counts = np.unique(drawn, return_counts=True)
            values.append(mean_tanimoto_distance(fingerprints(places), counts))
        diversity, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(BATCHES))
        method = "draws"
    positive = weight[weight > 0]
    entropy = float(-(positive * np.log(positive)).sum())
    return TiltPoint(
        beta=float(beta),
        quality=float(weight @ scores),
        diversity=float(diversity),
        error=error,
        method=method,
        entropy=entropy,
        kl=max(0.0, float(np.log(len(scores)) - entropy)),
        effective=float(np.exp(entropy)),
        participation=float(1.0 / (weight**2).sum()),
        n_heavy=n_heavy,
    )
