"""Log-probabilities of given completions under a model, and what its heads say of them, with or without gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from breadth.engine.activations import Activations
from breadth.engine.gpt import GPT
from breadth.engine.heads import Heads
from breadth.engine.matmul import unchanged
from breadth.records import Rollouts

#: tokens × width that go through the model at a time, by device: what a layer makes of them fits into the cache of a processor
PASS_NUMBERS = {"cpu": 1 << 18}


@dataclass(frozen=True)
class Completions:
    """What one forward pass says about n completions; T' is the longest of them. None = not asked for, or no such head."""

    logp: Tensor  # (n, T') float32, nats, 0 where the mask is False
    entropy: Tensor | None = None  # (n, T') float32, nats, 0 where the mask is False
    value: Tensor | None = None  # (n, T') float32, V of the prefix before each token, 0 where the mask is False
    log_z: Tensor | None = None  # (n,) float32, nats


def left_align(rollouts: Rollouts, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return (N, S+T) tokens with the prompt's padding moved behind the completion, and (N,) prompt lengths, of all rows or some.

    With causal attention, what stands behind a sequence cannot change it: so no attention mask is needed.
    """
    parts = (rollouts.prompt_tokens, rollouts.prompt_mask, rollouts.tokens)
    prompt, prompt_mask, tokens = parts if rows is None else (part[rows] for part in parts)
    whole = torch.cat([prompt, tokens], dim=1)  # (N, S+T)
    prompt_length = prompt_mask.sum(-1)  # (N,)
    shift = prompt.shape[1] - prompt_length  # (N,) padding on the left
    if bool((shift > 0).any()):
        index = torch.arange(whole.shape[1], device=whole.device) + shift.unsqueeze(1)  # (N, S+T)
        whole = whole.gather(1, index % whole.shape[1])
    return whole, prompt_length


@dataclass(frozen=True)
class _Texts:
    """Some rows as one pass reads them."""

    read: Tensor  # (n, L), without what nothing is predicted from
    prompt_length: Tensor  # (n,)
    tokens: Tensor  # (n, T')
    mask: Tensor  # (n, T')

    def predicting(self, hidden: Tensor) -> Tensor:
        """Return the hidden states (n, L, width) that predict the completions' tokens, (n, T', width)."""
        longest, first = self.tokens.shape[1], int(self.prompt_length.min())
        if first == int(self.prompt_length.max()):
            return hidden[:, first - 1 : first - 1 + longest]
        index = (self.prompt_length - 1).unsqueeze(1) + torch.arange(longest, device=hidden.device)  # (n, T')
        index = index.clamp(max=hidden.shape[1] - 1)  # only ever behind a shorter completion's last token
        return hidden.gather(1, index.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))


def _texts(rollouts: Rollouts, rows: Tensor | None) -> _Texts:
    whole, prompt_length = left_align(rollouts, rows)
    tokens, mask = rollouts.tokens, rollouts.mask
    if rows is not None:
        tokens, mask = tokens[rows], mask[rows]
    lengths = mask.sum(-1)
    longest = int(lengths.max())
    room = int((prompt_length + lengths).max()) - 1  # the last token is predicted, never read
    return _Texts(whole[:, :room], prompt_length, tokens[:, :longest], mask[:, :longest])


def _completion_states(
    model: GPT, rollouts: Rollouts, rows: Tensor, kept: Activations | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the hidden states that predict the completions' tokens (n, T', width), the tokens and the mask (n, T')."""
    texts = _texts(rollouts, rows)
    hidden = model(texts.read) if kept is None else kept.hidden([(rows, texts.read)])[0]
    return texts.predicting(hidden), texts.tokens, texts.mask


