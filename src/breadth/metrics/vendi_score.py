"""The Vendi score: the effective number of different things under a similarity."""

from __future__ import annotations

import numpy as np


def vendi(
    kernel: np.ndarray | None = None, *, features: np.ndarray | None = None, q: float = 1.0, normalize: bool = True
) -> float | None:
    """Return exp of the Rényi entropy of order q of the eigenvalues of K/n, between 1 and n.

    q = 1: exp(−Σ λ ln λ); q = ∞: 1/max λ; else (Σ λ^q)^{1/(1−q)}. A small q listens to rare things, a large one to the
    dominant ones.

    Parameters
    ----------
    kernel : (n, n) array, optional
        Similarities, symmetric, positive semi-definite, 1 on the diagonal.
    features : (n, d) array, optional
        Instead of ``kernel``: K = X Xᵀ of unit rows. For d < n the eigenvalues are taken of the d × d matrix XᵀX/n (the
        same non-zero ones), which makes 10,000 texts a matter of milliseconds. Exactly one of the two is given.
    q : float
        Order, at least 0 (0 counts the eigenvalues above 1e-10).
    normalize : bool
        Scale the rows of ``features`` to length 1; without it they must have it already.

    Returns
    -------
    float or None
        None for n = 0.

    Raises
    ------
    ValueError
        None or both of ``kernel`` and ``features``; a kernel that is not square, symmetric, finite, of unit diagonal or
        positive semi-definite (to 1e-6); rows of zeros or not of unit length; q below 0.

    Source: Friedman and Dieng 2022, arXiv 2210.02410, definition 3.1; order q: Pasarkar and Dieng 2023, arXiv 2310.12952.
    Departures: none. (The package vendi-score 0.0.3 ignores q where features are given; here it counts.)

    Examples
    --------
    >>> round(vendi(np.eye(3)), 6), round(vendi(np.ones((3, 3))), 6)
    (3.0, 1.0)
    >>> round(vendi(features=np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), q=2), 6)  # 1 / (4/9 + 1/9)
    1.8
    """
    if (kernel is None) == (features is None):
        raise ValueError("kernel, features: expected exactly one of the two")
    if not q >= 0:
        raise ValueError(f"q: expected a number of at least 0, got {q}")
    scaled = _kernel(kernel) if kernel is not None else _gram(np.asarray(features, dtype=float), normalize)
    if scaled is None:
        return None
    eigenvalues = np.linalg.eigvalsh(scaled)
    if eigenvalues.min() < -1e-6:
        raise ValueError(
            f"kernel: expected a positive semi-definite matrix, got the eigenvalue {eigenvalues.min():.3g} of K/n"
        )
    present = eigenvalues[eigenvalues > 1e-10]
    return hill_number(present, q)


def hill_number(weights: np.ndarray, q: float = 1.0) -> float:
    """Return the effective number of kinds of order q of positive weights, which are scaled to sum 1.

    Raises
    ------
    ValueError
        A weight that is not positive and finite, no weight, or q below 0.

    Source: Hill 1973. Departures: none.

    Examples
    --------
    >>> round(hill_number(np.array([2, 2, 2, 2])), 12), hill_number(np.array([3, 1]), q=0), hill_number(np.array([1]), q=2)
    (4.0, 2.0, 1.0)
    """
    share = np.asarray(weights, dtype=float)
    if share.size == 0 or not (np.isfinite(share) & (share > 0)).all():
        raise ValueError("weights: expected at least one weight, all positive and finite")
    if not q >= 0:
        raise ValueError(f"q: expected a number of at least 0, got {q}")
    share = share / share.sum()
    if q == 0:
        return float(share.size)
    if np.isinf(q):
        return float(1 / share.max())
    if abs(q - 1) < 1e-9:  # the limit; nearer than this the power form loses its digits
        return float(np.exp(-(share * np.log(share)).sum()))
    return float((share**q).sum() ** (1 / (1 - q)))


def _kernel(kernel: np.ndarray) -> np.ndarray | None:
    """Return K/n, checked; None for n = 0."""
    kernel = np.asarray(kernel, dtype=float)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"kernel: expected a square matrix, got shape {kernel.shape}")
    n = kernel.shape[0]
    if n == 0:
        return None
    if not np.isfinite(kernel).all():
        raise ValueError(f"kernel: expected finite numbers, got {int((~np.isfinite(kernel)).sum())} that are not")
    if not np.allclose(kernel, kernel.T, atol=1e-6):
        raise ValueError(f"kernel: expected a symmetric matrix, got a difference of {np.abs(kernel - kernel.T).max():.3g}")
    if not np.allclose(np.diagonal(kernel), 1, atol=1e-6):
        raise ValueError(f"kernel: expected 1 on the diagonal, got {np.diagonal(kernel).min()} to {np.diagonal(kernel).max()}")
    return kernel / n


def _gram(features: np.ndarray, normalize: bool) -> np.ndarray | None:
    """Return K/n, or its dual of the same non-zero eigenvalues, whichever is smaller; None for n = 0."""
    if features.ndim != 2:
        raise ValueError(f"features: expected shape (n, d), got {features.shape}")
    n, d = features.shape
    if n == 0:
        return None
    norm = np.linalg.norm(features, axis=1, keepdims=True)  # (n, 1)
    if not np.isfinite(norm).all() or (norm == 0).any():
        raise ValueError("features: expected finite rows with a direction, got a row of zeros or a number that is not finite")
    if normalize:
        features = features / norm
    elif not np.allclose(norm, 1, atol=1e-6):
        raise ValueError(f"features: expected rows of length 1, got {norm.min():.4g} to {norm.max():.4g}; normalize=True scales them")
    return (features.T @ features if d < n else features @ features.T) / n
