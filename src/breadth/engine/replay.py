"""Rollouts drawn from a replay memory, mixed into a batch: what is needed of them under the current policy is computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from breadth.engine.gpt import GPT
from breadth.engine.policy import score_completions
from breadth.engine.regroup import join_rollouts
from breadth.records import Rollouts
from breadth.seeds import derive_seed

if TYPE_CHECKING:
    from breadth.objectives.replaying import Replay


def with_replayed(
    replay: Replay,
    rollouts: Rollouts,
    streams: Mapping[str, Any],
    *,
    model: GPT,
    banned: list[int],
    micro_batch: int,
    seed: int,
) -> tuple[Rollouts, dict[str, Any]]:
    """Return the batch with its replayed rollouts behind it, and the streams of both, ``replayed`` among them.

    An answer whose key the batch has already (for that prompt) is left out. A replayed rollout joins the first group of its
    prompt, with the stored reward; ``logp_old`` and ``seq_logp`` are those of the current policy, ``correct`` and ``kind`` are
    those of no fresh rollout: it was rewarded, so it is parsable and scored, and no objective with a replay reads the others.
    Where ``distance`` is asked for, a replayed rollout is at distance 1 from every other: it is nobody's neighbour.

    Parameters
    ----------
    seed : int
        Decides what is drawn; with equal memories the same seed draws the same.
    """
    prompt_ids, keys = rollouts.prompt_id.tolist(), streams["key"]
    drawn: list[tuple[int, dict[str, Any]]] = []  # (first row of its prompt, entry)
    for prompt in dict.fromkeys(prompt_ids):
        rows = [i for i, p in enumerate(prompt_ids) if p == prompt]
        have = {str(keys[i]) for i in rows if keys[i] is not None}
        found = replay.memory.sample(prompt, replay.samples, seed=derive_seed(seed, prompt), weighting=replay.weighting, top=replay.top)
        drawn += [(rows[0], entry) for entry in found if entry["key"] not in have]
    n, device = len(prompt_ids), rollouts.tokens.device
    flag = torch.zeros(n + len(drawn), dtype=torch.bool, device=device)
    flag[n:] = True
    if not drawn:
        return rollouts, {**streams, "replayed": flag}
    first = torch.tensor([row for row, _ in drawn], device=device)  # (M,)
    again = completions_of(rollouts, [entry["tokens"] for _, entry in drawn], first)
    logp = score_completions(model, again, banned=banned, micro_batch=micro_batch)  # (M, T')
    mixed = join_rollouts([rollouts, replace(again, logp_old=logp, logp_sampled=logp)])
    reward = torch.tensor([entry["reward"] for _, entry in drawn], dtype=torch.float32, device=device)
    true = torch.ones(len(drawn), dtype=torch.bool, device=device)
    fresh = {name: value for name, value in streams.items() if name in ("reward", "scored", "parsable")}
    added = {"reward": reward, "scored": true, "parsable": true}
    return mixed, {
        **{name: torch.cat([value, added[name]]) for name, value in fresh.items()},
        **({"bucket_key": [*streams["bucket_key"], *(None for _ in drawn)]} if "bucket_key" in streams else {}),
        **({"distance": _apart(streams["distance"], len(drawn))} if "distance" in streams else {}),
        "key": [*keys, *(entry["key"] for _, entry in drawn)],
        "group": mixed.group,
        "prompt_id": mixed.prompt_id,
        "seq_logp": mixed.logp_old.sum(-1),
        "length": mixed.mask.sum(-1),
        "logp_old": mixed.logp_old,
        "tokens": mixed.tokens,
        "mask": mixed.mask,
        "replayed": flag,
    }


def _apart(distance: torch.Tensor, n: int) -> torch.Tensor:
    """Return distances with n more rows and columns, (N+n, N+n), that are at distance 1 from every other answer."""
    out = torch.ones([len(distance) + n] * 2, dtype=distance.dtype, device=distance.device).fill_diagonal_(0.0)
    out[: len(distance), : len(distance)] = distance
    return out


def completions_of(rollouts: Rollouts, completions: list[list[int]], first: Tensor) -> Rollouts:
    """Return completions of the prompts of rows ``first`` (M,) as rollouts whose log-probabilities are not known yet."""
    tokens = rollouts.tokens.new_zeros(len(completions), max(map(len, completions)))  # (M, T')
    mask = torch.zeros_like(tokens, dtype=torch.bool)
    for row, ids in enumerate(completions):
        tokens[row, : len(ids)] = torch.tensor(ids, device=tokens.device)
        mask[row, : len(ids)] = True
    none = rollouts.logp_old.new_zeros(tokens.shape)
    names = ("prompt_tokens", "prompt_mask", "group", "prompt_id")
    return Rollouts(
        **{name: getattr(rollouts, name)[first] for name in names},
        **dict.fromkeys(("logp_old", "logp_sampled", "entropy"), none),
        tokens=tokens,
        mask=mask,
        text=["(replayed)" for _ in completions],
        prompt=[rollouts.prompt[i] for i in first.tolist()],
        ended=torch.ones_like(first, dtype=torch.bool),
    )
