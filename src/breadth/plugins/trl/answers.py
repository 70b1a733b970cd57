"""Completions as TRL hands them over to texts, groups, and the streams that need texts: kind, distance, keys."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from breadth.plugins.trl.gathering import shared_out

KeyFunction = Callable[[Sequence[str], Sequence[str]], Sequence[Hashable | None]]


def text_of(turns: Any) -> str:
    """Return the text of a prompt or a completion: itself, or the contents of its messages, one below the other.

    Examples
    --------
    >>> text_of([{"role": "assistant", "content": "a robin"}])
    'a robin'
    """
    if isinstance(turns, str):
        return turns
    parts = []
    for message in turns:
        content = message.get("content") or ""
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts.append("".join(block.get("text", "") for block in blocks if block.get("type") == "text"))
    return "\n".join(parts)


def runs_of(labels: Sequence[Any]) -> np.ndarray:
    """Return the group of each row, (N,) int64: rows that follow each other with equal labels.

    Examples
    --------
    >>> runs_of([4, 4, 7, 7, 4]).tolist()
    [0, 0, 1, 1, 2]
    """
    change = [i > 0 and label != labels[i - 1] for i, label in enumerate(labels)]
    return np.cumsum(change, dtype=np.int64) if change else np.empty(0, dtype=np.int64)


def stable_number(label: Any) -> int:
    """Return a number of a prompt that is the same in every step and run: 63 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(str(label).encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Distinguish:
    """Who says the same thing as whom: what the streams ``kind``, ``distance``, ``key``, ``bucket_key``, ``parsable`` are made of.

    Parameters
    ----------
    partition : function or str, optional
        A :func:`breadth.partition`, its name, or a function (texts, group=, prompts=) -> (n,) classes. Each group is asked about on
        one rank only.
    key, bucket_key : functions, optional
        (texts, prompts) -> n labels that are stable across steps; None = the answer cannot be parsed (``key``), no label (``bucket_key``).
    correct : function, optional
        (texts, prompts) -> n bools, where the reward does not say it.
    """

    partition: Any = None
    key: KeyFunction | None = None
    bucket_key: KeyFunction | None = None
    correct: KeyFunction | None = None
    supplied: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.partition, str):
            from breadth.partitions.front import partition

            object.__setattr__(self, "partition", partition(self.partition))
        supplied = {"kind"} if self.partition is not None else set()
        supplied |= {"distance"} if hasattr(self.partition, "distance") else set()
        supplied |= {"key", "parsable"} if self.key is not None else set()
        supplied |= {"bucket_key"} if self.bucket_key is not None else set()
        supplied |= {"correct"} if self.correct is not None else set()
        object.__setattr__(self, "supplied", frozenset(supplied))

    def missing(self, needs: Sequence[str], owner: str) -> str | None:
        """Return what to pass for the streams among ``needs`` that nothing here can make, or None."""
        how = {
            "kind": "partition=breadth.partition(...), which tells the answers of a group apart",
            "distance": "partition=breadth.partition(...), whose distance is used",
            "key": "key=function of (texts, prompts) that returns a canonical label of each answer, None where it cannot be parsed",
            "parsable": "key=function of (texts, prompts) that returns None where an answer cannot be parsed",
            "bucket_key": "bucket_key=function of (texts, prompts) that returns a coarse label of each answer",
        }
        absent = [name for name in needs if name in how and name not in self.supplied]
        if not absent:
            return None
        return f"{owner} needs {', '.join(absent)}: pass " + "; ".join(dict.fromkeys(how[name] for name in absent))

    def streams(
        self, texts: Sequence[str], prompts: Sequence[str], group: np.ndarray, wanted: Sequence[str]
    ) -> dict[str, Any]:
        """Return the streams among ``wanted`` that can be made, for all ranks' rows; every rank calls this with the same rows.

        Raises
        ------
        ValueError
            A function that returns another number of labels than it was given texts.
        """
        wanted = [name for name in wanted if name in self.supplied]
        out: dict[str, Any] = {}
        members = [np.flatnonzero(group == label) for label in np.unique(group)]
        if {"kind", "distance"} & set(wanted):
            out |= self._by_partition(texts, prompts, members, wanted)
        if {"key", "parsable"} & set(wanted):
            out["key"] = self._labels("key", self.key, texts, prompts)
            out["parsable"] = torch.tensor([label is not None for label in out["key"]])
        if "correct" in wanted:
            out["correct"] = torch.tensor(
                [bool(label) for label in self._labels("correct", self.correct, texts, prompts)]
            )
        if "bucket_key" in wanted:
            out["bucket_key"] = self._labels("bucket_key", self.bucket_key, texts, prompts)
        return out

    def _by_partition(
        self, texts: Sequence[str], prompts: Sequence[str], members: list[np.ndarray], wanted: Sequence[str]
    ) -> dict[str, Any]:
        def judge(i: int) -> tuple[np.ndarray | None, np.ndarray | None]:
            rows = members[i]
            said, asked = [texts[r] for r in rows], [prompts[r] for r in rows]
            kinds = block = None
            if "kind" in wanted:
                kinds = np.asarray(self.partition(said, group=np.zeros(len(said), dtype=np.int64), prompts=asked))
                if kinds.shape != (len(said),):
                    raise ValueError(
                        f"partition: expected {len(said)} classes for {len(said)} answers, got shape {kinds.shape}"
                    )
            if "distance" in wanted:
                block = np.asarray(self.partition.distance(said, prompts=asked), dtype=np.float32)
            return kinds, block

        judged = shared_out(len(members), judge)
        n, out = len(texts), {}
        if "kind" in wanted:
            kind = np.zeros(n, dtype=np.int64)
            for rows, (kinds, _) in zip(members, judged, strict=True):
                kind[rows] = kinds
            out["kind"] = torch.from_numpy(kind)
        if "distance" in wanted:
            distance = np.ones((n, n), dtype=np.float32)
            for rows, (_, block) in zip(members, judged, strict=True):
                distance[np.ix_(rows, rows)] = block
            np.fill_diagonal(distance, 0.0)
            out["distance"] = torch.from_numpy(distance)
        return out

    @staticmethod
    def _labels(name: str, function: Any, texts: Sequence[str], prompts: Sequence[str]) -> list[Hashable | None]:
        labels = list(function(list(texts), list(prompts)))
        if len(labels) != len(texts):
            raise ValueError(
                f"{name}: the function returned {len(labels)} labels for {len(texts)} texts: expected one each, in order"
            )
        return labels
