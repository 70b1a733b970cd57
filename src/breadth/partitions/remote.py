"""A partition served elsewhere by ``breadth partition serve``, asked over HTTP; the backend ``"remote"``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from breadth.partitions.chat import ChatClient, Malformed
from breadth.partitions.protocol import Pair


class Remote:
    """Scores of a served partition, many pairs in a call.

    Parameters
    ----------
    url : str
        As ``breadth partition serve`` prints it, up to and with ``/v1``.
    threshold : float, optional
        The server's where absent: it is then asked for it at once.
    pairs_per_call : int
    timeout, n_tries, pause, in_flight, key_variable, allow_http
        As for the endpoint. A served partition needs no key; a proxy before it may.

    Raises
    ------
    ValueError
        A value out of range, or a URL that is not http(s) or holds a password.
    ConnectionError
        The server is down, fails after ``n_tries``, or is no served partition. What it had said by then is kept.

    Source: none. Departures: none.

    Examples
    --------
    >>> Remote("http://127.0.0.1:8765/v1", threshold=0.3).threshold
    0.3
    """

    name = "remote"

    def __init__(
        self, url: str, *, threshold: float | None = None, pairs_per_call: int = 256, timeout: float = 120.0,
        n_tries: int = 4, pause: float = 1.0, in_flight: int = 4, key_variable: str = "BREADTH_REMOTE_KEY",
        allow_http: bool = False,
    ) -> None:  # fmt: skip
        if pairs_per_call < 1:
            raise ValueError(f"pairs_per_call: expected 1 or more, got {pairs_per_call}")
        self.client = ChatClient(
            url, model="partition", key_variable=key_variable, timeout=timeout, n_tries=n_tries, pause=pause,
            in_flight=in_flight, allow_http=allow_http,
        )  # fmt: skip
        self.pairs_per_call = pairs_per_call
        self._about: dict[str, Any] | None = None
        self.threshold = float(self.about()["threshold"]) if threshold is None else threshold

    @property
    def fingerprint(self) -> str:
        """What decides a verdict there; the server is asked once."""
        said = self.about()
        return f"remote {said['backend']}, {said['fingerprint']}"

    def about(self) -> dict[str, Any]:
        """Return what the server says of itself: backend, fingerprint, threshold, clustering."""
        if self._about is None:
            self._about = self.client.ask(None, _about, path="/models", wanted="description")
        return self._about

    def check(self) -> None:
        """Ask the server how it is. Raises ``ConnectionError`` where it is down or failing."""
        self.client.check()

    def score_pairs(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        """Yield (position, score) as the calls come back; see :class:`PairBackend`."""
        starts = list(range(0, len(pairs), self.pairs_per_call))
        for k, scores in self.client.each(starts, lambda at: self._ask(pairs[at : at + self.pairs_per_call])):
            yield from enumerate(scores, start=starts[k])

    def _ask(self, pairs: Sequence[Pair]) -> list[float]:
        body = {"pairs": [{"prompt": pair.prompt, "a": pair.a, "b": pair.b} for pair in pairs]}
        return self.client.ask(body, lambda data: _scores(data, len(pairs)), path="/pairs", wanted="scores")


def _about(data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
        if said["object"] != "breadth.partition":
            raise ValueError
        return {"threshold": float(said["threshold"]), **{k: said[k] for k in ("backend", "fingerprint", "clustering")}}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise Malformed("a server that is no breadth partition serve") from None


def _scores(data: bytes, n: int) -> list[float]:
    try:
        scores = [float(score) for score in json.loads(data)["scores"]]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise Malformed("a reply without scores") from None
    if len(scores) != n:
        raise Malformed(f"{len(scores)} scores for {n} pairs")
    return scores