def completion_logp(
    model: GPT,
    rollouts: Rollouts,
    rows: Tensor | None = None,
    *,
    banned: list[int],
    with_entropy: bool = False,
    heads: Heads | None = None,
    kept: Activations | None = None,
) -> Completions:
    """Return log π of each completion token, the next-token entropy if asked for, and the outputs of the heads if there are any.

    Parameters
    ----------
    rows : (n,) int64, optional
        Which rollouts; T' is the longest completion among them, so short rows cost little.
    banned : list of int
        Tokens that the policy can never emit (padding, start, and the end token where lengths are fixed); they are taken out
        of the softmax here exactly as in sampling.
    heads : Heads, optional
        They read the hidden states that were computed for the log-probabilities: no further pass through the model.
    kept : Activations, optional
        What sampling computed of these rollouts with the weights as they still are: no pass through the model at all.
    """
    lengths = rollouts.prompt_mask.sum(-1) + rollouts.mask.sum(-1)  # (N,)
    lengths = lengths if rows is None else lengths[rows]
    parts = list(passes(lengths, width=model.head_weight.shape[1]))
    chosen = [part if rows is None else rows[part] for part in parts]
    texts = [_texts(rollouts, index) for index in chosen]
    known = None if kept is None else kept.hidden([(i, one.read) for i, one in zip(chosen, texts, strict=True)])
    with unchanged():
        found = [
            _logp(model, one, model(one.read) if known is None else known[i], banned=banned, with_entropy=with_entropy, heads=heads)
            for i, one in enumerate(texts)
        ]
    back = torch.argsort(torch.cat(parts))
    return Completions(
        *(_assembled([getattr(one, name) for one in found], back) for name in ("logp", "entropy", "value", "log_z"))
    )


def passes(lengths: Tensor, *, width: int) -> Iterator[Tensor]:
    """Yield row numbers, sorted by length, as many as go through a model of some width at a time; see ``PASS_NUMBERS``.

    A row that is longer than that goes alone. On devices that are not listed everything goes at once.
    """
    limit = PASS_NUMBERS.get(lengths.device.type)
    if limit is None:
        yield torch.arange(len(lengths), device=lengths.device)
        return
    order = torch.argsort(lengths, stable=True)
    first = 0
    for i, longest in enumerate(lengths[order].tolist()):
        if i > first and (i - first + 1) * longest * width > limit:
            yield order[first:i]
            first = i
    yield order[first:]


def _assembled(parts: list[Tensor | None], back: Tensor) -> Tensor | None:
    """Return what several passes found, in the order of the rows, padded with zeros to the longest; None where nothing was asked for."""
    found = [part for part in parts if part is not None]
    if not found:
        return None
    if found[0].dim() > 1:
        width = max(part.shape[1] for part in found)
        found = [F.pad(part, (0, width - part.shape[1])) for part in found]
    return torch.cat(found)[back]


def _logp(
    model: GPT, texts: _Texts, hidden: Tensor, *, banned: list[int], with_entropy: bool, heads: Heads | None
) -> Completions:
    """Return what the final hidden states (n, L, width) of one pass say."""
    tokens, mask, hidden = texts.tokens, texts.mask, texts.predicting(hidden)
    logits = model.logits(hidden).float()  # (n, T', V)
    logits = logits.index_fill(-1, torch.tensor(banned, dtype=torch.int64, device=logits.device), -torch.inf)
    logp_all = logits.log_softmax(-1)
    safe = torch.where(mask, tokens, tokens.new_tensor(_first_allowed(banned)))  # padding would pick −inf
    logp = torch.where(mask, logp_all.gather(-1, safe.unsqueeze(-1)).squeeze(-1), 0.0)  # (n, T')
    entropy = None
    if with_entropy:
        kept = torch.where(logp_all > -torch.inf, logp_all, 0.0)
        entropy = torch.where(mask, -(logp_all.exp() * kept).sum(-1), 0.0)  # (n, T')
    if heads is None:
        return Completions(logp, entropy)
    value = heads.values(hidden)
    return Completions(
        logp, entropy, None if value is None else value.masked_fill(~mask, 0.0), heads.log_partition(hidden)
    )


