"""A handful of distinct prompts of a task, for runs that are held to them."""

from __future__ import annotations

from breadth.seeds import derive_seed
from breadth.tasks.protocol import Task

TRIES = 8  # doublings of a draw of prompts in the search for distinct ones


def distinct_prompts(task: Task, n: int, *, seed: int) -> list[str]:
    """Return n distinct training prompts of a task, or all that repeated draws find where it has fewer."""
    found: dict[str, None] = {}
    for k in range(TRIES):
        found |= dict.fromkeys(task.prompts(n * 2**k, seed=derive_seed(seed, k)))
        if len(found) >= n:
            break
    return list(found)[:n]
