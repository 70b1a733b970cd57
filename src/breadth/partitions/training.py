"""Fit the pair classifier on labelled pairs: seconds on a CPU, cross-validated by prompt."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from breadth.partitions.calibration import choose_threshold, grouped_folds
from breadth.partitions.classifier import ALL_FEATURES, PairClassifier
from breadth.partitions.encoder import Encode, weights_hash
from breadth.partitions.encoder_features import encoder_features
from breadth.partitions.evaluation import evaluate
from breadth.partitions.features import FEATURES, Rarity, count_rarity, pair_features, rare_word_cosines
from breadth.partitions.protocol import Answers
from breadth.partitions.store import DISK_SIZE, open_store
from breadth.partitions.vector_cache import VectorCache

RIDGE = 15.0  # on standardised features; the cross-validated AUROC of the shipped model is flat from 3 to 30
REQUIRED = ("prompt", "generation_0", "generation_1", "similar")


def read_pairs(pairs: Sequence[Mapping[str, Any]]) -> tuple[list[Answers], np.ndarray]:
    """Return labelled pairs as groups of two, and their labels (M,) float64.

    Parameters
    ----------
    pairs : (M,) sequence of mappings
        With ``prompt``, ``generation_0``, ``generation_1`` (str) and ``similar`` (0 or 1).

    Raises
    ------
    ValueError
        A missing field or a label that is neither 0 nor 1; the message says in which row.

    Examples
    --------
    >>> read_pairs([{"prompt": "p", "generation_0": "a", "generation_1": "b", "similar": 0}])[1].tolist()
    [0.0]
    """
    groups, same = [], np.empty(len(pairs))
    for row, pair in enumerate(pairs):
        for name in REQUIRED:
            if name not in pair:
                raise ValueError(f"pairs[{row}]: expected the fields {', '.join(REQUIRED)}, got no {name!r}")
        for name in REQUIRED[:3]:
            if not isinstance(pair[name], str):
                raise ValueError(f"pairs[{row}]: expected text in {name!r}, got {type(pair[name]).__name__}")
        if pair["similar"] not in (0, 1):
            raise ValueError(f"pairs[{row}]: expected 0 or 1 in 'similar', got {pair['similar']!r}")
        groups.append(Answers(pair["prompt"], (pair["generation_0"], pair["generation_1"])))
        same[row] = pair["similar"]
    return groups, same


def pairs_digest(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Return a name for a set of labelled pairs, whatever their order: to notice that one is judged by what it has seen.

    Examples
    --------
    >>> one, other = ({"prompt": "p", "generation_0": "a", "generation_1": b, "similar": 0} for b in "bc")
    >>> pairs_digest([one, other]) == pairs_digest([other, one]) != pairs_digest([one])
    True
    """
    rows = sorted(
        hashlib.blake2b("\0".join([str(pair[name]) for name in REQUIRED]).encode("utf-8", "surrogatepass")).digest()
        for pair in pairs
    )
    return hashlib.blake2b(b"".join(rows), digest_size=16).hexdigest()


