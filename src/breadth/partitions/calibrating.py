"""Find the threshold and the probability curve of a backend on labelled pairs, or its threshold on given partitions."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np

from breadth.partitions.agreement import adjusted_rand_index
from breadth.partitions.calibration import (
    LEAST_RECALL,
    Threshold,
    check_labels,
    choose_threshold,
    fit_calibration,
    grouped_folds,
)
from breadth.partitions.calibration_file import CalibrationFile
from breadth.partitions.clustering import CLUSTERINGS
from breadth.partitions.evaluation import expected_calibration_error
from breadth.partitions.function import Partition

GROUP_OBJECTIVES = ("ari", "distinct")
CUTS = 200  # candidate thresholds of the group objectives: quantiles of the scores


def calibrate_pairs(
    partition: Partition,
    *,
    a: Sequence[str],
    b: Sequence[str],
    prompts: Sequence[str],
    same: np.ndarray,
    objective: str = "balanced_accuracy",
    least_recall: float = LEAST_RECALL,
    method: str = "isotonic",
    n_folds: int = 5,
    seed: int = 0,
    data: str = "",
    date: str | None = None,
) -> CalibrationFile:
    """Return a threshold for a stated objective and a curve from score to probability, both judged by cross-validation.

    Parameters
    ----------
    partition : Partition
        Its backend is what is calibrated; its own threshold and calibration play no part.
    a, b, prompts : (M,) sequences of str
    same : (M,) bool or 0/1
    objective, least_recall : see :func:`choose_threshold`
    method : str
        ``platt``, ``isotonic``.
    n_folds, seed : int
        Folds by prompt: pairs of one prompt stay together.
    data, date : str
        For the record; today where there is no date.

    Raises
    ------
    ValueError
        See :func:`choose_threshold` and :func:`fit_calibration`.

    Source: Platt 1999; Zadrozny and Elkan 2002. Departures: none.
    """
    scores = partition.pair_scores(a, b, prompts=prompts, calibrated=False)
    scores, same = check_labels(scores, same)
    cut = choose_threshold(
        scores, same, prompts, objective=objective, least_recall=least_recall, n_folds=n_folds, seed=seed
    )
    curve = fit_calibration(scores, same, method=method)
    fold = grouped_folds(prompts, n_folds, seed=seed)
    held_out = np.empty(len(scores))
    for k in range(n_folds):
        held_out[fold == k] = fit_calibration(scores[fold != k], same[fold != k], method=method)(scores[fold == k])
    record = {
        "data": data,
        "date": date or datetime.date.today().isoformat(),
        "n_pairs": len(scores),
        "n_same": int(same.sum()),
        "n_prompts": len(set(prompts)),
        "folds": f"{n_folds}, by prompt, seed {seed}",
        "objective": objective,
        "held_out": round(cut.held_out, 4),
        "in_sample": round(cut.in_sample, 4),
        "held_out_recall": None if cut.held_out_recall is None else round(cut.held_out_recall, 4),
        "least_recall": least_recall if objective == "precision" else None,
        "curve": method,
        "ece_score": round(expected_calibration_error(scores, same), 4),
        "ece_held_out": round(expected_calibration_error(held_out, same), 4),
    }
    return CalibrationFile(
        partition.backend.name, getattr(partition.backend, "fingerprint", None), cut.value, curve, record
    )


def calibrate_groups(
    partition: Partition,
    *,
    texts: Sequence[Sequence[str]],
    prompts: Sequence[str],
    kinds: Sequence[Sequence[int]],
    objective: str = "ari",
    n_folds: int = 5,
    seed: int = 0,
    data: str = "",
    date: str | None = None,
) -> CalibrationFile:
    """Return the threshold with which a backend and a clustering come nearest to given partitions; no curve.

    Parameters
    ----------
    partition : Partition
        Its backend and its clustering.
    texts, kinds : (P,) sequences of sequences
        Answers to each prompt and their true classes.
    prompts : (P,) sequence of str
        Groups of one prompt stay in one fold.
    objective : str
        ``ari``: mean adjusted Rand index. ``distinct``: −mean |classes found − true classes|.
    n_folds, seed, data, date : see :func:`calibrate_pairs`

    Raises
    ------
    ValueError
        An unknown objective, the clustering ``soft``, unequal lengths; see :func:`grouped_folds`.

    Source: Hubert and Arabie 1985 (ARI); distinct-k of NoveltyBench (Zhang et al. 2025, arXiv 2504.05228), section 3.
    Departures: none.
    """
    if objective not in GROUP_OBJECTIVES:
        raise ValueError(f"objective: expected one of {', '.join(GROUP_OBJECTIVES)} for partitions, got {objective!r}")
    if partition.clustering not in CLUSTERINGS:
        raise ValueError("clustering: 'soft' makes no classes, so there is no threshold to choose; name another")
    blocks = partition.group_scores(texts, prompts=prompts)
    for row, (block, truth) in enumerate(zip(blocks, kinds, strict=True)):
        if len(block) != len(truth):
            raise ValueError(f"group {row}: expected {len(block)} classes, one for each answer, got {len(truth)}")
    cut = choose_group_threshold(
        blocks, kinds, prompts, clustering=partition.clustering, objective=objective, n_folds=n_folds, seed=seed
    )
    record = {
        "data": data,
        "date": date or datetime.date.today().isoformat(),
        "n_groups": len(blocks),
        "n_prompts": len(set(prompts)),
        "folds": f"{n_folds}, by prompt, seed {seed}",
        "clustering": partition.clustering,
        "objective": objective,
        "held_out": round(cut.held_out, 4),
        "in_sample": round(cut.in_sample, 4),
    }
    return CalibrationFile(
        partition.backend.name, getattr(partition.backend, "fingerprint", None), cut.value, None, record
    )


def choose_group_threshold(
    blocks: Sequence[np.ndarray],
    kinds: Sequence[Sequence[int]],
    prompts: Sequence[str],
    *,
    clustering: str = "greedy",
    objective: str = "ari",
    n_folds: int = 5,
    seed: int = 0,
) -> Threshold:
    """Return the cut with which a clustering of scores comes nearest to given partitions; held out by prompt.

    Parameters and errors as :func:`calibrate_groups`; ``blocks`` (P,) of (n, n) scores.

    Source: none. Departures: none.

    Examples
    --------
    >>> block = np.array([[1, 0.9, 0.2], [0.9, 1, 0.3], [0.2, 0.3, 1]])
    >>> found = choose_group_threshold([block] * 2, [[0, 0, 1]] * 2, ["p", "q"], n_folds=2)
    >>> 0.3 <= found.value < 0.9, found.held_out
    (True, 1.0)
    """
    pooled = np.concatenate([block[np.triu_indices(len(block), 1)] for block in blocks] or [np.empty(0)])
    if not len(pooled):
        raise ValueError("calibrate: expected groups of two or more answers, got none")
    levels = np.unique(pooled)
    middles = (levels[1:] + levels[:-1]) / 2 if len(levels) > 1 else levels
    cuts = np.clip(np.unique(np.quantile(middles, np.linspace(0, 1, CUTS))), 0, np.nextafter(1, 0))
    value = np.empty((len(cuts), len(blocks)))  # of the objective, for each cut and group
    for g, (block, truth) in enumerate(zip(blocks, kinds, strict=True)):
        n_true = len(set(np.asarray(truth).tolist()))
        for c, cut in enumerate(cuts.tolist()):
            found = CLUSTERINGS[clustering](block, cut)
            off = -abs(float(found.max(initial=-1)) + 1 - n_true)
            value[c, g] = adjusted_rand_index(found, truth) if objective == "ari" else off
    fold = grouped_folds(prompts, n_folds, seed=seed)
    held_out = np.empty(len(blocks))
    for k in range(n_folds):
        held_out[fold == k] = value[_best(value[:, fold != k])][fold == k]
    best = _best(value)
    return Threshold(
        float(cuts[best]), objective, float(held_out.mean()), float(value[best].mean()), len(blocks), n_folds
    )


def _best(value: np.ndarray) -> int:
    """Return the row of the best mean; ties go to the middle of the ties."""
    mean = value.mean(axis=1)
    best = np.flatnonzero(mean >= mean.max() - 1e-12)
    return int(best[(len(best) - 1) // 2])