def completion_logits(
    model: GPT, rollouts: Rollouts, rows: Tensor, *, banned: list[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits (n, T', V) that predict the completions' tokens, −inf for ``banned`` ones, the tokens and the mask (n, T')."""
    hidden, tokens, mask = _completion_states(model, rollouts, rows)
    logits = model.logits(hidden).float()
    index = torch.tensor(banned, dtype=torch.int64, device=logits.device)
    return logits.index_fill(-1, index, -torch.inf), tokens, mask


def _first_allowed(banned: list[int]) -> int:
    return next(i for i in range(len(banned) + 1) if i not in banned)


def micro_batches(lengths: Tensor, size: int) -> Iterator[Tensor]:
    """Yield row numbers, sorted by length, ``size`` at a time: rows of a micro-batch pad to nearly equal lengths."""
    order = torch.argsort(lengths, stable=True)
    for start in range(0, len(order), size):
        yield order[start : start + size]


@torch.no_grad()
def score_completions(
    model: GPT, rollouts: Rollouts, *, banned: list[int], micro_batch: int = 128, kept: Activations | None = None
) -> Tensor:
    """Return log π of every completion token, (N, T), without gradient, in length-sorted micro-batches; ``kept`` as in :func:`completion_logp`."""
    was_training = model.training
    model.eval()
    out = torch.zeros_like(rollouts.logp_old)
    for rows in micro_batches(rollouts.mask.sum(-1), micro_batch):
        logp = completion_logp(model, rollouts, rows, banned=banned, kept=kept).logp
        out[rows, : logp.shape[1]] = logp
    if was_training:
        model.train()
    return out


@torch.no_grad()
def completion_ranks(model: GPT, rollouts: Rollouts, rows: Tensor, *, banned: list[int]) -> Tensor:
    """Return how many tokens the model likes better than each sampled one, (n, T') int64; 0 = its first choice, or padding."""
    hidden, tokens, mask = _completion_states(model, rollouts, rows)
    logits = model.logits(hidden).float()  # (n, T', V)
    logits = logits.index_fill(-1, torch.tensor(banned, dtype=torch.int64, device=logits.device), -torch.inf)
    own = logits.gather(-1, tokens.unsqueeze(-1))  # (n, T', 1)
    return (logits > own).sum(-1).masked_fill(~mask, 0)


@torch.no_grad()
def transition_states(model: GPT, rollouts: Rollouts, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return the final hidden states before, between and after the completions' tokens (n, T'+1, width), and the mask (n, T')."""
    (whole, prompt_length), mask = left_align(rollouts, rows), rollouts.mask[rows]
    longest = int(mask.sum(-1).max())
    room = min(int(prompt_length.max()) + longest, whole.shape[1])
    hidden = model(whole[:, :room])  # (n, L, width)
    index = (prompt_length - 1).unsqueeze(1) + torch.arange(longest + 1, device=whole.device)  # (n, T'+1)
    index = index.clamp(max=room - 1)  # only ever behind a shorter completion's last token
    return hidden.gather(1, index.unsqueeze(-1).expand(-1, -1, hidden.shape[-1])), mask[:, :longest]


@torch.no_grad()
def completion_values(
    model: GPT, heads: Heads, rollouts: Rollouts, *, micro_batch: int = 128, kept: Activations | None = None
) -> Tensor:
    """Return V of the prefix before every completion token, (N, T), 0 in the padding, without gradient; ``kept`` as in :func:`completion_logp`.

    Raises
    ------
    ValueError
        ``heads`` has no value head.
    """
    if heads.value is None:
        raise ValueError("heads: expected a value head, got none: make them with Heads(width, value=True, log_z=...)")
    out = torch.zeros_like(rollouts.logp_old)
    for rows in micro_batches(rollouts.mask.sum(-1), micro_batch):
        hidden, _, mask = _completion_states(model, rollouts, rows, kept)
        out[rows, : mask.shape[1]] = heads.values(hidden).masked_fill(~mask, 0.0)
    return out
