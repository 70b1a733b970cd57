"""What an objective remembers across steps: how often each answer was seen, per prompt.

A memory is read before a batch is shaped and written after its update, never in between, so that all rollouts of a step
are judged by the same past. Its state is plain JSON with sorted labels: equal histories give equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

#: stands for "this rollout has no key": an answer that cannot be parsed is not one more visit to one and the same answer
NO_KEY = -1

Counts = dict[str, dict[str, int]]


class Memory(Protocol):
    """State across steps that supplies streams. ``needs`` and ``takes`` name the streams of ``recall`` and ``note``."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]

    def score(self, prompt_ids: Any, keys: Any) -> Tensor:
        """Return one number per rollout, (N,), without changing anything."""

    def update(self, prompt_ids: Any, keys: Any, mask: Tensor) -> None:
        """Take note of the rollouts under ``mask`` (N,) bool."""

    def recall(self, *_: Any, **streams: Any) -> dict[str, Tensor]:
        """Return the streams that the objective's pieces take from this memory."""

    def note(self, *_: Any, **streams: Any) -> None:
        """Take note of a batch after its update."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain JSON."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state_dict`` returned."""


class VisitCounts:
    """How often each answer was given to each prompt, over all steps so far.

    Source: Song, Kempe and Munos 2025, arXiv 2509.06941, the count N(x, a). Departures: none.

    Examples
    --------
    >>> visits = VisitCounts()
    >>> visits.update([7, 7, 7], ["a", "a", None], torch.tensor([True, True, True]))
    >>> visits.score([7, 7, 8, 7], ["a", "b", "a", None])
    tensor([ 2,  0,  0, -1])
    >>> visits.state_dict()
    {'counts': {'7': {'a': 2}}}
    """

    needs: tuple[str, ...] = ("prompt_id", "key")
    takes: tuple[str, ...] = ("scored",)

    def __init__(self) -> None:
        self._counts: Counts = {}

    def score(self, prompt_ids: Any, keys: Any) -> Tensor:
        """Return how often each (prompt, key) was seen, (N,) int64; −1 where there is no key.

        Raises
        ------
        ValueError
            ``prompt_ids`` and ``keys`` of different length.
        """
        return torch.tensor([read(self._counts, prompt, key) for prompt, key in labelled(prompt_ids, keys)])

    def update(self, prompt_ids: Any, keys: Any, mask: Tensor) -> None:
        """Count the rollouts under ``mask`` (N,) bool that have a key.

        Raises
        ------
        ValueError
            Arguments of different length.
        """
        for (prompt, key), counts in zip(labelled(prompt_ids, keys), flags(mask, len(labels(keys))), strict=True):
            if counts and key is not None:
                add(self._counts, prompt, key)

    def recall(self, *, prompt_id: Tensor, key: Any, scored: Tensor) -> dict[str, Tensor]:
        """Return ``count``, see :meth:`score`."""
        del scored
        return {"count": self.score(prompt_id, key).to(prompt_id.device)}

    def note(self, *, prompt_id: Tensor, key: Any, scored: Tensor) -> None:
        """Count the scored rollouts of a batch; an unscored one leaves no trace."""
        self.update(prompt_id, key, scored)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"counts": {prompt: {key: visits}}}``, labels as sorted strings."""
        return {"counts": in_order(self._counts)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            Other keys than ``counts``.
        """
        check_state("VisitCounts", state, ("counts",))
        self._counts = {prompt: dict(known) for prompt, known in state["counts"].items()}

    def __str__(self) -> str:
        return "VisitCounts()"


def labels(values: Any) -> list[str | None]:
    """Return labels as strings; None stays None.

    Examples
    --------
    >>> labels(torch.tensor([3, 4])), labels(["CCO", None])
    (['3', '4'], ['CCO', None])
    """
    listed: Iterable[Any] = values.tolist() if hasattr(values, "tolist") else values
    return [None if value is None else str(value) for value in listed]


def labelled(prompt_ids: Any, keys: Any) -> list[tuple[str, str | None]]:
    """Return (prompt, key) pairs as strings.

    Raises
    ------
    ValueError
        Different lengths.
    """
    prompts, answers = labels(prompt_ids), labels(keys)
    if len(prompts) != len(answers):
        raise ValueError(f"keys: expected {len(prompts)} labels, one per prompt id, got {len(answers)}")
    return [(str(prompt), key) for prompt, key in zip(prompts, answers, strict=True)]


def flags(mask: Tensor, n: int) -> list[bool]:
    """Return a mask as a list.

    Raises
    ------
    ValueError
        Not of shape (n,).
    """
    if tuple(mask.shape) != (n,):
        raise ValueError(f"mask: expected shape ({n},), one per key, got {tuple(mask.shape)}")
    return mask.tolist()


def read(counts: Counts, prompt: str, key: str | None) -> int:
    """Return how often a key was counted at a prompt; −1 without a key."""
    return NO_KEY if key is None else counts.get(prompt, {}).get(key, 0)


def add(counts: Counts, prompt: str, key: str) -> None:
    """Count a key at a prompt once more."""
    known = counts.setdefault(prompt, {})
    known[key] = known.get(key, 0) + 1


def in_order(counts: Counts) -> Counts:
    """Return a copy with sorted labels."""
    return {prompt: dict(sorted(counts[prompt].items())) for prompt in sorted(counts)}


def check_state(owner: str, state: Mapping[str, Any], names: tuple[str, ...]) -> None:
    """Raise ValueError unless a state has exactly these keys."""
    if set(state) != set(names):
        found = ", ".join(sorted(map(str, state))) or "none"
        raise ValueError(f"{owner}: expected a state with keys {', '.join(names)}, got {found}")
