"""The shipped partition function: a logistic model on cheap features, read from a plain JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from breadth.partitions.features import FEATURES, Rarity, pair_features
from breadth.partitions.overlap import settle_short
from breadth.partitions.protocol import Answers
from breadth.partitions.short_answers import SHORT_WORDS

FORMAT = "breadth-pair-classifier"
VERSION = 1
SHIPPED = "equivalence_v1.json"


@dataclass(frozen=True)
class PairClassifier:
    """A fitted logistic model: P(equivalent) = 1/(1 + exp(−(intercept + Σ coefficient·(feature − mean)/deviation))).

    ``features`` (F,) names from ``FEATURES``; ``mean``, ``deviation``, ``coefficient`` (F,) float64. ``rarity`` word
    counts of the training texts; ``threshold`` the probability above which two answers are the same; ``record`` where
    it comes from (data, n, folds, AUROC, date, licence).
    """

    features: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    coefficient: np.ndarray
    intercept: float
    rarity: Rarity
    threshold: float
    record: Mapping[str, Any]

    def probability(self, table: np.ndarray) -> np.ndarray:
        """Return P(equivalent) from features (..., F') in the order of ``FEATURES``, (...) float64."""
        columns = [FEATURES.index(name) for name in self.features]
        logit = ((table[..., columns] - self.mean) / self.deviation) @ self.coefficient + self.intercept
        return 0.5 * (1 + np.tanh(logit / 2))  # the logistic function, without overflow

    def save(self, path: str | Path) -> None:
        """Write the model as JSON."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "record": dict(self.record),
            "threshold": round(float(self.threshold), 6),
            "intercept": round(float(self.intercept), 8),
            "features": {
                name: {"mean": round(float(m), 8), "deviation": round(float(s), 8), "coefficient": round(float(c), 8)}
                for name, m, s, c in zip(self.features, self.mean, self.deviation, self.coefficient, strict=True)
            },
            "rarity": {"n_texts": self.rarity.n_texts, "floor": self.rarity.floor, "count": dict(self.rarity.count)},
        }
        Path(path).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_classifier(path: str | Path | None = None) -> PairClassifier:
    """Return a classifier from its JSON file; without a path, the one that comes with breadth.

    Parameters
    ----------
    path : str or Path, optional

    Raises
    ------
    ValueError
        Not such a file, a version or a feature that this breadth does not know, or a number that is not finite.

    Examples
    --------
    >>> load_classifier().record["licence"]
    'human labels: MIT (NoveltyBench); coefficients: as breadth'
    """
    if path is None:
        text = (resources.files("breadth.partitions") / "data" / SHIPPED).read_text(encoding="utf-8")
    else:
        text = Path(path).read_text(encoding="utf-8")
    where = SHIPPED if path is None else str(path)
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not a JSON file: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f"{where}: expected a JSON object with format {FORMAT!r}; make one by train_classifier(pairs).save(path)"
        )
    if document.get("version") != VERSION:
        raise ValueError(f"{where}: expected version {VERSION}, got {document.get('version')!r}; train it again")
    unknown = [name for name in document["features"] if name not in FEATURES]
    if unknown:
        raise ValueError(f"{where}: unknown feature {unknown[0]!r}; known: {', '.join(FEATURES)}")
    numbers = [[f[key] for f in document["features"].values()] for key in ("mean", "deviation", "coefficient")]
    mean, deviation, coefficient = (np.array(row, dtype=float) for row in numbers)
    everything = np.r_[mean, deviation, coefficient, document["intercept"], document["threshold"]]
    if not np.isfinite(everything).all() or (deviation <= 0).any():
        raise ValueError(f"{where}: expected finite numbers and positive deviations")
    rarity = document["rarity"]
    return PairClassifier(
        tuple(document["features"]), mean, deviation, coefficient, document["intercept"],
        Rarity(rarity["n_texts"], rarity["count"], rarity["floor"]), document["threshold"], document["record"],
    )  # fmt: skip


class Classifier:
    """Probability of being equivalent from cheap features; the backend ``"classifier"``.

    Parameters
    ----------
    model : PairClassifier, str or Path, optional
        A fitted model or its file; the shipped one where absent.
    short_words : int
        Two answers of at most this many words are compared by :func:`short_score`; 0 = never.

    Raises
    ------
    ValueError
        See :func:`load_classifier`.

    Source: none; trained on the human labels of NoveltyBench (Zhang et al. 2025, arXiv 2504.05228).
    Departures: a logistic model on word features in the place of a fine-tuned DeBERTa; it reads the prompt.
    """

    def __init__(self, model: PairClassifier | str | Path | None = None, *, short_words: int = SHORT_WORDS) -> None:
        if short_words < 0:
            raise ValueError(f"short_words: expected 0 or more, got {short_words}")
        self.model = model if isinstance(model, PairClassifier) else load_classifier(model)
        self.name = "classifier"
        self.threshold = self.model.threshold
        self.short_words = short_words

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the probabilities of all pairs, (n, n) float64; see :class:`BlockBackend`."""
        found = []
        for group in groups:
            block = self.model.probability(pair_features(group, self.model.rarity))
            settle_short(block, group, self.short_words)
            found.append(block)
        return found
