"""Answers of a transformers model in the middle of its training, with the log-probabilities and entropies that measuring wants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from breadth.seeds import derive_seed


@dataclass(frozen=True)
class Answers:
    """Answers to one prompt: texts, Σ log π under the untempered policy, tokens (end token counted), Σ entropies, Σ log π_prior or None."""

    texts: list[str]
    seq_logp: list[float]
    length: list[int]
    entropy: list[float]
    seq_logp_prior: list[float] | None


@dataclass(frozen=True)
class Drawing:
    """How answers are drawn; no repetition penalty and nothing else of the model's generation_config but its end tokens."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    per_call: int = 64  # answers drawn together; bounds memory


@contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """Evaluation mode without gradients; the random numbers of the training are left alone."""
    training = model.training
    devices = [next(model.parameters()).device]
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[d for d in devices if d.type == "cuda"]):
            yield
    finally:
        model.train(training)


def answers_to(
    prompt: str,
    n: int,
    model: Any,
    tokenizer: Any,
    drawing: Drawing,
    *,
    seed: int,
    prior: Any = None,
    synced: bool = False,
) -> Answers:
    """Return n answers to a prompt, which is given to the tokenizer as it is: a chat template has been applied, or none is wanted.

    Parameters
    ----------
    prior : model, optional
        Whose log-probabilities of the same answers are told too; a PEFT model's own base where it is the model itself.
    synced : bool
        For weights that are spread over processes: all of them draw until the last one is done.

    Raises
    ------
    ValueError
        A prompt without a token: there is nothing to go on from.
    """
    begun = tokenizer.bos_token is not None and prompt.startswith(tokenizer.bos_token)  # a chat template wrote it
    ids = tokenizer(text=prompt, add_special_tokens=not begun)["input_ids"]
    if not len(ids):
        raise ValueError(
            f"prompt {prompt!r} has no token in this tokenizer, and a transformers model needs something to go on from: use a task "
            "with prompts that are not empty"
        )
    device = next(model.parameters()).device
    ends = _ends(model, tokenizer)
    out = Answers([], [], [], [], None if prior is None else [])
    for first in range(0, n, drawing.per_call):
        rows = min(drawing.per_call, n - first)
        torch.manual_seed(derive_seed(seed, "answers", first))
        given = torch.tensor([ids] * rows, device=device)
        made = model.generate(
            given,
            attention_mask=torch.ones_like(given),
            generation_config=_settings(drawing, tokenizer, ends),
            synced_gpus=synced,
        )
        new = made[:, given.shape[1] :]  # (rows, T)
        mask = _mask(new, ends)
        logp, entropy = _score(model, made, given.shape[1], mask)
        if prior is not None:
            with prior.disable_adapter() if prior is model else nullcontext():
                out.seq_logp_prior.extend(_score(prior, made, given.shape[1], mask)[0].sum(1).tolist())  # type: ignore[union-attr]
        out.seq_logp.extend(logp.sum(1).tolist())
        out.entropy.extend(entropy.sum(1).tolist())
        out.length.extend(mask.sum(1).tolist())
        for tokens, kept in zip(new.tolist(), mask.sum(1).tolist(), strict=True):
            out.texts.append(tokenizer.decode(tokens[:kept], skip_special_tokens=True))
    return out


def _settings(drawing: Drawing, tokenizer: Any, ends: Sequence[int]) -> Any:
    from transformers import GenerationConfig

    pad = tokenizer.pad_token_id
    return GenerationConfig(
        do_sample=True, max_new_tokens=drawing.max_tokens, num_beams=1, repetition_penalty=1.0, temperature=drawing.temperature,
        top_p=drawing.top_p, top_k=drawing.top_k, eos_token_id=list(ends) or None, pad_token_id=pad if pad is not None else (ends[0] if ends else 0),
    )  # fmt: skip


def _ends(model: Any, tokenizer: Any) -> list[int]:
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    named = named if isinstance(named, list) else [named]
    return sorted({int(e) for e in (*named, tokenizer.eos_token_id) if e is not None})


def _mask(new: Tensor, ends: Sequence[int]) -> Tensor:
    """Return True up to and with the first end token, (rows, T)."""
    if not ends:
        return torch.ones_like(new, dtype=torch.bool)
    is_end = torch.isin(new, torch.tensor(list(ends), device=new.device))
    return (is_end.cumsum(1) - is_end.long()) == 0


def _score(model: Any, made: Tensor, n_prompt: int, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities of the new tokens and entropies of the full next-token distributions, (rows, T) float64, 0 outside."""
    attention = torch.cat([torch.ones_like(made[:, :n_prompt]), mask.long()], dim=1)
    logits = model(input_ids=made, attention_mask=attention, use_cache=False).logits[:, n_prompt - 1 : -1].float()
    logp = torch.log_softmax(logits, dim=-1)  # (rows, T, V)
    chosen = logp.gather(-1, made[:, n_prompt:, None])[..., 0]
    entropy = -(logp.exp() * logp).nan_to_num(0.0).sum(-1)
    return chosen.double().masked_fill(~mask, 0.0), entropy.double().masked_fill(~mask, 0.0)
