"""Rounds of augmentation: the answers of a step and of the replay memory, each in another spelling, to be learned from again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from breadth.engine.gpt import GPT
from breadth.engine.policy import score_completions
from breadth.engine.replay import completions_of
from breadth.engine.tokenizer import Tokenizer
from breadth.records import Rollouts
from breadth.tasks.protocol import Task

if TYPE_CHECKING:
    from breadth.objectives.replaying import Replay


def respelled(
    rollouts: Rollouts,
    streams: Mapping[str, Any],
    replay: Replay | None,
    task: Task,
    tokenizer: Tokenizer,
    *,
    model: GPT,
    banned: list[int],
    micro_batch: int,
    max_tokens: int,
    seed: int,
) -> tuple[Rollouts, dict[str, Any]]:
    """Return one round: every answer of the batch, and the whole replay memory of its prompts, in other spellings.

    An answer that cannot be spelled otherwise within the vocabulary and the length (or cannot be parsed) stands as it was sampled.

    Parameters
    ----------
    rollouts, streams
        The batch, replayed rollouts among them: those are left out, the whole memory comes anyway. ``reward`` is what a diversity filter left
        of it, before schedules. All that comes back is marked ``replayed``: it is not filtered or stored again.
    replay : Replay, optional
        What is stored; with the reward that was stored.
    task : Task
        Its ``respell`` writes the other spelling.
    model, banned, micro_batch
        The policy of the moment, under which the spellings' log-probabilities are computed.
    max_tokens : int
        Longest completion, the end token included.
    seed : int
        Decides every spelling.

    Source: Guo and Schwaller 2023, arXiv 2305.16160 (augmented memory). Departures: none.
    """
    replayed = streams.get("replayed")
    fresh = [i for i in range(len(rollouts.text)) if replayed is None or not bool(replayed[i])]
    rows: list[tuple[int, list[int], float, str | None]] = []  # (row of its prompt, tokens, reward, key)
    keys, reward = streams["key"], streams["reward"].tolist()
    spelled = task.respell([rollouts.text[i] for i in fresh], seed=(seed, 0))
    for i, text in zip(fresh, spelled, strict=True):
        own = rollouts.tokens[i][rollouts.mask[i]].tolist()
        rows.append((i, _encode(text, tokenizer, max_tokens) or own, reward[i], keys[i]))
    if replay is not None:
        first = {prompt: i for i, prompt in reversed(list(enumerate(rollouts.prompt_id.tolist())))}
        for prompt, row in first.items():
            entries = replay.memory.entries(prompt)
            texts = task.respell([entry["key"] for entry in entries], seed=(seed, 1))
            for entry, text in zip(entries, texts, strict=True):
                rows.append(
                    (row, _encode(text, tokenizer, max_tokens) or list(entry["tokens"]), entry["reward"], entry["key"])
                )
    device = rollouts.tokens.device
    index = torch.tensor([row for row, *_ in rows], device=device)
    again = completions_of(rollouts, [tokens for _, tokens, _, _ in rows], index)
    logp = score_completions(model, again, banned=banned, micro_batch=micro_batch)  # (M, T)
    again = replace(again, logp_old=logp, logp_sampled=logp, text=[f"(another spelling of {key})" for *_, key in rows])
    values = torch.tensor([value for _, _, value, _ in rows], dtype=torch.float32, device=device)
    return again, {
        "reward": values,
        "scored": ~torch.isnan(values),
        "group": again.group,
        "prompt_id": again.prompt_id,
        "parsable": torch.tensor([key is not None for *_, key in rows], device=device),
        "key": [key for *_, key in rows],
        "bucket_key": [None] * len(rows),
        "replayed": torch.ones(len(rows), dtype=torch.bool, device=device),
        "seq_logp": logp.sum(-1),
        "logp_old": logp,
        "length": again.mask.sum(-1),
        "mask": again.mask,
        "tokens": again.tokens,
    }


def _encode(text: str | None, tokenizer: Tokenizer, max_tokens: int) -> list[int] | None:
    """Return the tokens of a text with the end token; None for no text, a token outside the vocabulary, or one too many."""
    if text is None:
        return None
    try:
        tokens = [*tokenizer.encode(text), tokenizer.eos_id]
    except ValueError:
        return None
    return tokens if len(tokens) <= max_tokens else None
