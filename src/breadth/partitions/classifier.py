"""The shipped partition functions: logistic models on cheap features, read from plain JSON files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from breadth.partitions.encoder import Encode, weights_hash
from breadth.partitions.encoder_features import ENCODER_FEATURES, encoder_features
from breadth.partitions.features import FEATURES, Rarity, pair_features
from breadth.partitions.overlap import settle_short
from breadth.partitions.protocol import Answers
from breadth.partitions.short_answers import SHORT_WORDS
from breadth.partitions.store import Store
from breadth.partitions.vector_cache import VectorCache

FORMAT = "breadth-pair-classifier"
VERSION = 1
SHIPPED = "equivalence_v1.json"
SHIPPED_ENCODER = "equivalence_encoder_v1.json"
ALL_FEATURES = (*FEATURES, *ENCODER_FEATURES)


@dataclass(frozen=True)
class PairClassifier:
    """A fitted logistic model: P(equivalent) = 1/(1 + exp(−(intercept + Σ coefficient·(feature − mean)/deviation))).

    ``features`` (F,) names from ``FEATURES`` and ``ENCODER_FEATURES``; ``mean``, ``deviation``, ``coefficient`` (F,) float64. ``rarity`` word
    counts of the training texts; ``threshold`` the probability above which two answers are the same; ``record`` where
    it comes from (data, n, folds, AUROC, date, licence); ``encoder`` the name and the SHA-256 of the weights of the sentence
    encoder that it was fitted with, None without one.
    """

    features: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    coefficient: np.ndarray
    intercept: float
    rarity: Rarity
    threshold: float
    record: Mapping[str, Any]
    encoder: Mapping[str, str | None] | None = None

    def probability(self, table: np.ndarray) -> np.ndarray:
        """Return P(equivalent) from features (..., F') in the order of ``ALL_FEATURES``, (...) float64.

        F' may stop after ``FEATURES`` where no feature is of an encoder.
        """
        columns = [ALL_FEATURES.index(name) for name in self.features]
        logit = ((table[..., columns] - self.mean) / self.deviation) @ self.coefficient + self.intercept
        return 0.5 * (1 + np.tanh(logit / 2))  # the logistic function, without overflow

    def save(self, path: str | Path) -> None:
        """Write the model as JSON."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "record": dict(self.record),
            "encoder": None if self.encoder is None else dict(self.encoder),
            "threshold": round(float(self.threshold), 6),
            "intercept": round(float(self.intercept), 8),
            "features": {
                name: {"mean": round(float(m), 8), "deviation": round(float(s), 8), "coefficient": round(float(c), 8)}
                for name, m, s, c in zip(self.features, self.mean, self.deviation, self.coefficient, strict=True)
            },
            "rarity": {"n_texts": self.rarity.n_texts, "floor": self.rarity.floor, "count": dict(self.rarity.count)},
        }
        Path(path).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_classifier(path: str | Path | None = None, *, with_encoder: bool = False) -> PairClassifier:
    """Return a classifier from its JSON file; without a path, one that comes with breadth.

    Parameters
    ----------
    path : str or Path, optional
    with_encoder : bool
        Without a path: the one whose features are also those of a sentence encoder.

    Raises
    ------
    ValueError
        Not such a file, a version or a feature that this breadth does not know, or a number that is not finite.

    Examples
    --------
    >>> load_classifier().record["licence"]
    'human labels: MIT (NoveltyBench); coefficients: as breadth'
    """
    shipped = SHIPPED_ENCODER if with_encoder else SHIPPED
    text: str | bytes
    if path is None:
        text = (resources.files("breadth.partitions") / "data" / shipped).read_text(encoding="utf-8")
    else:
        text = Path(path).read_bytes()
    where = shipped if path is None else str(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not a JSON file: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(
            f"{where}: expected a JSON object with format {FORMAT!r}; make one by train_classifier(pairs).save(path)"
        )
    if document.get("version") != VERSION:
        raise ValueError(f"{where}: expected version {VERSION}, got {document.get('version')!r}; train it again")
    listed = document.get("features")
    unknown = [name for name in listed if name not in ALL_FEATURES] if isinstance(listed, dict) else []
    if unknown:
        raise ValueError(f"{where}: unknown feature {unknown[0]!r}; known: {', '.join(ALL_FEATURES)}")
    try:
        found = _built(document)
    except (KeyError, TypeError, AttributeError, OverflowError, ValueError) as error:
        raise ValueError(f"{where}: a field is missing or of the wrong kind ({error!r}); train it again") from error
    everything = np.r_[found.mean, found.deviation, found.coefficient, found.intercept, found.threshold]
    if not np.isfinite(everything).all() or (found.deviation <= 0).any():
        raise ValueError(f"{where}: expected finite numbers and positive deviations")
    return found


def _built(document: Mapping[str, Any]) -> PairClassifier:
    numbers = [[float(f[key]) for f in document["features"].values()] for key in ("mean", "deviation", "coefficient")]
    mean, deviation, coefficient = map(np.array, numbers)
    rarity = document["rarity"]
    return PairClassifier(
        tuple(document["features"]), mean, deviation, coefficient, float(document["intercept"]),
        Rarity(int(rarity["n_texts"]), dict(rarity["count"]), float(rarity["floor"])), float(document["threshold"]),
        document["record"], document.get("encoder"),
    )  # fmt: skip


class Classifier:
    """Probability of being equivalent from cheap features; the backend ``"classifier"``.

    Parameters
    ----------
    model : PairClassifier, str or Path, optional
        A fitted model or its file; a shipped one where absent.
    encoder : str or callable, optional
        Folder of a sentence encoder, or a function from M texts to (M, d) floats: the model's features then include those of
        sentence vectors. It has to be the encoder that the model was fitted with; of a function that is taken on trust. The
        shipped one is for all-MiniLM-L6-v2.
    short_words : int
        Two answers of at most this many words are compared by :func:`short_score`; 0 = never.
    device : str, optional
        Of the encoder.

    Raises
    ------
    ValueError
        See :func:`load_classifier`; a model that needs an encoder and has none, or the reverse; another encoder.

    Source: none; trained on the human labels of NoveltyBench (Zhang et al. 2025, arXiv 2504.05228).
    Departures: a logistic model on cheap features in the place of a fine-tuned DeBERTa; it reads the prompt.
    """

    def __init__(
        self, model: PairClassifier | str | Path | None = None, *, encoder: str | Encode | None = None,
        short_words: int = SHORT_WORDS, device: str | None = None,
    ) -> None:  # fmt: skip
        if short_words < 0:
            raise ValueError(f"short_words: expected 0 or more, got {short_words}")
        if not isinstance(model, PairClassifier):
            model = load_classifier(model, with_encoder=encoder is not None)
        _check_encoder(model, encoder)
        self.model = model
        self.name = "classifier"
        self.threshold = self.model.threshold
        self.short_words = short_words
        self.vectors = None if encoder is None else VectorCache(encoder, device=device)
        numbers = np.r_[model.mean, model.deviation, model.coefficient, model.intercept].round(6).tobytes()
        known = hashlib.blake2b(numbers + repr(model.features).encode(), digest_size=8).hexdigest()
        self.fingerprint = f"{known}, short_words={short_words}"

    def keep_on_disk(self, store: Store | None) -> None:
        """Keep the encoder's vectors in ``store`` as well, and look for them there."""
        if self.vectors is None:
            raise ValueError("disk_cache: a classifier without an encoder keeps nothing")
        self.vectors.keep_on_disk(store)

    def blocks(self, groups: Sequence[Answers]) -> list[np.ndarray]:
        """Return for each group the probabilities of all pairs, (n, n) float64; see :class:`BlockBackend`."""
        meant = [None] * len(groups) if self.vectors is None else encoder_features(groups, self.vectors)
        found = []
        for group, more in zip(groups, meant, strict=True):
            table = pair_features(group, self.model.rarity)
            block = self.model.probability(table if more is None else np.concatenate([table, more], axis=-1))
            settle_short(block, group, self.short_words)
            found.append(block)
        return found


def _check_encoder(model: PairClassifier, encoder: str | Encode | None) -> None:
    if model.encoder is None:
        if encoder is not None:
            raise ValueError(
                "encoder: this classifier was fitted without one; leave it out, or fit one by breadth partition train --encoder"
            )
        return
    name, digest = model.encoder.get("name"), model.encoder.get("sha256")
    if encoder is None:
        raise ValueError(f"encoder: this classifier was fitted with {name or 'a function'}; name its folder")
    if isinstance(encoder, str) and digest is not None and (found := weights_hash(encoder)) != digest:
        raise ValueError(
            f"encoder: this classifier was fitted with {name} (weights {digest[:12]}…), and {encoder} has weights {found[:12]}…; "
            "fit one with it by breadth partition train --encoder"
        )
