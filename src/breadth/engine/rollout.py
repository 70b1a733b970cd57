"""Sampling with a pre-allocated key/value cache; finished rows leave the batch.

Each row owns its random numbers, drawn before the first token: a row's completion does not depend on which rows share
the batch or on when finished rows are dropped.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from breadth.engine.activations import Activations
from breadth.engine.decode import decoder
from breadth.engine.gpt import GPT
from breadth.engine.kv_cache import KeyValues
from breadth.engine.matmul import unchanged
from breadth.engine.tokenizer import Tokenizer, banned_tokens
from breadth.records import Rollouts

if TYPE_CHECKING:
    from breadth.engine.graph_sampling import GraphSampling

COMPACT_EVERY = 2  # steps between looks at how many rows have finished
COMPACT_SHARE = 0.05  # rows are dropped when at least this share of the batch has finished
DAMAGED = "sampling: the model gives probabilities that are not finite at token {t}: its weights are damaged"


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 mean no truncation; temperature must be above 0."""

    max_tokens: int
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    end_token: bool = True  # False: completions have exactly max_tokens tokens and the end token is never drawn
    min_p: float = 0.0

    @property
    def plain(self) -> bool:
        return self.temperature == 1.0 and self.top_k == 0 and self.top_p == 1.0 and self.min_p == 0.0


def truncate(logits: Tensor, *, temperature: float, top_k: int, top_p: float, min_p: float = 0.0) -> Tensor:
    """Return logits of the distribution that is sampled: divided by the temperature, cut to the top k, then to the nucleus, then by min-p.

    Cut entries are −inf. The nucleus keeps the smallest set of likeliest tokens whose mass reaches ``top_p`` (at least one).
    Min-p keeps tokens at least ``min_p`` times as probable as the likeliest one (Nguyen et al., arXiv 2407.01082), at the
    probabilities after the temperature. Ties at the k-th place are all kept.

    Parameters
    ----------
    logits : (N, V) float
    """
    logits = logits / temperature
    if 0 < top_k < logits.shape[-1]:
        kth = logits.topk(top_k, dim=-1).values[..., -1:]  # (N, 1)
        logits = logits.masked_fill(logits < kth, -torch.inf)
    if top_p < 1.0:
        ordered, index = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)  # mass strictly before each token
        cut = (before >= top_p).scatter(-1, index, before >= top_p)  # back in vocabulary order
        logits = logits.masked_fill(cut, -torch.inf)
    if min_p > 0.0:  # p < min_p·max p, in logits
        logits = logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(min_p), -torch.inf)
    return logits


def draw(logp: Tensor, uniform: Tensor) -> Tensor:
    """Return one token a row by inverting the cumulative distribution.

    Parameters
    ----------
    logp : (N, V) float
        Log-probabilities; −inf is never drawn.
    uniform : (N,) float64 in [0, 1)

    Returns
    -------
    (N,) int64
    """
    mass = logp.double().exp().cumsum(-1)  # (N, V)
    target = uniform.unsqueeze(-1) * mass[:, -1:]  # (N, 1) rescaled, so rounding cannot run past the last token
    return (mass <= target).sum(-1)


