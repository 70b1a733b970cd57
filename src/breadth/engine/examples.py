"""Examples that a run learns from: one answer each, or a pair of a chosen and a rejected one; on disk as JSON Lines.

A run keeps what it learns from in ``examples/round-0000.jsonl``: readable, and with the very tokens, so that a resumed run reads
the same numbers. The same file can be given to another run as ``preference.path`` or ``sft.path``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from breadth.config import ConfigError
from breadth.engine.rollout import Sampling, encode_prompts
from breadth.engine.run_frame import stable_id
from breadth.engine.tokenizer import Tokenizer
from breadth.ledger.rows import write_atomic
from breadth.records import Rollouts
from breadth.seeds import derive_seed

PAIR = ("chosen", "rejected")
SINGLE = ("completion",)


@dataclass(frozen=True)
class Examples:
    """M examples with S answers each (S = 2: chosen, rejected). ``numbers`` holds M values a name, None = not known."""

    sides: tuple[str, ...]
    prompt: list[str]  # (M,)
    text: list[tuple[str, ...]]  # (M, S)
    tokens: list[tuple[list[int], ...]]  # (M, S) completion tokens, the end token counts
    numbers: dict[str, list[float | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompt)

    def to_bytes(self) -> bytes:
        """Return the JSON Lines that :func:`from_bytes` reads back."""
        lines = []
        for i, prompt in enumerate(self.prompt):
            row: dict[str, object] = {"prompt": prompt}
            row |= dict(zip(self.sides, self.text[i], strict=True))
            row |= {name: values[i] for name, values in self.numbers.items()}
            row |= {f"{side}_tokens": ids for side, ids in zip(self.sides, self.tokens[i], strict=True)}
            lines.append(json.dumps(row, ensure_ascii=False, allow_nan=False))
        return "".join(line + "\n" for line in lines).encode()

    def rollouts(self, tokenizer: Tokenizer, device: torch.device) -> Rollouts:
        """Return the answers as rollouts, row S·m + s; log-probabilities and entropies are 0, nothing was sampled here."""
        sides, flat = len(self.sides), [ids for row in self.tokens for ids in row]
        prompts = [prompt for prompt in self.prompt for _ in range(sides)]
        width = max(len(ids) for ids in flat)
        tokens = np.full((len(flat), width), tokenizer.pad_id, dtype=np.int64)
        mask = np.zeros((len(flat), width), dtype=bool)
        for row, ids in enumerate(flat):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = True
        prompt_tokens, prompt_mask = encode_prompts(prompts, tokenizer, device)
        nothing = torch.zeros((len(flat), width), device=device)
        return Rollouts(
            prompt_tokens=prompt_tokens,
            prompt_mask=prompt_mask,
            tokens=torch.from_numpy(tokens).to(device),
            mask=torch.from_numpy(mask).to(device),
            logp_old=nothing,
            logp_sampled=nothing,
            entropy=nothing,
            group=torch.arange(len(self), device=device).repeat_interleave(sides),
            prompt_id=torch.tensor([stable_id(p) for p in prompts], device=device),
            text=[text for row in self.text for text in row],
            prompt=prompts,
            ended=torch.ones(len(flat), dtype=torch.bool, device=device),
        )


def from_bytes(data: bytes, sides: tuple[str, ...]) -> Examples:
    """Return what :meth:`Examples.to_bytes` wrote."""
    rows = [json.loads(line) for line in data.splitlines()]
    known = {"prompt", *sides, *(f"{side}_tokens" for side in sides)}
    return Examples(
        sides,
        [row["prompt"] for row in rows],
        [tuple(row[side] for side in sides) for row in rows],
        [tuple(row[f"{side}_tokens"] for side in sides) for row in rows],
        {name: [row[name] for row in rows] for name in (rows[0] if rows else {}) if name not in known},
    )


def write_examples(path: Path, examples: Examples) -> str:
    """Write a file of examples; return its SHA-256."""
    data = examples.to_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def encode_examples(
    prompts: Sequence[str],
    texts: Sequence[tuple[str, ...]],
    *,
    sides: tuple[str, ...],
    tokenizer: Tokenizer,
    sampling: Sampling,
    context: int,
    where: Sequence[str],
) -> Examples:
    """Return texts as examples, with the end token where the task has one.

    Parameters
    ----------
    where : M texts
        What to call each example in an error: a file and its line.

    Raises
    ------
    ConfigError
        A token that the tokenizer does not know, or an answer that the policy could never give: too long, of another length than
        the task's, or too long for the model's context together with its prompt.
    """
    tail = [tokenizer.eos_id] if sampling.end_token else []
    encoded: list[tuple[list[int], ...]] = []
    prompt_length: dict[str, int] = {}
    for prompt, row, place in zip(prompts, texts, where, strict=True):
        try:
            if prompt not in prompt_length:
                prompt_length[prompt] = 1 + len(tokenizer.encode(prompt))
            ids = tuple([*tokenizer.encode(text), *tail] for text in row)
        except ValueError as error:
            raise ConfigError(place, [str(error)]) from None
        for side, one in zip(sides, ids, strict=True):
            n, room = len(one), sampling.max_tokens
            if n > room or (not sampling.end_token and n != room):
                most = f"at most {room}" if sampling.end_token else f"exactly {room}"
                raise ConfigError(
                    place,
                    [f"{side}: answers have {most} tokens here, this one has {n}: {row[sides.index(side)][:60]!r}"],
                )
            if prompt_length[prompt] + n - 1 > context:
                raise ConfigError(
                    place,
                    [
                        f"{side}: prompt and answer need {prompt_length[prompt] + n - 1} positions, the model has {context}"
                    ],
                )
        encoded.append(ids)
    return Examples(sides, list(prompts), [tuple(row) for row in texts], encoded)


def read_examples(
    path: Path, *, sides: tuple[str, ...], tokenizer: Tokenizer, sampling: Sampling, context: int
) -> Examples:
    """Return the examples of a JSON Lines file with ``prompt`` and one text for each of ``sides``.

    Raises
    ------
    ConfigError
        No such file, no example in it, a line that is not such an object (with its number), or a text that the policy could not give.
    """
    wanted = ("prompt", *sides)
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise ConfigError(str(path), [f"no such file; expected JSON Lines with {', '.join(wanted)}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [f"expected UTF-8 text: {error}"]) from None
    rows: list[dict[str, str]] = []
    where: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(place, [f"not JSON: {error}"]) from None
        absent = [name for name in wanted if not isinstance(row, dict) or not isinstance(row.get(name), str)]
        if absent:
            found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise ConfigError(
                place,
                [
                    f"expected texts under {', '.join(wanted)}, got none under {', '.join(absent)} (the line has: {found})"
                ],
            )
        if len(sides) == 2 and row[sides[0]] == row[sides[1]]:
            raise ConfigError(place, [f"{sides[0]} and {sides[1]} are the same text: {row[sides[0]][:60]!r}"])
        rows.append(row)
        where.append(place)
    if not rows:
        raise ConfigError(str(path), [f"holds no example; expected JSON Lines with {', '.join(wanted)}"])
    return encode_examples(
        [row["prompt"] for row in rows],
        [tuple(row[side] for side in sides) for row in rows],
        sides=sides,
        tokenizer=tokenizer,
        sampling=sampling,
        context=context,
        where=where,
    )


def batch_of(n: int, size: int, number: int, *, seed: int, name: int) -> np.ndarray:
    """Return which of n examples the batch with this number learns from: one shuffle after the other, nothing left out.

    Parameters
    ----------
    size : int
        Examples of a batch; all n where there are fewer.
    seed, name : int
        The run's seed, and which set of examples it is.
    """
    size = min(size, n)
    places = np.arange(number * size, (number + 1) * size)
    epochs = places // n
    orders = {
        int(e): np.random.default_rng(derive_seed(seed, "examples", name, int(e))).permutation(n)
        for e in np.unique(epochs)
    }
    return np.array([orders[int(e)][p] for e, p in zip(epochs, places % n, strict=True)], dtype=np.int64)
