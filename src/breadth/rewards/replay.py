"""Replay memory: the best distinct answers seen so far, to be learned from again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from breadth.rewards.memory import check_state, flags, labelled

WEIGHTINGS = ("uniform", "reward", "bucket")


class ReplayMemory:
    """The ``capacity`` best rewarded distinct answers of each prompt.

    Parameters
    ----------
    capacity : int
        ≥ 1, per prompt; 50 in REINVENT 4 (100 in the original code).
    per_bucket : int
        At most this many answers of one bucket (a scaffold, say) are kept; 0 = no cap, and buckets are not read.

    Raises
    ------
    ValueError
        ``capacity`` < 1 or ``per_bucket`` < 0.

    Source: REINVENT's inception memory; Olivecrona et al. 2017, arXiv 1704.07555, code: experience replay. Departures:
    (1) kept per prompt; (2) ties in reward are broken by the key, not by the order of arrival; (3) the cap per bucket and the
    weighting by bucket are ours.

    Examples
    --------
    >>> memory = ReplayMemory(capacity=2)
    >>> memory.update([0, 0, 0], ["a", "b", "c"], torch.tensor([True] * 3), reward=torch.tensor([0.1, 0.9, 0.5]))
    >>> memory.score([0, 0, 0], ["a", "b", "c"])
    tensor([   nan, 0.9000, 0.5000])
    >>> [entry["key"] for entry in memory.sample(0, 2, seed=0)]
    ['b', 'c']
    """

    def __init__(self, *, capacity: int = 50, per_bucket: int = 0) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: expected an integer >= 1, got {capacity}")
        if per_bucket < 0:
            raise ValueError(f"per_bucket: expected an integer >= 0 (0 = no cap), got {per_bucket}")
        self.capacity, self.per_bucket = capacity, per_bucket
        self._stored: dict[str, dict[str, dict[str, Any]]] = {}

    def score(self, prompt_ids: Any, keys: Any) -> Tensor:
        """Return the stored reward of each (prompt, key), (N,) float32; NaN where it is not stored."""
        found = (
            self._stored.get(prompt, {}).get(str(key) if key is not None else "", {})
            for prompt, key in labelled(prompt_ids, keys)
        )
        return torch.tensor([entry.get("reward", torch.nan) for entry in found], dtype=torch.float32)

    def update(
        self,
        prompt_ids: Any,
        keys: Any,
        mask: Tensor,
        *,
        reward: Tensor,
        text: Sequence[str] | None = None,
        tokens: Sequence[Sequence[int]] | None = None,
        bucket_keys: Sequence[Any] | None = None,
    ) -> None:
        """Store the rollouts under ``mask`` (N,) bool that have a key and a reward, then keep the best of each prompt.

        Parameters
        ----------
        prompt_ids, keys : N labels
            A key that is stored already keeps the better of its rewards.
        mask : (N,) bool
        reward : (N,)
            NaN = unscored, not stored.
        text : N strings, optional
            What to train on again; the key if absent.
        tokens : N lists of int, optional
            The same as token numbers; then they stand in the entry in place of the text.
        bucket_keys : N labels, optional
            The bucket of each answer, stored with it; None = the answer is a bucket of its own.

        Raises
        ------
        ValueError
            Arguments of different length.
        """
        pairs = labelled(prompt_ids, keys)
        for name, given in (("reward", reward), ("text", text), ("tokens", tokens), ("bucket_keys", bucket_keys)):
            if given is not None and len(given) != len(pairs):
                raise ValueError(f"{name}: expected {len(pairs)} entries, one per key, got {len(given)}")
        values = reward.tolist()
        for i, ((prompt, key), kept) in enumerate(zip(pairs, flags(mask, len(pairs)), strict=True)):
            if not kept or key is None or values[i] != values[i]:
                continue
            known = self._stored.setdefault(prompt, {})
            if key not in known or values[i] > known[key]["reward"]:
                written = {"text": key if text is None else text[i]} if tokens is None else {"tokens": list(tokens[i])}
                bucket = {} if bucket_keys is None or bucket_keys[i] is None else {"bucket": str(bucket_keys[i])}
                known[key] = {"reward": values[i], **written, **bucket}
        for prompt in {prompt for prompt, _ in pairs} & set(self._stored):
            self._stored[prompt] = self._best(self._stored[prompt])

    def sample(
        self, prompt_id: Any, n: int, *, seed: int, weighting: str = "uniform", top: int = 0
    ) -> list[dict[str, Any]]:
        """Return up to n distinct entries of a prompt, best first: dicts with ``key``, ``reward`` and ``text`` or ``tokens``.

        Parameters
        ----------
        prompt_id : label
        n : int
        seed : int
            The same state and seed give the same entries.
        weighting : str
            ``uniform`` (REINVENT 4), ``reward`` (the original code: with probability in proportion to the reward; an
            entry whose reward is not positive is then never drawn), or ``bucket`` (every bucket alike, and every entry of a
            bucket alike).
        top : int
            Draw among so many best entries only; 0 = among all.

        Raises
        ------
        ValueError
            Unknown weighting, ``n`` < 0.
        """
        if weighting not in WEIGHTINGS:
            raise ValueError(f"weighting: expected one of {', '.join(WEIGHTINGS)}, got {weighting!r}")
        if n < 0:
            raise ValueError(f"n: expected an integer >= 0, got {n}")
        entries = [{"key": key, **entry} for key, entry in self._stored.get(str(prompt_id), {}).items()]
        entries = entries[:top] if top else entries  # best first: `update` and `load_state_dict` keep them so
        weight = np.ones(len(entries))
        if weighting == "reward":
            weight = np.array([max(entry["reward"], 0.0) for entry in entries])
        elif weighting == "bucket":
            sizes = Counter(_bucket(entry["key"], entry) for entry in entries)
            weight = np.array([1 / sizes[_bucket(entry["key"], entry)] for entry in entries])
        n = min(n, int((weight > 0).sum()))
        if n == 0:
            return []
        rows = np.random.default_rng(seed).choice(len(entries), size=n, replace=False, p=weight / weight.sum())
        return [entries[row] for row in sorted(rows)]

    def entries(self, prompt_id: Any) -> list[dict[str, Any]]:
        """Return all entries of a prompt, best first, as :meth:`sample` does."""
        return [{"key": key, **entry} for key, entry in self._best(self._stored.get(str(prompt_id), {})).items()]

    def purge(self, prompt_id: Any, buckets: Collection[Any]) -> int:
        """Forget the entries of a prompt whose bucket (their key, where they have none) is among these; return how many they were."""
        known, full = self._stored.get(str(prompt_id), {}), {str(bucket) for bucket in buckets}
        gone = [key for key, entry in known.items() if entry.get("bucket", key) in full]
        for key in gone:
            del known[key]
        return len(gone)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"stored": {prompt: {key: {"reward", "text"}}}}``, best first."""
        stored = {prompt: self._best(self._stored[prompt]) for prompt in sorted(self._stored)}
        return {"stored": {p: {key: dict(entry) for key, entry in known.items()} for p, known in stored.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            Other keys than ``stored``.
        """
        check_state("ReplayMemory", state, ("stored",))
        self._stored = {p: {key: dict(entry) for key, entry in known.items()} for p, known in state["stored"].items()}

    def _best(self, known: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        ranked = sorted(known.items(), key=lambda pair: (-pair[1]["reward"], pair[0]))
        if self.per_bucket:
            seen: Counter[str] = Counter()
            kept = []
            for key, entry in ranked:
                seen[_bucket(key, entry)] += 1
                if seen[_bucket(key, entry)] <= self.per_bucket:
                    kept.append((key, entry))
            ranked = kept
        return dict(ranked[: self.capacity])


def _bucket(key: str, entry: Mapping[str, Any]) -> str:
    """Return the bucket of an entry; an answer without one is a bucket of its own."""
    return f"bucket {entry['bucket']}" if "bucket" in entry else f"key {key}"