def cross_validate(
    pairs: Sequence[Mapping[str, Any]], *, n_folds: int = 5, seed: int = 0, ridge: float = RIDGE,
    features: Sequence[str] | None = None, encoder: str | Encode | VectorCache | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the probability of each pair from a model that has seen neither it nor its prompt, (M,) float64.

    Word rarities, scaling and coefficients are fitted without the fold.

    Parameters
    ----------
    pairs : see :func:`read_pairs`
    n_folds, seed : int
    ridge : float
        Weight of ½‖coefficient‖² against the summed log-loss.
    features : sequence of str, optional
        All that there are where absent.
    encoder : str or callable, optional
        See :func:`train_classifier`.

    Raises
    ------
    ValueError
        See :func:`read_pairs` and :func:`grouped_folds`.

    Source: none. Departures: none.
    """
    groups, same = read_pairs(pairs)
    fold = grouped_folds([group.prompt for group in groups], n_folds, seed=seed)
    probability = np.empty(len(groups))
    table = _features(groups, Rarity(0, {}, 0.0), _vectors(encoder))
    chosen = tuple(features or ALL_FEATURES[: table.shape[1]])
    for k in range(n_folds):
        rarity = count_rarity([text for group, f in zip(groups, fold, strict=True) if f != k for text in group.texts])
        for name, own in (("cosine_rare", False), ("cosine_rare_own", True)):  # the only ones that rarity has a part in
            column = [rare_word_cosines(group, rarity, own=own)[0, 1] for group in groups]
            table[:, FEATURES.index(name)] = column
        kept = fold != k
        probability[~kept] = _fit(table[kept], same[kept], rarity, ridge, chosen).probability(table[~kept])
    return probability


def train_classifier(
    pairs: Sequence[Mapping[str, Any]],
    *,
    data: str = "",
    licence: str = "",
    objective: str = "balanced_accuracy",
    n_folds: int = 5,
    seed: int = 0,
    ridge: float = RIDGE,
    features: Sequence[str] | None = None,
    encoder: str | Encode | None = None,
    disk_cache: bool | str | Path = False,
    date: str | None = None,
) -> PairClassifier:
    """Return a logistic model of "these two answers are equivalent" fitted on labelled pairs.

    Parameters
    ----------
    pairs : see :func:`read_pairs`
    data, licence : str
        For the training record.
    objective : str
        What the threshold is chosen for, on cross-validated probabilities; see :func:`choose_threshold`.
    n_folds, seed : int
        Of the cross-validation, by prompt.
    ridge : float
        Weight of ½‖coefficient‖² on standardised features against the summed log-loss.
    features : sequence of str, optional
        Among ``FEATURES`` and, with an encoder, ``ENCODER_FEATURES``; all of them where absent.
    encoder : str or callable, optional
        Folder or name of a sentence encoder (see :func:`load_encoder`), or a function from M texts to (M, d) floats.
    disk_cache : bool or folder
        Keep the encoder's vectors; see :func:`breadth.partition`.
    date : str, optional
        ISO date of the record; today where absent.

    Raises
    ------
    ValueError
        A pair that cannot be read (see :func:`read_pairs`), an unknown feature, labels all equal, fewer prompts than
        folds.

    Source: none; ridge logistic regression. Departures: none.

    Examples
    --------
    >>> pairs = [{"prompt": f"p{i}", "generation_0": "red fox", "generation_1": ("red fox", "blue owl")[i % 2],
    ...           "similar": 1 - i % 2} for i in range(20)]
    >>> model = train_classifier(pairs, n_folds=2)
    >>> model.record["n"], model.record["auroc"]
    (20, 1.0)
    """
    known = FEATURES if encoder is None else ALL_FEATURES
    features = tuple(known if features is None else features)
    for name in features:
        if name not in known:
            raise ValueError(f"features: unknown {name!r}; known: {', '.join(known)}")
    groups, same = read_pairs(pairs)
    vectors = _vectors(encoder)  # shared, so that every text is encoded once
    if vectors is not None and disk_cache is not False:
        vectors.keep_on_disk(open_store("vectors", disk_cache, size=DISK_SIZE // 20))
    held_out = cross_validate(pairs, n_folds=n_folds, seed=seed, ridge=ridge, features=features, encoder=vectors)
    prompts = [group.prompt for group in groups]
    cut = choose_threshold(held_out, same, prompts, objective=objective, n_folds=n_folds, seed=seed)
    rarity = count_rarity([text for group in groups for text in group.texts])
    model = _fit(_features(groups, rarity, vectors), same, rarity, ridge, features)
    found = evaluate(held_out, same, threshold=cut.value, prompts=prompts, seed=seed)
    record = {
        "data": data,
        "licence": licence,
        "pairs_digest": pairs_digest(pairs),
        "date": date or datetime.date.today().isoformat(),
        "n": len(groups),
        "n_same": int(same.sum()),
        "n_prompts": len(set(prompts)),
        "folds": f"{n_folds}, by prompt, seed {seed}",
        "auroc": round(found.auroc.value or 0.0, 4),
        "auroc_low": round(found.auroc.low or 0.0, 4),
        "auroc_high": round(found.auroc.high or 0.0, 4),
        "objective": objective,
        objective: round(cut.held_out, 4),
        "ridge": ridge,
    }
    return PairClassifier(
        model.features, model.mean, model.deviation, model.coefficient, model.intercept, model.rarity, cut.value, record,
        _named(encoder),
    )  # fmt: skip


def _features(groups: Sequence[Answers], rarity: Rarity, vectors: VectorCache | None) -> np.ndarray:
    """Return the features of the pair in each group of two, (M, F), those of the encoder after those of the words."""
    table = np.stack([pair_features(group, rarity)[0, 1] for group in groups])
    if vectors is None:
        return table
    return np.c_[table, np.stack([block[0, 1] for block in encoder_features(groups, vectors)])]


def _vectors(encoder: str | Encode | VectorCache | None) -> VectorCache | None:
    return encoder if encoder is None or isinstance(encoder, VectorCache) else VectorCache(encoder)


def _named(encoder: str | Encode | None) -> dict[str, str | None] | None:
    """Return what tells the encoder from others: its name, and the hash of its weights where they lie in a folder."""
    if encoder is None:
        return None
    if not isinstance(encoder, str):
        return {"name": None, "sha256": None}
    folder = Path(encoder)
    return {
        "name": folder.name if folder.is_dir() else encoder,
        "sha256": weights_hash(folder) if folder.is_dir() else None,
    }


def _fit(
    table: np.ndarray, same: np.ndarray, rarity: Rarity, ridge: float, features: tuple[str, ...]
) -> PairClassifier:
    table = table[:, [ALL_FEATURES.index(name) for name in features]]
    mean, deviation = table.mean(axis=0), table.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)  # a feature that never varies has no coefficient
    scaled = (table - mean) / deviation

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = scaled @ w[1:] + w[0]
        error = 0.5 * (1 + np.tanh(z / 2)) - same
        value = (np.logaddexp(0, z) - same * z).sum() + ridge / 2 * w[1:] @ w[1:]
        return float(value), np.r_[error.sum(), scaled.T @ error + ridge * w[1:]]

    w = minimize(loss, np.zeros(scaled.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return PairClassifier(features, mean, deviation, w[1:], float(w[0]), rarity, 0.5, {})
