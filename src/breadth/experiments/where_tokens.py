"""Entropy and KL over the tokens of sampled answers: by position, at forking tokens, by kind of token. Arrays in, plain numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FORK_SHARE = 0.2  # the fifth of tokens with the most entropy: Wang et al. 2025, arXiv 2506.01939
TOKEN_CLASSES = ("letters", "digits", "signs", "space", "end", "mixed")


def by_position(entropy: np.ndarray, mask: np.ndarray) -> list[dict[str, float | int]]:
    """Return mean next-token entropy at each position, over the answers that are still going there.

    Parameters
    ----------
    entropy : (N, T) float, nats
    mask : (N, T) bool, True = a sampled token

    Examples
    --------
    >>> by_position(np.array([[1.0, 3.0], [2.0, 9.0]]), np.array([[True, True], [True, False]]))
    [{'position': 0, 'entropy': 1.5, 'n': 2}, {'position': 1, 'entropy': 3.0, 'n': 1}]
    """
    n = mask.sum(0)
    total = np.where(mask, entropy, 0.0).sum(0)
    return [{"position": t, "entropy": float(total[t] / n[t]), "n": int(n[t])} for t in range(len(n)) if n[t]]


def forks(entropy: np.ndarray, mask: np.ndarray, share: float = FORK_SHARE) -> dict[str, Any]:
    """Return what the forking tokens hold: the ``share`` of sampled tokens with the most entropy.

    Returns
    -------
    dict
        ``threshold`` (the entropy from which a token counts), ``mean`` and ``mean_rest`` in nats, ``of_entropy`` (share of all entropy
        that the forks hold; None where there is none), ``n``. Exactly ⌈share·tokens⌉ tokens are forks; ties are broken by order.

    Raises
    ------
    ValueError
        No sampled token, or a share outside (0, 1).

    Source: Wang et al. 2025, arXiv 2506.01939 (the top 20 % of tokens by entropy). Departures: the quantile is taken over the answers
    of one checkpoint, not over a training batch.

    Examples
    --------
    >>> found = forks(np.array([[0.0, 0.0, 0.0, 0.0, 2.0]]), np.ones((1, 5), bool))
    >>> found["mean"], found["of_entropy"], found["n"]
    (2.0, 1.0, 1)
    """
    values = entropy[mask]
    if values.size == 0:
        raise ValueError("mask: expected at least one sampled token, got none")
    if not 0 < share < 1:
        raise ValueError(f"share: expected a number between 0 and 1, got {share}")
    n = int(np.ceil(share * values.size))
    ordered = np.sort(values)[::-1]
    total = float(ordered.sum())
    return {
        "threshold": float(ordered[n - 1]),
        "mean": float(ordered[:n].mean()),
        "mean_rest": float(ordered[n:].mean()) if n < ordered.size else None,
        "of_entropy": float(ordered[:n].sum()) / total if total > 0 else None,
        "n": n,
    }


def kl_by_class(gap: np.ndarray, kind: np.ndarray, mask: np.ndarray) -> dict[str, dict[str, float | int]]:
    """Return where the KL divergence to the prior lies: the parts of E[Σ_t log π − log π₀] by kind of token.

    Parameters
    ----------
    gap : (N, T) float, nats
        log π − log π₀ of each sampled token.
    kind : (N, T) int, index into ``TOKEN_CLASSES``
    mask : (N, T) bool

    Returns
    -------
    dict
        Class -> ``share_of_tokens``, ``per_token`` (mean gap, nats), ``per_answer`` (what the class adds to the KL of an answer; over
        classes these add up to it). Classes that do not occur are left out. A part can be negative: only the whole is a divergence.

    Source: the chain rule of KL; Monte Carlo over answers of the policy. Departures: none.

    Examples
    --------
    >>> kl_by_class(np.array([[0.5, 1.5]]), np.array([[0, 1]]), np.ones((1, 2), bool))["digits"]["per_answer"]
    1.5
    """
    n = int(mask.sum())
    out: dict[str, dict[str, float | int]] = {}
    for i, name in enumerate(TOKEN_CLASSES):
        here = mask & (kind == i)
        count = int(here.sum())
        if count:
            total = float(gap[here].sum())
            out[name] = {
                "share_of_tokens": count / n,
                "per_token": total / count,
                "per_answer": total / len(gap),
                "n": count,
            }
    return out


def token_class(text: str) -> str:
    """Return the kind of a token by the signs that it is written with.

    Examples
    --------
    >>> [token_class(t) for t in ("12", "Cl", "=", " ", "", "a1")]
    ['digits', 'letters', 'signs', 'space', 'end', 'mixed']
    """
    if text == "":
        return "end"
    bare = text.strip()
    if not bare:
        return "space"
    if bare.isdigit():
        return "digits"
    if bare.isalpha():
        return "letters"
    return "mixed" if any(c.isalnum() for c in bare) else "signs"


def class_table(texts: Sequence[str]) -> np.ndarray:
    """Return for each token of a vocabulary the index of its kind in ``TOKEN_CLASSES``, (V,) int."""
    return np.array([TOKEN_CLASSES.index(token_class(text)) for text in texts], dtype=np.int64)
