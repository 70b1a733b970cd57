"""Which answers are left: their entropy, the likeliest one, the way they are written, and the prompts that lost some."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

MODE_SHARE = 0.1  # an answer with at least this share of a prompt's samples is one of its modes


def answer_entropy(keys: Sequence[str | None]) -> dict[str, Any]:
    """Return the entropy of the answers to one prompt, in nats, and the mass of the likeliest.

    Parameters
    ----------
    keys : n strings or None
        Canonical answers; None = cannot be parsed, left out and counted.

    Returns
    -------
    dict
        ``entropy`` (plug-in: at most log n, so it is comparable only between equal n), ``entropy_corrected`` (Miller and Madow's
        (m − 1)/2n added; still an underestimate where most answers are seen once), ``top_mass``, ``n_distinct``, ``n``, ``n_unparsable``.
        No parsable answer: None everywhere but in the counts.

    Source: Miller 1955. Departures: none.

    Examples
    --------
    >>> found = answer_entropy(["a", "a", "b", "b", None])
    >>> round(found["entropy"], 4), found["top_mass"], found["n_distinct"], found["n_unparsable"]
    (0.6931, 0.5, 2, 1)
    """
    known = [key for key in keys if key is not None]
    counts: dict[str, Any] = {"n": len(known), "n_unparsable": len(keys) - len(known)}
    if not known:
        return {"entropy": None, "entropy_corrected": None, "top_mass": None, "n_distinct": 0, **counts}
    share = np.array(list(Counter(known).values())) / len(known)
    entropy = float(-(share * np.log(share)).sum()) + 0.0
    corrected = entropy + (len(share) - 1) / (2 * len(known))
    return {
        "entropy": entropy,
        "entropy_corrected": corrected,
        "top_mass": float(share.max()),
        "n_distinct": len(share),
        **counts,
    }


def surface_format(text: str, *, most: int = 80) -> str:
    """Return how an answer is written, without what it says: words become ``a``, numbers ``0``, repeats of a pattern ``…``.

    Examples
    --------
    >>> surface_format("12 3 12 9"), surface_format("Answer: (3 + 4) * 2")
    ('0…', 'a: (0 + 0) * 0')
    """
    shape = re.sub(r"[^\W\d_]+", "a", text.strip())
    shape = re.sub(r"\d+(?:\.\d+)?", "0", shape)
    shape = re.sub(r"([a0](?:[ ,;]+|\n))(?:\1)+[a0]?", lambda found: found[1].rstrip() + "…", shape)
    return shape[:most]


def format_shares(texts: Sequence[str], *, most: int = 5) -> dict[str, Any]:
    """Return the share of each surface format among answers: the ``most`` frequent, how many there are, and their entropy in nats."""
    counts = Counter(surface_format(text) for text in texts)
    share = np.array(list(counts.values())) / max(len(texts), 1)
    top = [{"format": form, "share": n / len(texts)} for form, n in counts.most_common(most)]
    return {"n_formats": len(counts), "entropy": float(-(share * np.log(share)).sum()) + 0.0, "top": top}


def writings(texts: Sequence[str], keys: Sequence[str | None]) -> float | None:
    """Return how many ways there are to write an answer: distinct texts per distinct answer, over answers seen at least twice.

    None where no answer was seen twice.

    Examples
    --------
    >>> writings(["1 2", "2 1", "1 2", "3 4"], ["12", "12", "12", "34"])
    2.0
    """
    of: dict[str, list[str]] = {}
    for text, key in zip(texts, keys, strict=True):
        if key is not None:
            of.setdefault(key, []).append(text.strip())
    repeated = [len(set(group)) for group in of.values() if len(group) > 1]
    return float(np.mean(repeated)) if repeated else None


def split_by_solved(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the answer entropy of prompts solved and not solved at a checkpoint, beside that of the same prompts before.

    Parameters
    ----------
    before, after : prompt -> :func:`answer_entropy` with ``n_correct``

    Returns
    -------
    dict
        ``solved`` (at least one right answer ``after``) and ``unsolved``: ``n`` prompts, mean ``before``, ``after`` and ``change`` over
        prompts that have both, with the standard ``error`` of the change (None below two). None where there is no such prompt.
    """
    out = {}
    for name, wanted in (("solved", True), ("unsolved", False)):
        pairs = [
            (before[p]["entropy"], row["entropy"])
            for p, row in after.items()
            if (row["n_correct"] > 0) is wanted and p in before and None not in (before[p]["entropy"], row["entropy"])
        ]
        change = np.array([b - a for a, b in pairs])
        many = len(pairs) > 1
        out[name] = {
            "n": len(pairs),
            "before": float(np.mean([a for a, _ in pairs])) if pairs else None,
            "after": float(np.mean([b for _, b in pairs])) if pairs else None,
            "change": float(change.mean()) if pairs else None,
            "error": float(change.std(ddof=1) / np.sqrt(len(change))) if many else None,
        }
    return out


def lost_modes(
    before: dict[str, list[tuple[str | None, str]]],
    after: dict[str, list[tuple[str | None, str]]],
    *,
    mode_share: float = MODE_SHARE,
    n_prompts: int = 5,
    n_answers: int = 3,
) -> list[dict[str, Any]]:
    """Return the prompts whose modes were lost: answers that were frequent before and are not given at all after.

    Parameters
    ----------
    before, after : prompt -> [(key, text)] of its samples, equally many
    mode_share : float
        An answer with at least this share of a prompt's samples (and seen at least twice) is a mode.

    Returns
    -------
    list of dict
        By lost mass, largest first: ``prompt``, ``n_modes``, ``n_lost``, ``lost_mass`` (share of the samples before that fell on answers
        which are gone), ``lost`` (the answers that are gone), ``before`` and ``after`` (text and share of the commonest answers).
        Prompts that lost nothing are left out.

    Source: this project. Departures: none.
    """
    found = []
    for prompt, rows in before.items():
        old, new = (Counter(key for key, _ in side if key is not None) for side in (rows, after.get(prompt, [])))
        n = max(len(rows), 1)
        modes = [key for key, count in old.items() if count >= 2 and count / n >= mode_share]
        gone = [key for key in modes if key not in new]
        if gone and new:
            found.append(
                {
                    "prompt": prompt,
                    "n_modes": len(modes),
                    "n_lost": len(gone),
                    "lost_mass": sum(old[key] for key in gone) / n,
                    "lost": gone[:n_answers],
                    "before": _commonest(rows, n_answers),
                    "after": _commonest(after[prompt], n_answers),
                }
            )
    return sorted(found, key=lambda row: -row["lost_mass"])[:n_prompts]


def _commonest(rows: list[tuple[str | None, str]], n: int) -> list[dict[str, Any]]:
    counts = Counter(key for key, _ in rows if key is not None)
    text = dict(reversed(rows))
    return [{"text": text[key], "share": count / len(rows)} for key, count in counts.most_common(n)]
