"""Small learned heads on the policy's final hidden states: a value per token, log Z per prompt.

They share the trunk with the policy, its optimiser with its one learning rate, the limit on the gradient's norm and the
refusal of updates that are not finite. Only objectives whose ``needs`` name ``value`` or ``log_z`` have any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from breadth.engine.gpt import GPT

if TYPE_CHECKING:
    from breadth.objectives.composition import Objective


class Heads(nn.Module):
    """Linear layers from hidden states to a value and to log Z, both 0 until they are trained.

    Parameters
    ----------
    width : int
        Of the hidden states.
    value, log_z : bool
        Which heads there are; the method of an absent one returns None.

    Source: Ziegler et al. 2019, arXiv 1909.08593, section 2 (a scalar head on the policy's transformer, started at 0).
    Departures: their value function is a network of its own; here the trunk is shared.

    Examples
    --------
    >>> heads = Heads(4, value=True, log_z=False)
    >>> heads.values(torch.ones(2, 3, 4)).shape, heads.log_partition(torch.ones(2, 3, 4))
    (torch.Size([2, 3]), None)
    """

    def __init__(self, width: int, *, value: bool, log_z: bool) -> None:
        super().__init__()
        self.value = _zeros(width) if value else None
        self.log_z = _zeros(width) if log_z else None

    def values(self, hidden: Tensor) -> Tensor | None:
        """Return V of the prefix before each token, (N, T) float32, from the states (N, T, width) that predict the tokens."""
        return None if self.value is None else self.value(hidden).squeeze(-1).float()

    def log_partition(self, hidden: Tensor) -> Tensor | None:
        """Return log Z, (N,) float32, from the same states: the first of them stands at the prompt's last token."""
        return None if self.log_z is None else self.log_z(hidden[:, 0]).squeeze(-1).float()


def _zeros(width: int) -> nn.Linear:
    layer = nn.utils.skip_init(nn.Linear, width, 1)  # no draw from the global generator
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer


def heads_for(objective: Objective, width: int) -> Heads | None:
    """Return the heads that an objective asks for by its ``needs``, or None where it asks for none.

    Examples
    --------
    >>> import breadth
    >>> heads_for(breadth.objective("grpo"), 4) is None, heads_for(breadth.objective("flowrl"), 4)
    (True, Heads(
      (log_z): Linear(in_features=4, out_features=1, bias=True)
    ))
    """
    value, log_z = "value" in objective.needs, "log_z" in objective.needs
    return Heads(width, value=value, log_z=log_z) if value or log_z else None


def named_parameters(model: GPT | nn.Module, heads: Heads | None) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every trained tensor under its name in a checkpoint: the model's as they are, the heads' after ``heads.``."""
    yield from model.named_parameters()
    if heads is not None:
        yield from ((f"heads.{name}", parameter) for name, parameter in heads.named_parameters())


def parameters(model: GPT | nn.Module, heads: Heads | None) -> list[nn.Parameter]:
    """Return every trained tensor, the model's first."""
    return [parameter for _, parameter in named_parameters(model, heads)]
