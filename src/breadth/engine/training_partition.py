"""A partition in training, in the place of the task's own classes: the named one, or a classifier fitted on the prior's answers.

Where a task can tell answers apart exactly, a run with a learned partition beside one with the task's own says what the learned one's
errors cost. The classifier is fitted before the first step and kept in the run folder, so that a resumed run tells answers apart
as before.

Source: DARLING (Li et al. 2025, arXiv 2509.02534) trains its classifier on labelled pairs of model answers and then leaves it alone.
Departures: (1) the labels are the task's keys, not people's. (2) a logistic model on cheap features.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from breadth.data_settings import PartitionSettings
from breadth.engine.gpt import load_gpt2
from breadth.partitions.classifier import PairClassifier, load_classifier
from breadth.partitions.front import partition
from breadth.partitions.function import Partition
from breadth.seeds import derive_seed, numpy_generator

if TYPE_CHECKING:
    from breadth.engine.run_frame import RunFrame

READS_PARTITION = frozenset({"kind", "distance"})  # streams that a partition tells
FILE = "partition.json"  # the fitted classifier, in the run folder
PROMPTS, ANSWERS = 32, 32  # of one draw of the prior
DRAWS = 64  # at most
FOLDS = 5  # of the cross-validation, by prompt


def named_partition(settings: PartitionSettings, model: PairClassifier | None = None) -> Partition:
    """Return the partition that the settings name; ``model`` is what ``learn_pairs`` was fitted to.

    Raises
    ------
    ValueError, TypeError, ImportError, OSError
        See :func:`breadth.partition`.
    """
    own = {} if model is None else {"model": model}
    return partition(
        settings.backend, threshold=settings.threshold, clustering=settings.clustering, **{**settings.settings, **own}
    )


def training_partition(run: RunFrame) -> Partition | None:
    """Return the partition that a run trains with; None where the task tells its answers apart itself."""
    settings = run.settings.partition
    if settings is None or not READS_PARTITION & set(run.objective.needs):
        return None
    if settings.learn_pairs is None:
        return named_partition(settings)
    path = run.folder / FILE
    if not path.is_file():
        fitted = learned(run, settings.learn_pairs)
        temporary = path.with_suffix(".tmp")
        fitted.save(temporary)
        temporary.replace(path)
        run.events.add("partition fitted", threshold=fitted.threshold, **fitted.record)
    return named_partition(settings, load_classifier(path))


def learned(run: RunFrame, n_pairs: int) -> PairClassifier:
    """Return a classifier of "these two answers are the same", fitted on pairs of the prior's answers that the task's keys label.

    Half of the pairs are the same answer in other words, half are different answers to one prompt; texts that are equal are left out,
    since they need no judging. The prior and ``n_pairs`` decide it, not the run's seed: all runs of a study train with the same one.

    Raises
    ------
    RunStopped
        The prior writes too few answers in more than one way; the task has next to no prompts.
    """
    from breadth.engine.run_frame import RunStopped
    from breadth.partitions.training import train_classifier

    asked = set(run.task.prompts(PROMPTS, seed=derive_seed(0, "partition prompts", 0)))
    if len(asked) < FOLDS:
        raise RunStopped(
            f"partition.learn_pairs: a classifier is judged on prompts that it has not seen, and the task {run.task.name!r} has "
            f"{len(asked)} of them: expected at least {FOLDS}. Fit one elsewhere (breadth partition train) and name it in partition.settings.model"
        )
    prior = load_gpt2(run.prior, dropout=0.0).to(run.machine.device)
    half = n_pairs // 2
    same: list[dict[str, Any]] = []
    different: list[dict[str, Any]] = []
    for draw in range(DRAWS):
        if len(same) >= half:
            break
        prompts = run.task.prompts(PROMPTS, seed=derive_seed(0, "partition prompts", draw))
        generator = torch.Generator().manual_seed(derive_seed(0, "partition answers", draw))
        rollouts = run.sample_groups(prior, prompts, ANSWERS, generator)
        a, b = labelled_pairs(rollouts.text, run.task.key(rollouts.text, rollouts.prompt), rollouts.prompt)
        same, different = same + a, different + b
    if len(same) < half:
        raise RunStopped(
            f"partition.learn_pairs: expected {half} pairs of one answer in other words, found {len(same)} among "
            f"{DRAWS * PROMPTS * ANSWERS} answers of the prior: lower it, or leave it out (answers that are never written in two ways need no "
            "classifier: the backend 'canonical')"
        )
    pick = numpy_generator(0, "partition pairs")
    chosen = [rows[i] for rows in (same, different) for i in pick.permutation(len(rows))[:half]]
    return train_classifier(
        chosen, n_folds=FOLDS, data=f"{run.task.name}: answers of the prior, labelled by the task's keys"
    )


def against_keys(kind: np.ndarray, keys: list[str | None], group: np.ndarray) -> dict[str, float]:
    """Return how a partition's classes differ from the task's keys on the pairs of a batch, for its row in the log.

    ``partition_false_merges``: share of the pairs with different keys that it calls the same; ``partition_false_splits``: share of
    the pairs with one key that it tells apart. What cannot be parsed takes no part; a share of no pairs is left out.

    Examples
    --------
    >>> found = against_keys(np.array([0, 0, 1, 1]), ["a", "b", "b", None], np.zeros(4))
    >>> found["partition_false_merges"], found["partition_false_splits"]
    (0.5, 1.0)
    """
    known = np.flatnonzero([key is not None for key in keys])
    number: dict[str | None, int] = {}
    label = np.array([number.setdefault(keys[i], len(number)) for i in known])
    i, j = np.triu_indices(len(known), k=1)
    pairs = group[known][i] == group[known][j]
    i, j = i[pairs], j[pairs]
    same, called = label[i] == label[j], kind[known][i] == kind[known][j]
    found = {"partition_false_merges": (called, ~same), "partition_false_splits": (~called, same)}
    return {name: float(wrong[among].mean()) for name, (wrong, among) in found.items() if among.any()}


def labelled_pairs(
    texts: list[str], keys: list[str | None], prompts: list[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the pairs of different texts to each prompt: those with one key, and as many of the others, evenly spread.

    An answer that cannot be parsed is different from every other.

    Examples
    --------
    >>> same, different = labelled_pairs(["1+2", "2+1", "1*2", "2+1"], ["a", "a", "b", "a"], ["p"] * 4)
    >>> [(p["generation_0"], p["generation_1"]) for p in same], len(different)
    ([('1+2', '2+1')], 1)
    """
    same: list[dict[str, Any]] = []
    different: list[dict[str, Any]] = []
    members: dict[str, dict[str, int]] = {}
    for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        members.setdefault(prompt, {}).setdefault(text.strip(), i)
    for prompt, rows in members.items():
        pairs: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for i, j in combinations(rows.values(), 2):
            pairs[0 if keys[i] is not None and keys[i] == keys[j] else 1].append((i, j))
        spread = np.linspace(0, len(pairs[1]) - 1, min(len(pairs[0]), len(pairs[1]))).astype(int)
        for found, kept, label in ((same, pairs[0], 1), (different, [pairs[1][k] for k in spread], 0)):
            found += [
                {"prompt": prompt, "generation_0": texts[i], "generation_1": texts[j], "similar": label}
                for i, j in kept
            ]
    return same, different
