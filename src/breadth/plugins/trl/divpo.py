"""Preference pairs for DPO out of pools of sampled answers: the rarest of the good against the commonest of the bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from breadth.partitions.function import class_diversity
from breadth.plugins.trl.answers import text_of
from breadth.selection.pairs import select_pairs


def build_divpo_pairs(
    pools: Sequence[Mapping[str, Any]], *, quality: Callable[..., Sequence[float | None]] | None = None, partition: Any = None,
    diversity: str = "partition", rho: float = 0.25, n_pairs: int = 1,
) -> Any:  # fmt: skip
    """Return a preference data set (``prompt``, ``chosen``, ``rejected``, and what was known of both) for a DPO trainer.

    Parameters
    ----------
    pools : sequence of rows
        One for each prompt: ``prompt``, ``completions`` (texts or conversations), and ``quality`` (numbers; None or NaN = unscored)
        unless the function is given; ``logp`` and ``length`` (Σ log π and tokens of each) for ``diversity="logp"``.
    quality : function, optional
        As a reward function of TRL: (completions, prompts=, …) -> one number each.
    partition : Partition or str
        For ``diversity="partition"``: 1 − share of the others in the answer's class.
    diversity : str
        ``partition``, or ``logp``: −log π per token, the paper's first.
    rho, n_pairs
        See :func:`breadth.selection.pairs.select_pairs`.

    Returns
    -------
    datasets.Dataset
        A prompt whose answers are all equally good gives no pair.

    Raises
    ------
    ValueError
        A row without what is needed, lengths that differ, or no pair at all.
    ImportError
        No ``datasets``.

    Source: Lanchantin et al. 2025 (DivPO), arXiv 2501.18101, section 3 and Algorithm 1. Departures: the learned partition's diversity
    and more than one pair a prompt are ours.
    """
    try:
        from datasets import Dataset
    except ImportError:
        raise ImportError(
            "build_divpo_pairs returns a data set of the package datasets: pip install 'breadth[trl]'"
        ) from None
    if diversity not in ("partition", "logp"):
        raise ValueError(f"diversity: expected partition or logp, got {diversity!r}")
    if diversity == "partition" and partition is None:
        raise ValueError(
            "diversity='partition': pass partition=breadth.partition(...), which tells the answers of a prompt apart"
        )
    if isinstance(partition, str):
        from breadth.partitions.front import partition as named

        partition = named(partition)
    out: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for number, pool in enumerate(pools):
        answers = list(pool["completions"])
        scores = _scores(number, pool, answers, quality)
        spread = _diversity(number, pool, answers, partition if diversity == "partition" else None)
        pairs = select_pairs(
            torch.tensor(scores),
            torch.zeros(len(answers), dtype=torch.int64),
            torch.tensor(spread),
            rho=rho,
            n_pairs=n_pairs,
        )
        for better, worse in pairs.tolist():
            facts = (
                pool["prompt"],
                answers[better],
                answers[worse],
                scores[better],
                scores[worse],
                spread[better],
                spread[worse],
            )
            for name, value in zip(_COLUMNS, facts, strict=True):
                out[name].append(value)
    if not out["prompt"]:
        raise ValueError(
            f"pools: no pair in {len(pools)} prompts: in every one all answers are equally good, or fewer than two are scored"
        )
    return Dataset.from_dict(out)


_COLUMNS = (
    "prompt",
    "chosen",
    "rejected",
    "chosen_quality",
    "rejected_quality",
    "chosen_diversity",
    "rejected_diversity",
)


def _scores(number: int, pool: Mapping[str, Any], answers: list[Any], quality: Any) -> list[float]:
    if quality is not None:
        own = {name: [value] * len(answers) for name, value in pool.items() if name not in ("prompt", "completions")}
        found = list(quality(prompts=[pool["prompt"]] * len(answers), completions=answers, **own))
    elif pool.get("quality") is None:
        raise ValueError(
            f"pools[{number}]: no 'quality' there; put one number for each completion, or pass quality=function"
        )
    else:
        found = list(pool["quality"])
    if len(found) != len(answers):
        raise ValueError(
            f"pools[{number}]: expected one quality for each of {len(answers)} completions, got {len(found)}"
        )
    return [float("nan") if value is None else float(value) for value in found]


def _diversity(number: int, pool: Mapping[str, Any], answers: list[Any], partition: Any) -> list[float]:
    texts = [text_of(answer) for answer in answers]
    if partition is not None:
        kinds = partition(
            texts, group=np.zeros(len(texts), dtype=np.int64), prompts=[text_of(pool["prompt"])] * len(texts)
        )
        return class_diversity(np.asarray(kinds)).tolist()
    for name in ("logp", "length"):
        if pool.get(name) is None or len(pool[name]) != len(answers):
            raise ValueError(
                f"pools[{number}]: diversity='logp' needs {name!r}, one number for each of {len(answers)} completions"
            )
    return [-float(logp) / max(1, int(length)) for logp, length in zip(pool["logp"], pool["length"], strict=True)]
