"""One batch of rollouts to new weights, or to a refusal that names the rollouts which caused it.

Micro-batches are sorted by length and normalised by the whole batch: their number changes memory, not the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from breadth.engine.activations import Activations
from breadth.engine.gpt import GPT
from breadth.engine.heads import Heads, parameters
from breadth.engine.policy import Completions, completion_logp, micro_batches
from breadth.records import Rollouts

if TYPE_CHECKING:
    from breadth.objectives.composition import Objective


@dataclass(frozen=True)
class UpdateResult:
    """What an update did. ``refused`` is None, or the reason why the weights were left alone."""

    stats: Mapping[str, float]
    refused: str | None = None
    rows: tuple[int, ...] = ()  # rollouts that caused a refusal


@dataclass(frozen=True)
class Batch:
    """Rollouts with everything that a loss may ask for, (N, ...) each."""

    rollouts: Rollouts
    advantage: Tensor | None  # (N,), or (N, T) of the family "actor_critic"; None for objectives of the family "group"
    streams: Mapping[str, Any] = field(default_factory=dict)
    tokens: Mapping[str, Tensor] = field(default_factory=dict)  # (N, T) each: logp_ref, value_old, value_target

    def select(self, rows: Tensor, width: int) -> dict[str, Any]:
        """Return the keyword arguments of ``Objective.loss`` for some rows, cut to ``width`` tokens."""
        r = self.rollouts
        n = len(r.text)
        chosen: dict[str, Any] = {
            name: value[rows]
            for name, value in self.streams.items()
            if isinstance(value, Tensor) and value.shape[:1] == (n,) and (value.dim() == 1 or name == "seq_logp_agents")
        }
        chosen["logp_old"] = r.logp_old[rows, :width]
        chosen["mask"] = r.mask[rows, :width]
        if self.advantage is not None:
            chosen["advantage"] = self.advantage[rows] if self.advantage.dim() == 1 else self.advantage[rows, :width]
        return chosen | {name: value[rows, :width] for name, value in self.tokens.items()}


def split_minibatches(group: Tensor, n_parts: int, *, whole_groups: bool, generator: torch.Generator) -> list[Tensor]:
    """Return the rows of each minibatch, at random; whole groups stay together where the loss couples their members."""
    n = len(group)
    if n_parts == 1:
        return [torch.arange(n, device=group.device)]
    if whole_groups:
        labels = group.unique()
        if n_parts > len(labels):
            raise ValueError(
                f"train.minibatches = {n_parts}, but this objective couples the members of a group and a step has {len(labels)} "
                "groups: use at most that many minibatches, or more prompts"
            )
        order = labels[torch.randperm(len(labels), generator=generator).to(labels.device)]
        return [torch.isin(group, part).nonzero().squeeze(1) for part in order.tensor_split(n_parts)]
    return list(torch.randperm(n, generator=generator).to(group.device).tensor_split(n_parts))


def update(
    model: GPT,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    batch: Batch,
    rows: Tensor,
    *,
    banned: list[int],
    micro_batch: int,
    clip_norm: float,
    seed: int = 0,
    heads: Heads | None = None,
    kept: Activations | None = None,
) -> UpdateResult:
    """Take one optimiser step on the rows of a minibatch.

    Parameters
    ----------
    rows : (n,) int64
        The rollouts of this minibatch.
    clip_norm : float
        Gradients are scaled down to at most this Euclidean norm.
    seed : int
        Decides the random choices of objectives that make any (among tokens, say).
    heads : Heads, optional
        Trained with the model: one optimiser, one gradient norm, one refusal.
    kept : Activations, optional
        What sampling computed of these rollouts, where the weights are still those that sampled: no forward pass is made then.

    Returns
    -------
    UpdateResult
        With ``loss``, ``grad_norm`` (before clipping) and what the objective logs. Where the loss or a gradient is not finite,
        nothing is changed and the rollouts that caused it are named.
    """
    optimizer.zero_grad(set_to_none=True)
    lengths = batch.rollouts.mask.sum(-1)[rows]
    whole = batch.select(rows, batch.rollouts.mask.shape[1])
    denominator = objective.denominator(**{k: v for k, v in whole.items() if k not in ("advantage", "logp_old")})
    extra: dict[str, Any] = {"seed": seed} if "seed" in objective.needs else {}
    coupled: dict[str, Tensor] = {}
    if objective.coupled is not None and len(rows) > micro_batch:
        coupled = _couple(model, objective, batch, rows, banned=banned, micro_batch=micro_batch, extra=extra, kept=kept)
    total = 0.0
    stats: dict[str, float] = {}
    for part in micro_batches(lengths, micro_batch):
        index = rows[part]
        found = completion_logp(
            model, batch.rollouts, index, banned=banned, with_entropy="entropy" in objective.needs, heads=heads, kept=kept
        )
        if found.log_z is not None and not bool(torch.isfinite(found.log_z).all()):
            bad = index[~torch.isfinite(found.log_z)].tolist()
            optimizer.zero_grad(set_to_none=True)
            return UpdateResult({"loss": float("nan")}, _reason("log Z", bad, batch), tuple(bad))
        width = found.logp.shape[1]
        arguments = batch.select(index, width) | _cut(coupled, part, width) | _found(found)
        loss = objective.loss(logp=found.logp, denominator=denominator, **arguments, **extra)
        if not bool(torch.isfinite(loss.value)):
            bad = index[~torch.isfinite(loss.matrix.detach().reshape(len(index), -1)).all(-1)].tolist()
            optimizer.zero_grad(set_to_none=True)
            return UpdateResult({"loss": float("nan")}, _reason("the loss", bad, batch), tuple(bad))
        loss.value.backward()
        total += float(loss.value.detach())
        share = len(index) / len(rows)
        for name, value in loss.stats.items():
            stats[name] = stats.get(name, 0.0) + share * value
    norm = torch.nn.utils.clip_grad_norm_(parameters(model, heads), clip_norm)
    if not bool(torch.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        bad = _rows_with_bad_gradient(model, objective, batch, rows, denominator, banned, coupled, extra, heads, kept)
        return UpdateResult({"loss": total, "grad_norm": float("nan")}, _reason("the gradient", bad, batch), tuple(bad))
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return UpdateResult({"loss": total, "grad_norm": float(norm), **stats})


def _couple(
    model: GPT,
    objective: Objective,
    batch: Batch,
    rows: Tensor,
    *,
    banned: list[int],
    micro_batch: int,
    extra: Mapping[str, Any],
    kept: Activations | None,
) -> dict[str, Tensor]:
    """Return what ties micro-batches together, from a first pass without gradient over the whole minibatch.

    Means of whole groups, or thresholds and choices among all tokens of the minibatch.
    """
    whole = batch.select(rows, batch.rollouts.mask.shape[1])
    logp, entropy = torch.zeros_like(whole["logp_old"]), torch.zeros_like(whole["logp_old"])  # (n, T)
    with_entropy = "entropy" in objective.needs
    with torch.no_grad():
        for part in micro_batches(whole["mask"].sum(-1), micro_batch):
            found = completion_logp(
                model, batch.rollouts, rows[part], banned=banned, with_entropy=with_entropy, kept=kept
            )
            width = found.logp.shape[1]
            logp[part, :width] = found.logp
            if found.entropy is not None:
                entropy[part, :width] = found.entropy
    if with_entropy:
        whole["entropy"] = entropy
    return objective.coupling(logp=logp, **whole, **extra)


def _found(found: Completions) -> dict[str, Tensor]:
    """Return the streams beside ``logp`` that a forward pass gave."""
    streams = {"entropy": found.entropy, "value": found.value, "log_z": found.log_z}
    return {name: value for name, value in streams.items() if value is not None}


def _cut(coupled: Mapping[str, Tensor], rows: Tensor, width: int) -> dict[str, Tensor]:
    """Return what ties the micro-batches together, for the rows of one of them and its width."""
    return {name: values[rows] if values.dim() == 1 else values[rows, :width] for name, values in coupled.items()}


def _rows_with_bad_gradient(
    model: GPT,
    objective: Objective,
    batch: Batch,
    rows: Tensor,
    denominator: Any,
    banned: list[int],
    coupled: Mapping[str, Tensor],
    extra: Mapping[str, Any],
    heads: Heads | None,
    kept: Activations | None,
) -> list[int]:
    """Return the rollouts whose own gradient is not finite, one backward pass each; only called after a failure."""
    bad = []
    for k, row in enumerate(rows.tolist()):
        index = rows[k : k + 1]
        found = completion_logp(
            model, batch.rollouts, index, banned=banned, with_entropy="entropy" in objective.needs, heads=heads, kept=kept
        )
        width = found.logp.shape[1]
        its_own = _cut(coupled, torch.tensor([k], device=rows.device), width)
        arguments = batch.select(index, width) | its_own | _found(found)
        objective.loss(logp=found.logp, denominator=denominator, **arguments, **extra).value.backward()
        trained = parameters(model, heads)
        if any(p.grad is not None and not bool(torch.isfinite(p.grad).all()) for p in trained):
            bad.append(row)
        for parameter in trained:
            parameter.grad = None
    return bad


def _reason(what: str, bad: list[int], batch: Batch) -> str:
    if not bad:
        return f"{what} is not finite, though every rollout's own is: the weights are at fault"
    shown = "; ".join(f"rollout {i}: {batch.rollouts.text[i][:60]!r}" for i in bad[:3])
    return f"{what} is not finite because of {len(bad)} of {len(batch.rollouts.text)} rollouts ({shown})"
