"""What can be said of a set of answers in one number. Imports no torch.

:func:`measure_sets` makes the rows of a study's ledger; :func:`mean_pairwise` is the spread that they rest on. The other
measures (docs/metrics.md) are imported when they are used.
"""

from __future__ import annotations

import importlib
from typing import Any

from breadth.metrics.measure import measure_sets
from breadth.metrics.pairwise import mean_pairwise

# name -> module; no module is called like a function in it, or importing the one would hide the other
_LATER = {
    "ngram_novelty": "lexical",
    "mean_ngram_novelty": "lexical",
    "distinct_n": "lexical",
    "ead": "lexical",
    "compression_ratio": "lexical",
    "lexical_diversity": "lexical",
    "self_bleu": "bleu",
    "mean_pairwise_jaccard": "overlap",
    "mean_pairwise_rouge1": "overlap",
    "mean_pairwise_rouge_l": "overlap",
    "mean_pairwise_cosine": "overlap",
    "semantic_diversity": "guo",
    "syntactic_diversity": "guo",
    "lexical_diversity_by_scope": "guo",
    "DependencyTree": "dependency_trees",
    "read_conllu": "dependency_trees",
    "vendi": "vendi_score",
    "hill_number": "vendi_score",
    "distinct_k": "classes",
    "utility_k": "classes",
    "semantic_entropy": "classes",
    "effective_number": "classes",
    "pass_at_k": "success",
    "coverage": "success",
    "distinct_correct_at_k": "success",
    "diversity_above_bar": "above_bar",
    "effective_diversity": "above_bar",
    "within_budget": "budget",
    "interval_over_texts": "budget",
    "tokenize": "tokens",
    "TextMeasurement": "conditions",
}

__all__ = ["mean_pairwise", "measure_sets", *_LATER]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'breadth.metrics' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"breadth.metrics.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