def encode_prompts(prompts: Sequence[str], tokenizer: Tokenizer, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return prompt tokens (N, S), start token first, padded on the left, and their mask (True = a real token)."""
    distinct = {p: [tokenizer.bos_id, *tokenizer.encode(p)] for p in dict.fromkeys(prompts)}
    width = max(len(ids) for ids in distinct.values())
    rows = [[tokenizer.pad_id] * (width - len(distinct[p])) + distinct[p] for p in prompts]
    tokens = torch.tensor(rows, dtype=torch.int64, device=device)  # (N, S)
    lengths = torch.tensor([len(distinct[p]) for p in prompts], device=device)
    mask = torch.arange(width, device=device) >= (width - lengths).unsqueeze(1)  # (N, S)
    return tokens, mask


@torch.no_grad()
@unchanged()
def sample(
    model: GPT,
    prompts: Sequence[str],
    tokenizer: Tokenizer,
    sampling: Sampling,
    *,
    generator: torch.Generator,
    group: Tensor | None = None,
    prompt_id: Tensor | None = None,
    keep: Activations | None = None,
    graphs: GraphSampling | None = None,
) -> Rollouts:
    """Sample one completion for each prompt.

    Parameters
    ----------
    prompts : N texts
        Repeat a prompt to sample a group from it.
    generator : torch.Generator on the CPU
        Gives every row its own uniform numbers.
    group, prompt_id : (N,) int64, optional
        Default: equal prompts form a group, numbered by first appearance.
    keep : Activations, optional
        Where to keep what is computed, for an update by these answers; the numbers are the same within rounding. Nothing is kept where no
        decoder samples (another device than a CPU, no oneDNN), or where :meth:`Activations.begin` says so.
    graphs : GraphSampling, optional
        Makes the answers in steps of fixed shapes, one captured CUDA graph a token; the numbers are the same within rounding.

    Returns
    -------
    Rollouts
        N in the order of ``prompts``; T is the length of the longest completion.

    Raises
    ------
    ValueError
        Where prompt and completion do not fit into the model's context, or a probability is not finite.
    """
    was_training = model.training
    model.eval()
    device = model.head_weight.device
    n, room = len(prompts), sampling.max_tokens
    prompt_tokens, prompt_mask = encode_prompts(prompts, tokenizer, device)  # (N, S)
    width = prompt_tokens.shape[1]
    if width + room - 1 > model.shape.n_positions:
        raise ValueError(
            f"a prompt of {width} tokens and a completion of {room} need {width + room - 1} positions, the model has "
            f"{model.shape.n_positions}: shorten the prompts or set sample.max_tokens to at most {model.shape.n_positions - width + 1}"
        )
    padded = not bool(prompt_mask.all())
    uniform = torch.rand((n, room), generator=generator, dtype=torch.float64).to(device)  # (N, room)
    banned = banned_tokens(tokenizer, end_token=sampling.end_token)

    tokens = torch.full((n, room), tokenizer.pad_id, dtype=torch.int64, device=device)
    logp_old, logp_sampled, entropy = (torch.zeros((n, room), device=device) for _ in range(3))
    mask = torch.zeros((n, room), dtype=torch.bool, device=device)
    ended = torch.zeros(n, dtype=torch.bool, device=device)

    plan = None if graphs is None else graphs.plan(model, n, width, sampling, tokenizer)
    caches = model.new_caches(n, width + room) if plan is None else plan.caches
    rows = torch.arange(n, device=device)  # which output row each live row is
    live_mask = prompt_mask
    lean = decoder(model, n) if room > 1 and plan is None else None
    first, which = _distinct(prompts, device)
    kept = keep if keep is not None and keep.begin(model, lean, which, prompt_mask[first], room) else None
    with contextlib.nullcontext() if kept is None else kept.reading_prompts():
        hidden = _read_prompts(model, first, which, prompt_tokens, prompt_mask, caches)  # (N, width)
    next_position = prompt_mask.sum(-1) if padded else None  # (N,)

    if plan is not None:
        tokens, mask, logp_old, logp_sampled, entropy, ended = plan.draw(hidden, prompt_mask, uniform)
    for t in range(room if plan is None else 0):
        logits = model.logits(hidden).float()
        logits[:, banned] = -torch.inf
        policy = logits.log_softmax(-1)  # (live, V)
        if not bool(torch.isfinite(policy.max(-1).values).all()):
            raise ValueError(DAMAGED.format(t=t))
        behaviour = (
            policy
            if sampling.plain
            else truncate(
                logits, temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p, min_p=sampling.min_p
            ).log_softmax(-1)
        )
        chosen = draw(behaviour, uniform[rows, t])  # (live,)
        finished = ended[rows]
        going = ~finished
        tokens[rows[going], t] = chosen[going]
        mask[rows, t] = going
        pick = chosen.unsqueeze(1)
        logp_old[rows, t] = torch.where(going, policy.gather(1, pick).squeeze(1), 0.0)
        logp_sampled[rows, t] = torch.where(going, behaviour.gather(1, pick).squeeze(1), 0.0)
        row_entropy = -torch.where(policy > -torch.inf, policy.exp() * policy, 0.0).sum(-1)
        entropy[rows, t] = torch.where(going, row_entropy, 0.0)
        if sampling.end_token:
            ended[rows] = finished | (chosen == tokenizer.eos_id)
            if t % COMPACT_EVERY == COMPACT_EVERY - 1:
                keep = ~ended[rows]
                n_keep = int(keep.sum())
                if n_keep == 0:
                    break
                if n_keep <= (1 - COMPACT_SHARE) * len(rows):
                    index, holes, movers = _closed_up(keep, n_keep)
                    rows, chosen, live_mask = rows[index], chosen[index], live_mask[index]
                    for cache in caches:
                        cache.close_up(holes, movers, n_keep, width + t)
                    next_position = next_position[index] if padded else None
        if t == room - 1:
            break
        step_attend = None
        if padded:
            step_attend = torch.cat([live_mask, live_mask.new_ones((len(rows), t + 1))], dim=1)[:, None, None, :]
        positions = next_position + t if padded else None
        if lean is not None:
            more = None if kept is None else kept.more(rows, t)
            hidden = lean.step(chosen, caches, width + t, positions=positions, attend=step_attend, keep=more)
            continue
        hidden = model(
            chosen.unsqueeze(1),
            positions=positions.unsqueeze(1) if padded else None,
            caches=caches,
            start=width + t,
            attend=step_attend,
        )[:, -1]

    if was_training:
        model.train()
    if not sampling.end_token:
        ended[:] = True
    longest = max(1, int(mask.sum(-1).max()))
    tokens, mask = tokens[:, :longest], mask[:, :longest]
    if group is None:
        order = {p: i for i, p in enumerate(dict.fromkeys(prompts))}
        group = torch.tensor([order[p] for p in prompts], dtype=torch.int64)
    lengths = mask.sum(-1).tolist()
    text = [tokenizer.decode(row[:length]) for row, length in zip(tokens.tolist(), lengths, strict=True)]
    rollouts = Rollouts(
        prompt_tokens=prompt_tokens.clone(),
        prompt_mask=prompt_mask.clone(),
        tokens=tokens.clone(),
        mask=mask.clone(),
        logp_old=logp_old[:, :longest].clone(),
        logp_sampled=logp_sampled[:, :longest].clone(),
        entropy=entropy[:, :longest].clone(),
        group=group.to(device),
        prompt_id=(group if prompt_id is None else prompt_id).to(device),
        text=text,
        prompt=list(prompts),
        ended=ended.clone(),
    )
    if kept is not None:
        kept.finish(rollouts)
    return rollouts


def _distinct(prompts: Sequence[str], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the first row of each distinct prompt, (prompts,), and which of them each row has, (N,)."""
    numbers = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    first = torch.tensor([prompts.index(prompt) for prompt in numbers], device=device)
    return first, torch.tensor([numbers[prompt] for prompt in prompts], device=device)


def _read_prompts(
    model: GPT,
    first: Tensor,
    which: Tensor,
    tokens: Tensor,
    mask: Tensor,
    caches: list[KeyValues],
) -> Tensor:
    """Fill the caches with the prompts, each distinct one read once, and return the last hidden state of each row, (N, width)."""
    width = tokens.shape[1]
    once = len(first) < len(which)
    if once:
        tokens, mask = tokens[first], mask[first]
    positions = attend = None
    if not bool(mask.all()):
        positions = (mask.cumsum(-1) - 1).clamp_min(0)  # (n, S)
        causal = torch.ones((width, width), dtype=torch.bool, device=tokens.device).tril()
        itself = torch.eye(width, dtype=torch.bool, device=tokens.device)  # a pad sees itself
        attend = ((causal & mask.unsqueeze(1)) | itself).unsqueeze(1)  # (n, 1, S, S)
    own = model.new_caches(len(first), width) if once else caches
    hidden = model(tokens, positions=positions, caches=own, attend=attend)[:, -1]
    if not once:
        return hidden
    for cache, found in zip(caches, own, strict=True):
        cache.take(found, which, width)
    return hidden[which]


def _closed_up(keep: Tensor, n_keep: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows that stay, (n_keep,), the places among the first ``n_keep`` that are free, and the rows that move into them.

    Examples
    --------
    >>> [part.tolist() for part in _closed_up(torch.tensor([True, False, True, True]), 3)]
    [[0, 3, 2], [1], [3]]
    """
    index = torch.arange(n_keep, device=keep.device)
    holes = (~keep[:n_keep]).nonzero().squeeze(1)
    movers = keep[n_keep:].nonzero().squeeze(1) + n_keep
    index[holes] = movers
    return index, holes, movers
