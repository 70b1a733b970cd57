"""One batch of examples to new weights, or to a refusal: preference pairs and supervised answers.

Micro-batches are normalised by the whole batch: their number changes memory, not the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from breadth.engine.gpt import GPT
from breadth.engine.policy import completion_logits, completion_logp, micro_batches
from breadth.engine.update import UpdateResult
from breadth.records import Loss, Rollouts

if TYPE_CHECKING:
    from breadth.objectives.gem import SftObjective
    from breadth.objectives.pair_objective import PairObjective


@dataclass(frozen=True)
class Reference:
    """Σ log π of the answers under the reference, (M,) each."""

    chosen: Tensor
    rejected: Tensor


def pair_update(
    model: GPT,
    optimizer: torch.optim.Optimizer,
    objective: PairObjective,
    answers: Rollouts,
    pairs: Tensor,
    *,
    reference: Reference | None,
    banned: list[int],
    micro_batch: int,
    clip_norm: float,
) -> UpdateResult:
    """Take one optimiser step on some pairs.

    Parameters
    ----------
    answers : Rollouts of 2·M rows
        Row 2·m is the chosen answer of pair m, row 2·m + 1 the rejected one.
    pairs : (n,) int64
        Which pairs.
    micro_batch : int
        Answers per forward pass, so half as many pairs.
    """
    length = answers.mask.sum(-1)  # (2M,)

    def loss_of(index: Tensor) -> Loss:
        rows = torch.cat([2 * index, 2 * index + 1])
        logp = completion_logp(model, answers, rows, banned=banned).logp.sum(-1)  # (2n',)
        chosen, rejected = logp.chunk(2)
        streams = {"chosen": chosen, "rejected": rejected}
        streams |= {"chosen_length": length[2 * index], "rejected_length": length[2 * index + 1]}
        if reference is not None:
            streams |= {"ref_chosen": reference.chosen[index], "ref_rejected": reference.rejected[index]}
        return objective.loss(**streams, denominator=float(len(pairs)))

    longest = torch.maximum(length[2 * pairs], length[2 * pairs + 1])
    parts = [pairs[part] for part in micro_batches(longest, max(1, micro_batch // 2))]
    shares = [len(part) / len(pairs) for part in parts]
    return _descend(model, optimizer, parts, shares, loss_of, clip_norm, lambda m: f"{answers.text[2 * m][:60]!r}")


def sft_update(
    model: GPT,
    optimizer: torch.optim.Optimizer,
    objective: SftObjective,
    answers: Rollouts,
    rows: Tensor,
    *,
    banned: list[int],
    micro_batch: int,
    clip_norm: float,
) -> UpdateResult:
    """Take one optimiser step on some answers; the loss is a mean over all their tokens."""
    length = answers.mask.sum(-1)  # (M,)
    denominator = objective.denominator(mask=answers.mask[rows])

    def loss_of(index: Tensor) -> Loss:
        logits, labels, mask = completion_logits(model, answers, index, banned=banned)
        return objective.loss(logits=logits, labels=labels, mask=mask, denominator=denominator)

    parts = [rows[part] for part in micro_batches(length[rows], micro_batch)]
    shares = [float(length[part].sum()) / denominator for part in parts]
    return _descend(model, optimizer, parts, shares, loss_of, clip_norm, lambda m: f"{answers.text[m][:60]!r}")


def _descend(
    model: GPT,
    optimizer: torch.optim.Optimizer,
    parts: Sequence[Tensor],
    shares: Sequence[float],
    loss_of: Callable[[Tensor], Loss],
    clip_norm: float,
    name_of: Callable[[int], str],
) -> UpdateResult:
    """Sum the gradients of the parts and take a step; nothing is changed where a loss or a gradient is not finite."""
    optimizer.zero_grad(set_to_none=True)
    total, stats = 0.0, {}
    for part, share in zip(parts, shares, strict=True):
        refused = None
        try:
            loss = loss_of(part)
        except ValueError as error:  # an objective that was given log-probabilities that are not finite
            if "not finite" not in str(error):
                raise
            refused = f"{error} of {len(part)} examples, the first {name_of(int(part[0]))}"
        if refused is None and not bool(torch.isfinite(loss.value)):
            terms = loss.matrix.detach().reshape(len(part), -1)
            bad = part[~torch.isfinite(terms).all(-1)].tolist()
            refused = f"the loss is not finite because of {len(bad)} of {len(part)} examples ({'; '.join(map(name_of, bad[:3]))})"
        if refused is not None:
            optimizer.zero_grad(set_to_none=True)
            return UpdateResult({"loss": float("nan")}, refused)
        loss.value.backward()
        total += float(loss.value.detach())
        for name, value in loss.stats.items():
            stats[name] = stats.get(name, 0.0) + share * value
    trained = list(model.parameters())
    norm = torch.nn.utils.clip_grad_norm_(trained, clip_norm)
    if not bool(torch.isfinite(norm)):
        bad = _with_bad_gradient(trained, torch.cat(list(parts)), loss_of)
        optimizer.zero_grad(set_to_none=True)
        why = (
            f"because of {len(bad)} examples ({'; '.join(map(name_of, bad[:3]))})"
            if bad
            else "though every example's own is"
        )
        return UpdateResult({"loss": total, "grad_norm": float("nan")}, f"the gradient is not finite {why}")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return UpdateResult({"loss": total, "grad_norm": float(norm), **stats})


def _with_bad_gradient(trained: list[torch.nn.Parameter], rows: Tensor, loss_of: Callable[[Tensor], Loss]) -> list[int]:
    """Return the examples whose own gradient is not finite, one backward pass each; only called after a failure."""
    bad = []
    for row in rows:
        for parameter in trained:
            parameter.grad = None
        loss_of(row.reshape(1)).value.backward()
        if any(p.grad is not None and not bool(torch.isfinite(p.grad).all()) for p in trained):
            bad.append(int(row))
    return bad
