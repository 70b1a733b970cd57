"""The prompts of a data set: which stand in which split, and drawing them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from breadth.seeds import numpy_generator

Item = TypeVar("Item")
SPLITS = ("train", "valid")


class QuestionSet(Generic[Item]):
    """Prompts with what belongs to each, divided into ``train`` and ``valid``.

    Parameters
    ----------
    train : dict from prompt to item
    valid : dict from prompt to item, optional
        None: a share ``held_out`` of ``train``, by the SHA-256 of the prompt. A prompt of both is held out.

    Raises
    ------
    ValueError
        One of the splits is empty.
    """

    def __init__(
        self, train: dict[str, Item], valid: dict[str, Item] | None = None, *, held_out: float, where: str
    ) -> None:
        if valid is None:
            valid = {p: item for p, item in train.items() if _place(p) < held_out}
        self.items = {**train, **valid}
        order = sorted(valid, key=_place)
        self._of = {"train": [p for p in train if p not in valid], "valid": order}
        self.where = where
        if not self._of["train"] or not order:
            short = "train" if order else "valid"
            raise ValueError(
                f"data {where}: {len(train)} prompts, none of them in the split {short!r} at held_out = {held_out}: give more prompts, another "
                "held_out, or a file of held-out ones (valid_path=...)"
            )

    def draw(self, n: int, *, seed: int, split: str, name: str) -> list[str]:
        """Return n prompts. ``train``: drawn without repeats as far as they reach; ``valid``: the first n of one fixed order."""
        if split not in SPLITS:
            raise ValueError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
        there = self._of[split]
        if split == "valid":
            if n > len(there):
                raise ValueError(
                    f"data {self.where}: {n} held-out prompts were asked for, there are {len(there)}: lower measure.sets or raise held_out"
                )
            return there[:n]
        generator, out = numpy_generator(seed, "prompts", name), []
        while len(out) < n:
            out += [there[i] for i in generator.permutation(len(there))[: n - len(out)].tolist()]
        return out

    def item(self, prompt: str) -> Item:
        """Return what belongs to a prompt; ``ValueError`` where it is not one of the set's."""
        try:
            return self.items[prompt]
        except KeyError:
            raise ValueError(f"data {self.where}: {prompt[:120]!r} is not one of its prompts") from None


def limited(rows: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """Return the first ``limit`` rows; all where it is None."""
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1 row, got {limit}")
    return rows if limit is None else rows[:limit]


def _place(prompt: str) -> float:
    return int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:8], "big") / 2**64
