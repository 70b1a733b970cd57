"""A policy over a few outcomes, trained by the two calls of an objective: ``advantage``, then ``loss``."""

from __future__ import annotations

import torch


def total_variation(p: torch.Tensor, q: torch.Tensor) -> float:
    return float((p - q).abs().sum() / 2)


def train(
    objective,
    reward: torch.Tensor,
    logp_ref: torch.Tensor,
    *,
    start: torch.Tensor | None = None,
    correct: torch.Tensor | None = None,
    prompts: int = 1,
    group_size: int = 256,
    steps: int = 300,
    rate: float = 0.05,
    seed: int = 0,
    sample_from: torch.Tensor | None = None,
    adam: bool = True,
) -> torch.Tensor:
    """Return the trained probabilities, (K,).

    Samples are the policy's own unless ``sample_from`` (K,) names another law. The rate falls linearly to 0.
    Without ``adam`` plain gradient steps are taken, in which the size of a term counts, not only its sign.
    """
    theta = (logp_ref if start is None else start).clone().requires_grad_(True)
    optimizer = (torch.optim.Adam if adam else torch.optim.SGD)([theta], lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    generator = torch.Generator().manual_seed(seed)
    group = torch.arange(prompts).repeat_interleave(group_size)
    mask = torch.ones(len(group), 1, dtype=torch.bool)
    for _ in range(steps):
        logp = theta.log_softmax(-1)
        law = logp.detach().exp() if sample_from is None else sample_from
        y = torch.multinomial(law, len(group), replacement=True, generator=generator)
        streams = {
            "reward": reward[y],
            "group": group,
            "kind": y,
            "key": y,
            "prompt_id": torch.zeros_like(y),
            "length": torch.ones_like(y),
            "correct": None if correct is None else correct[y],
            "seq_logp": logp.detach()[y],
            "seq_logp_ref": logp_ref[y],
        }
        given = {} if objective.family == "group" else {"advantage": objective.advantage(**streams)}
        loss = objective.loss(logp=logp[y][:, None], mask=mask, logp_ref=logp_ref[y][:, None], **streams, **given)
        optimizer.zero_grad()
        loss.value.backward()
        optimizer.step()
        objective.observe(**streams)
        schedule.step()
    return theta.detach().softmax(-1)
