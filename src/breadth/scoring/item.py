"""What a scorer is asked and what it says; the same for a reward model and a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from breadth.ledger.generations import Generation

Message = Mapping[str, Any]  # {"role": …, "content": text}


@dataclass(frozen=True, slots=True)
class Item:
    """An answer to be scored. ``messages``: the conversation up to it; ``other``: another answer to compare with, and the
    conversation up to that one (in a second turn it holds another first answer)."""

    messages: tuple[Message, ...]
    response: str
    other: str | None = None
    other_messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """``value`` None: unscored, and ``reason`` says why. ``said``: what a judge wrote."""

    value: float | None
    reason: str = ""
    said: str = ""


class Scorer(Protocol):
    """Scores answers. ``settings``: what a scored file says of its scorer."""

    settings: dict[str, Any]

    def score(self, items: Sequence[Item]) -> Iterator[tuple[int, Score]]:
        """Yield (position, score) in any order, each position once. What is yielded before an exception is kept."""


def conversation(row: Generation) -> tuple[Message, ...]:
    """Return the prompt of an answer as messages; a plain prompt is one message of the user.

    Examples
    --------
    >>> conversation(Generation("Hi", "Hello"))
    ({'role': 'user', 'content': 'Hi'},)
    """
    return tuple(row.messages) if row.messages else ({"role": "user", "content": row.prompt},)


def asked(messages: Sequence[Message]) -> tuple[str, ...]:
    """Return what the user said, first to last: what two conversations share that were given the same questions.

    Examples
    --------
    >>> asked(({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}))
    ('a', 'c')
    """
    return tuple(str(message["content"]) for message in messages if message.get("role", "user") == "user")
