"""breadth: post-training that keeps a language model's range.

The public names, by floor. Nothing heavy is imported until a name that needs it is used: ``import breadth`` loads no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> "module:attribute"; a module alone gives the module itself
_PUBLIC = {
    # arithmetic and ideas
    "implicit_reward": "breadth.losses.implicit:implicit_reward",
    "pair_loss": "breadth.losses.implicit:pair_loss",
    "group_loss": "breadth.losses.implicit:group_loss",
    "metrics": "breadth.metrics",
    "partition": "breadth.partitions.front:partition",
    "mean_pairwise_tanimoto": "breadth.tasks.fingerprints:mean_pairwise_tanimoto",
    "fit_law": "breadth.laws.fit:fit_law",
    "lift": "breadth.laws.lift:lift",
    "forecast": "breadth.laws.forecast:forecast",
    # named methods and tasks
    "objective": "breadth.catalogue:objective",
    "task": "breadth.catalogue:task",
    # runs and studies
    "train": "breadth.experiments.front:train",
    "measure": "breadth.experiments.front:measure",
    "study": "breadth.experiments.front:study",
    "load_run": "breadth.ledger.run:load_run",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    target = _PUBLIC.get(name)
    if target is None:
        raise AttributeError(f"module 'breadth' has no attribute {name!r}; public names: {', '.join(sorted(_PUBLIC))}")
    module_name, _, attribute = target.partition(":")
    module = importlib.import_module(module_name)
    return getattr(module, attribute) if attribute else module


def __dir__() -> list[str]:
    return sorted(__all__)
