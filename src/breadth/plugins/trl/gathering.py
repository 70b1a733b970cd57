"""All ranks in lockstep: what each one has, or one error on all of them instead of a hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def world() -> tuple[int, int]:
    """Return (rank, number of ranks); (0, 1) without a process group, and off the main thread, where nobody waits in step."""
    alone = (
        not (dist.is_available() and dist.is_initialized()) or threading.current_thread() is not threading.main_thread()
    )
    return (0, 1) if alone else (dist.get_rank(), dist.get_world_size())


def everywhere(compute: Callable[[], T]) -> list[T]:
    """Run ``compute`` on every rank and return all results, in the order of the ranks, on every rank.

    Every rank has to call this at the same place. The results travel by pickle among the processes of one training.

    Raises
    ------
    RuntimeError
        On every rank, if it failed on another one; what ``compute`` raised, where it failed here. Nobody is left waiting.
    """
    rank, n = world()
    if n == 1:
        return [compute()]
    mine: tuple[T | None, str | None] = (None, None)
    failure: Exception | None = None
    try:
        mine = (compute(), None)
    except Exception as error:  # whatever a user's function raises: the others must hear of it before anybody leaves
        failure, mine = error, (None, f"{type(error).__name__}: {error}")
    found: list[Any] = [None] * n
    dist.all_gather_object(found, mine)
    if failure is not None:
        raise failure
    wrong = [(number, text) for number, (_, text) in enumerate(found) if text is not None]
    if wrong:
        raise RuntimeError(f"rank {rank}: stopped because rank {wrong[0][0]} failed: {wrong[0][1]}")
    return [value for value, _ in found]


def shared_out(n_items: int, compute: Callable[[int], T]) -> list[T]:
    """Return ``compute(i)`` for every item on every rank; each item is computed on one rank only (i mod number of ranks)."""
    rank, n = world()
    parts = everywhere(lambda: {i: compute(i) for i in range(rank, n_items, n)})
    merged = {i: value for part in parts for i, value in part.items()}
    return [merged[i] for i in range(n_items)]
