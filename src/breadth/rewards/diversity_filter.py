"""REINVENT's diversity filters: an answer, or a family of answers, that was rewarded often enough loses its reward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from breadth.rewards.memory import NO_KEY, Counts, add, check_state, flags, in_order, labelled, labels, read
from breadth.tensors.masked import wide

PENALTIES = ("step", "linear", "sigmoid", "tanh", "erf", "none")
BUCKETS = ("key", "bucket_key")
WITHIN_BATCH = ("running", "before")

#: width of the sigmoid penalty and steepness of the tanh penalty, as in REINVENT 4's intrinsic penalties
SIGMOID_WIDTH, TANH_STEEPNESS = 0.15, 3.0


def bucket_factor(count: Tensor, *, bucket: int = 25, penalty: str = "step") -> Tensor:
    """Return the share of its reward that the count-th member of a bucket keeps, (N,) float32 in [0, 1].

    With c = count and B = ``bucket``: ``step`` 1[c ≤ B]; ``linear`` 1 − c/B; ``sigmoid`` 1 − σ((2c/B − 1)/0.15);
    ``tanh`` 1 − tanh(3(c − 1)/B); ``erf`` 1 + erf(√π/B) − erf(√π·c/B); ``none`` 1. All but ``linear`` leave (nearly) the
    whole reward to c = 1, and none goes below 0.

    Parameters
    ----------
    count : (N,) int64
        This member included; 0 or less gives 1: not in any bucket.
    bucket : int
        B ≥ 1.
    penalty : str

    Raises
    ------
    ValueError
        Unknown penalty, ``bucket`` < 1.

    Source: REINVENT 4 (Loeffler et al. 2024, J. Cheminform. 16:20), code: diversity filters and intrinsic penalties.
    Departures: (1) ``linear`` is cut at 0.

    Examples
    --------
    >>> bucket_factor(torch.tensor([1, 2, 3]), bucket=2)
    tensor([1., 1., 0.])
    >>> bucket_factor(torch.tensor([1, 2, 3]), bucket=4, penalty="linear")
    tensor([0.7500, 0.5000, 0.2500])
    """
    check_filter(penalty=penalty, bucket=bucket)
    c = count.to(torch.float32)
    if penalty == "step":
        factor = (c <= bucket).to(c.dtype)
    elif penalty == "linear":
        factor = 1 - c / bucket
    elif penalty == "sigmoid":
        factor = 1 - torch.sigmoid((2 * c / bucket - 1) / SIGMOID_WIDTH)
    elif penalty == "tanh":
        factor = 1 - torch.tanh(TANH_STEEPNESS * (c - 1) / bucket)
    elif penalty == "erf":
        root = math.sqrt(math.pi)
        factor = 1 + math.erf(root / bucket) - torch.erf(root * c / bucket)
    else:
        factor = torch.ones_like(c)
    return torch.where(count > 0, factor.clamp(0.0, 1.0), 1.0)


def shape_by_filter(
    values: Tensor,
    group: Tensor,
    *,
    count: Tensor,
    bucket_count: Tensor,
    scored: Tensor | None = None,
    penalty: str = "step",
    bucket: int = 25,
    same_key_factor: float = 1.0,
) -> Tensor:
    """Return r_i times its bucket's factor, and times ``same_key_factor`` if the same key was rewarded before, (N,).

    Parameters
    ----------
    values : (N,)
        Rewards ≥ 0 (a factor would lift a negative one); NaN = unscored, stays.
    group : (N,) int64
        Not used: the memory knows the prompt.
    count : (N,) int64
        How often the key was stored before; −1 = no key.
    bucket_count : (N,) int64
        How often its bucket was stored, this rollout included; 0 = it does not qualify.
    scored : (N,) bool, optional
    penalty, bucket
        See :func:`bucket_factor`.
    same_key_factor : float
        In [0, 1]: 1 = repeats count only in their bucket, 0 = a key is rewarded once, 0.5 = PenalizeSameSmiles.

    Raises
    ------
    ValueError
        A number out of range.

    Source: REINVENT 4, code: memories. Departures: none.

    Examples
    --------
    >>> shape_by_filter(torch.ones(3), torch.zeros(3), count=torch.tensor([0, 1, 0]),
    ...                 bucket_count=torch.tensor([1, 2, 3]), bucket=2, same_key_factor=0.5)
    tensor([1.0000, 0.5000, 0.0000])
    """
    del group
    check_filter(penalty=penalty, bucket=bucket, same_key_factor=same_key_factor)
    values = wide(values.detach())
    factor = bucket_factor(bucket_count, bucket=bucket, penalty=penalty).to(values.dtype)
    factor = torch.where(count > 0, factor * same_key_factor, factor)
    shaped = values * factor
    return shaped if scored is None else shaped.masked_fill(~scored, torch.nan)


class DiversityFilter:
    """Counts of rewarded keys and of rewarded buckets (families of keys), per prompt, over all steps so far.

    A rollout qualifies if it is scored, has a key, and its reward is at least ``minscore``.

    Parameters
    ----------
    minscore : float
        0.4 in REINVENT.
    bucket_by : str
        ``key``: every key is its own bucket. ``bucket_key``: a coarser label, for example the Murcko scaffold.
    within_batch : str
        ``running`` (REINVENT): a rollout also sees those before it in the batch, so their order matters. ``before``:
        only earlier steps count.

    Raises
    ------
    ValueError
        Unknown option.

    Source: REINVENT 4, code: memories. Departures: (1) kept per prompt; REINVENT has none. (2) repeats of a key count
    in its bucket.

    Examples
    --------
    >>> memory = DiversityFilter()
    >>> memory.update([0, 0], ["c1ccccc1", "CCO"], torch.tensor([True, False]))
    >>> memory.score([0, 0], ["c1ccccc1", "CCO"])
    tensor([1, 0])
    """

    def __init__(self, *, minscore: float = 0.4, bucket_by: str = "key", within_batch: str = "running") -> None:
        for name, value, options in (("bucket_by", bucket_by, BUCKETS), ("within_batch", within_batch, WITHIN_BATCH)):
            if value not in options:
                raise ValueError(f"{name}: expected one of {', '.join(options)}, got {value!r}")
        self.minscore, self.bucket_by, self.within_batch = minscore, bucket_by, within_batch
        self.needs = ("prompt_id", "key", *(("bucket_key",) if bucket_by == "bucket_key" else ()))
        self.takes = ("reward", "scored", "replayed")
        self._keys: Counts = {}
        self._buckets: Counts = {}

    def score(self, prompt_ids: Any, keys: Any) -> Tensor:
        """Return how often each (prompt, key) was stored, (N,) int64; −1 where there is no key."""
        return torch.tensor([read(self._keys, prompt, key) for prompt, key in labelled(prompt_ids, keys)])

    def update(self, prompt_ids: Any, keys: Any, mask: Tensor, *, bucket_keys: Any = None) -> None:
        """Store the rollouts under ``mask`` (N,) bool that have a key; the key is the bucket if none is given.

        Raises
        ------
        ValueError
            Arguments of different length.
        """
        pairs = labelled(prompt_ids, keys)
        families = labels(keys if bucket_keys is None else bucket_keys)
        for (prompt, key), family, kept in zip(pairs, families, flags(mask, len(pairs)), strict=True):
            if kept and key is not None:
                add(self._keys, prompt, key)
                add(self._buckets, prompt, str(family))

    def full(self, prompt_id: Any, size: int) -> set[str]:
        """Return the buckets of a prompt that hold ``size`` rewarded answers or more."""
        return {bucket for bucket, n in self._buckets.get(str(prompt_id), {}).items() if n >= size}

    def recall(
        self,
        *,
        prompt_id: Tensor,
        key: Any,
        reward: Tensor,
        scored: Tensor,
        bucket_key: Any = None,
        replayed: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return ``count`` and ``bucket_count``, (N,) int64, see :func:`shape_by_filter`; both 0 where ``replayed``."""
        families = labels(key if bucket_key is None else bucket_key)
        mask = (scored & (reward >= self.minscore)).tolist()
        again = [False] * len(mask) if replayed is None else replayed.tolist()
        fresh: tuple[Counts, Counts] = ({}, {})  # what the batch itself has stored so far
        count, bucket_count = [], []
        for (prompt, answer), family, good, old in zip(labelled(prompt_id, key), families, mask, again, strict=True):
            if answer is None or old:
                count.append(NO_KEY if answer is None else 0)
                bucket_count.append(0)
                continue
            count.append(read(self._keys, prompt, answer) + read(fresh[0], prompt, answer))
            stored = read(self._buckets, prompt, str(family)) + read(fresh[1], prompt, str(family))
            bucket_count.append(stored + 1 if good else 0)
            if good and self.within_batch == "running":
                add(fresh[0], prompt, answer)
                add(fresh[1], prompt, str(family))
        device = reward.device
        return {
            "count": torch.tensor(count, device=device),
            "bucket_count": torch.tensor(bucket_count, device=device),
        }

    def note(
        self,
        *,
        prompt_id: Tensor,
        key: Any,
        reward: Tensor,
        scored: Tensor,
        bucket_key: Any = None,
        replayed: Tensor | None = None,
    ) -> None:
        """Store the rollouts of a batch that qualify and are not replayed."""
        fresh = scored if replayed is None else scored & ~replayed
        self.update(prompt_id, key, fresh & (reward >= self.minscore), bucket_keys=bucket_key)

    def state_dict(self) -> dict[str, Any]:
        """Return ``{"keys": {prompt: {key: n}}, "buckets": {prompt: {bucket: n}}}``, labels as sorted strings."""
        return {"keys": in_order(self._keys), "buckets": in_order(self._buckets)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`state_dict` returned.

        Raises
        ------
        ValueError
            Other keys than ``keys`` and ``buckets``.
        """
        check_state("DiversityFilter", state, ("keys", "buckets"))
        self._keys = {prompt: dict(known) for prompt, known in state["keys"].items()}
        self._buckets = {prompt: dict(known) for prompt, known in state["buckets"].items()}

    def __str__(self) -> str:
        numbers = f"minscore={self.minscore}, bucket_by={self.bucket_by!r}, within_batch={self.within_batch!r}"
        return f"DiversityFilter({numbers})"


def check_filter(*, penalty: str = "step", bucket: int = 25, same_key_factor: float = 1.0) -> None:
    """Raise ValueError for a penalty that nobody knows or a number out of range."""
    if penalty not in PENALTIES:
        raise ValueError(f"penalty: expected one of {', '.join(PENALTIES)}, got {penalty!r}")
    if bucket < 1:
        raise ValueError(f"bucket: expected an integer >= 1, got {bucket}")
    if not 0 <= same_key_factor <= 1:
        raise ValueError(f"same_key_factor: expected a number in [0, 1], got {same_key_factor}")
