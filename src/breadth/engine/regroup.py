"""Rollouts and what was said of them: some rows taken, several batches joined into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from breadth.engine.streams import Judged
from breadth.records import Rollouts
from breadth.tasks.scoring import Scored

_TOKENS = ("tokens", "mask", "logp_old", "logp_sampled", "entropy")  # (N, T) each, padded on the right
_PROMPTS = ("prompt_tokens", "prompt_mask")  # (N, S) each, padded on the left
_ROWS = ("group", "prompt_id", "ended")  # (N,) each


@dataclass(frozen=True)
class Drawn:
    """A batch of rollouts and how it was judged."""

    rollouts: Rollouts
    judged: Judged


def take(drawn: Drawn, rows: Tensor) -> Drawn:
    """Return some rows of a batch, (n,) int64, in the order given; the widths stay."""
    r, j, n = drawn.rollouts, drawn.judged, len(drawn.rollouts.text)
    index = rows.tolist()
    tensors = {name: getattr(r, name)[rows] for name in (*_TOKENS, *_PROMPTS, *_ROWS)}
    rollouts = replace(r, **tensors, text=[r.text[i] for i in index], prompt=[r.prompt[i] for i in index])
    streams = {name: _rows_of(name, value, rows, index, n) for name, value in j.streams.items()}
    vector = None if j.scored.vector is None else j.scored.vector[index]
    scored = replace(j.scored, values=j.scored.values[index], vector=vector)
    return Drawn(rollouts, Judged(streams, j.quality[index], scored, [j.keys[i] for i in index]))


def _rows_of(name: str, value: Any, rows: Tensor, index: list[int], n: int) -> Any:
    if isinstance(value, Tensor):
        return value[rows][:, rows] if name == "distance" else value[rows]
    if len(value) != n:
        raise ValueError(f"stream {name!r}: expected {n} entries, got {len(value)}")
    return [value[i] for i in index]


def join(parts: Sequence[Drawn]) -> Drawn:
    """Return several batches as one, rows in order; completions are padded to the longest, prompts too.

    Distances between rows of different batches are 1: entries outside a group are never read.
    """
    if len(parts) == 1:
        return parts[0]
    judged = [part.judged for part in parts]
    streams: dict[str, Any] = {}
    for name, first in judged[0].streams.items():
        values = [one.streams[name] for one in judged]
        if name == "distance":
            streams[name] = _blocks(values)
        elif isinstance(first, Tensor):
            streams[name] = stack_rows(values) if first.dim() > 1 else torch.cat(values)
        else:
            streams[name] = [entry for value in values for entry in value]
    failures = tuple(dict.fromkeys(f for one in judged for f in one.scored.failures))
    vectors = [one.scored.vector for one in judged]
    vector = None if any(v is None for v in vectors) else np.concatenate(vectors)
    scored = Scored(np.concatenate([one.scored.values for one in judged]), failures, vector)
    quality, keys = np.concatenate([one.quality for one in judged]), [key for one in judged for key in one.keys]
    return Drawn(join_rollouts([part.rollouts for part in parts]), Judged(streams, quality, scored, keys))


def join_rollouts(parts: Sequence[Rollouts]) -> Rollouts:
    """Return several batches of rollouts as one."""
    if len(parts) == 1:
        return parts[0]
    return Rollouts(
        **{name: stack_rows([getattr(p, name) for p in parts]) for name in _TOKENS},
        **{name: stack_rows([getattr(p, name) for p in parts], left=True) for name in _PROMPTS},
        **{name: torch.cat([getattr(p, name) for p in parts]) for name in _ROWS},
        text=[text for part in parts for text in part.text],
        prompt=[prompt for part in parts for prompt in part.prompt],
    )


def stack_rows(values: Sequence[Tensor], *, left: bool = False) -> Tensor:
    """Return (n_i, T_i) tensors below each other, padded with zeros (False) to the widest, on the right or on the left.

    Examples
    --------
    >>> stack_rows([torch.ones(1, 2), torch.ones(1, 1)], left=True)
    tensor([[1., 1.],
            [0., 1.]])
    """
    width = max(value.shape[1] for value in values)
    out = values[0].new_zeros((sum(len(value) for value in values), width))
    first = 0
    for value in values:
        columns = slice(width - value.shape[1], width) if left else slice(0, value.shape[1])
        out[first : first + len(value), columns] = value
        first += len(value)
    return out


def _blocks(values: Sequence[Tensor]) -> Tensor:
    """Return (n_i, n_i) tensors along the diagonal of one that is 1 elsewhere."""
    size = sum(len(value) for value in values)
    out = values[0].new_ones((size, size))
    first = 0
    for value in values:
        out[first : first + len(value), first : first + len(value)] = value
        first += len(value)
    return out
