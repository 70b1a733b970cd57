"""Losses on logits (GEM) in TRL's SFT trainer, through its public ``compute_loss_func``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from breadth.catalogue import objective as make_objective


def sft_loss(name: str, **settings: Any) -> Callable[..., Tensor]:
    """Return a function for ``SFTTrainer(compute_loss_func=…)`` that is an objective of the family "sft".

    Parameters
    ----------
    name : str
        ``gem`` or ``sft``.
    **settings
        Its numbers.

    Returns
    -------
    function (outputs, labels, num_items_in_batch=None) -> ()
        The sum over learned positions divided by their number in the whole accumulated batch, as TRL counts it.

    Raises
    ------
    ValueError
        Another family.

    Source: the objective's page. Departures: none.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import torch
    >>> logits, labels = torch.zeros(1, 3, 4), torch.tensor([[-100, 2, 3]])
    >>> round(float(sft_loss("sft")(SimpleNamespace(logits=logits), labels)), 4)  # ln 4
    1.3863
    """
    made: Any = make_objective(name, **settings)
    if made.family != "sft":
        raise ValueError(f"sft_loss: {name!r} is of the family {made.family!r}; losses on logits are gem and sft")

    def loss(outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        target = labels[:, 1:]
        mask = target != -100  # what TRL and transformers leave out
        count = None if num_items_in_batch is None else max(1.0, float(num_items_in_batch))
        if not bool(mask.any()):
            return outputs.logits.sum() * 0.0  # nothing to learn in this micro-batch
        return made.loss(
            logits=outputs.logits[:, :-1], labels=target.masked_fill(~mask, 0), mask=mask, denominator=count
        ).value

    loss.__name__ = name
    return loss
