"""What is asked of a model and what it gives back; the same for a local folder and a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

Message = dict[str, str]  # {"role": "user" | "assistant" | "system", "content": text}


@dataclass(frozen=True, slots=True)
class Request:
    """So many independent replies to one conversation. ``seed`` belongs to this request alone."""

    messages: tuple[Message, ...]
    n: int
    seed: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. ``logprob``: Σ log π of its tokens with the end token, nats, of the model itself (temperature 1, nothing cut
    off); None where it is not known. ``finish``: "stop", "length", or what a server says."""

    text: str
    logprob: float | None = None
    n_tokens: int | None = None
    finish: str = ""


class Sampler(Protocol):
    """Draws replies. ``name``: of the model, for tables; ``template``: "chat", "plain" or "" (the server decides)."""

    name: str
    template: str

    def draw(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[Reply] | str]]:
        """Yield (position, replies) in any order; a text in the place of replies says why this request has none.

        What is yielded before an exception is kept, so that only the rest is asked again.
        """
