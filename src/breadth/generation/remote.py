"""A model behind an OpenAI-compatible server, sampled under stated conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from breadth.generation.request import Reply, Request
from breadth.metrics.conditions import Sampling
from breadth.partitions.chat import ChatClient, Malformed, NoAnswer

_SEEDS = 2**31  # servers take seeds of 32 bits


class RemoteSampler:
    """Draws replies from a server.

    Parameters
    ----------
    client : ChatClient
    sampling : Sampling
        ``min_p`` is sent only where it is not 0: OpenAI's own API does not know it, vLLM and SGLang do.

    Raises
    ------
    ConnectionError
        While drawing: the server is down or refuses. What came before is yielded first.

    Examples
    --------
    >>> RemoteSampler(ChatClient("http://127.0.0.1:8000/v1", model="m"), Sampling()).name
    'm'
    """

    template = ""

    def __init__(self, client: ChatClient, sampling: Sampling) -> None:
        self.client, self.sampling, self.name = client, sampling, client.model

    def draw(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[Reply] | str]]:
        """Yield (position, replies) as they come in; see :class:`breadth.generation.request.Sampler`."""
        yield from self.client.each(requests, self._draw)

    def _draw(self, request: Request) -> list[Reply] | str:
        """Return n replies; a server that gives fewer at once than it was asked for is asked again for the others."""
        replies: list[Reply] = []
        try:
            while len(replies) < request.n:
                wanted = request.n - len(replies)
                body = self._body(request, wanted, len(replies))
                # a server that ignores n gives one; one that gives more is not believed
                replies += self.client.ask(body, _replies, wanted="reply")[:wanted]
        except NoAnswer as error:
            return str(error)
        return replies

    def _body(self, request: Request, n: int, turn: int) -> dict[str, Any]:
        s = self.sampling
        body: dict[str, Any] = {
            "messages": list(request.messages), "n": n, "temperature": s.temperature, "max_tokens": s.max_tokens,
            "seed": (request.seed + turn) % _SEEDS,
        }  # fmt: skip
        if s.top_p != 1:
            body["top_p"] = s.top_p
        if s.min_p:
            body["min_p"] = s.min_p
        return body


def _replies(data: bytes) -> list[Reply]:
    try:
        choices = json.loads(data)["choices"]
        found = [
            Reply(choice["message"]["content"], finish=str(choice.get("finish_reason") or "")) for choice in choices
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Malformed("a reply that is not a chat completion") from None
    if not found:
        raise Malformed("a reply without choices")
    if not all(isinstance(reply.text, str) for reply in found):
        raise Malformed("a choice without text")
    return found
