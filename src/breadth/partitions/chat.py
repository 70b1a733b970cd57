"""A client of an OpenAI-compatible server: retries, a cap on calls in flight, and errors that never show the key.

Pair judges, scorers and samplers share it; each brings a function that reads a reply.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

Job = TypeVar("Job")
Found = TypeVar("Found")

_LONGEST_PAUSE = 30.0  # seconds between two tries, whatever the server asks for
_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_THIS_ONE = frozenset({400, 413, 422})  # refusals of what was asked (too long, say), not of the asker


class Malformed(Exception):
    """A reply that does not hold what was asked for; asked again."""


class NoAnswer(ConnectionError):
    """One question stays without an answer; others may have one."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class ChatClient:
    """Asks a chat model behind ``url``.

    Parameters
    ----------
    url : str
        Up to and with ``/v1``: ``http://127.0.0.1:8000/v1``.
    model : str
        As the server names it.
    key_variable : str
        Name of the environment variable that holds the key, read at each call; none is sent where it is not set.
    timeout : float
        Seconds for one call.
    n_tries : int
        Calls for one question, the first included; between them pauses of ``pause`` seconds, doubled each time.
    pause : float
        Seconds.
    in_flight : int
        Calls at once, at most.
    most_bytes : int
        Of a reply.
    allow_http : bool
        Let a key go out unencrypted to another machine. Certificates are always checked.

    Raises
    ------
    ValueError
        A value out of range, a URL that is not http(s) or holds a password; a key that would go to another machine by
        plain http.

    Examples
    --------
    >>> ChatClient("http://127.0.0.1:8000/v1", model="m").where
    "endpoint http://127.0.0.1:8000/v1, model 'm'"
    """

    def __init__(
        self, url: str, *, model: str, key_variable: str = "OPENAI_API_KEY", timeout: float = 60.0, n_tries: int = 4,
        pause: float = 1.0, in_flight: int = 16, most_bytes: int = 1_000_000, allow_http: bool = False,
    ) -> None:  # fmt: skip
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: expected http://host/v1 or https://host/v1, got {parts.scheme or 'no scheme'!r}")
        if parts.username or parts.password:
            raise ValueError(
                "url: expected no user or password in it; put the key into the environment, see key_variable"
            )
        for name, value in (("timeout", timeout), ("n_tries", n_tries), ("in_flight", in_flight)):
            if value <= 0:
                raise ValueError(f"{name}: expected a positive number, got {value}")
        self.url, self.model, self.key_variable = url.rstrip("/"), model, key_variable
        self.timeout, self.n_tries, self.pause, self.in_flight = timeout, n_tries, pause, in_flight
        self.most_bytes = most_bytes
        self._keep_key_home = parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname)
        self._opener = urllib.request.build_opener(_NoRedirects)
        self._healthy = False

    @property
    def where(self) -> str:
        """The server and the model, for messages."""
        return f"endpoint {self.url}, model {self.model!r}"

    def check(self) -> None:
        """Ask the server for its models, once.

        Raises
        ------
        ConnectionError
            It cannot be reached, refuses the key, or is failing.
        """
        if self._healthy:
            return
        try:
            self._call("/models", None)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403) or error.code >= 500:
                raise ConnectionError(f"{self.where}: {self._refusal(error.code)}") from None
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"{self.where}: cannot be reached ({_brief(error)}); is the server running?"
            ) from None
        self._healthy = True

    def ask(
        self, body: dict[str, Any] | None, read: Callable[[bytes], Found], *, wanted: str = "answer",
        path: str = "/chat/completions",
    ) -> Found:  # fmt: skip
        """Return ``read(reply)`` of a call; try again what may pass.

        Parameters
        ----------
        body : dict, optional
            Of the call, without the model; where absent the call is a GET.
        read : callable
            Bytes of a reply to what they say; raises :class:`Malformed` for what it cannot read.
        wanted : str
            What an error calls it.
        path : str
            Of the call.

        Raises
        ------
        NoAnswer
            This question was refused or never got a reply that can be read; others may.
        ConnectionError
            The server is down, refuses, or fails after ``n_tries``. The key is in no message.
        """
        trouble, readable = "", True
        for k in range(self.n_tries):
            pause = self.pause * 2**k
            try:
                return read(self._call(path, None if body is None else {"model": self.model, **body}))
            except urllib.error.HTTPError as error:
                asked = error.headers.get("Retry-After", "")
                error.close()
                trouble, readable = self._refusal(error.code), True
                if error.code not in _TRY_AGAIN:
                    kind = NoAnswer if error.code in _THIS_ONE else ConnectionError
                    raise kind(f"{self.where}: {trouble}") from None
                pause = max(pause, float(asked)) if asked.isdigit() else pause
            except Malformed as error:
                trouble, readable = str(error), False
            except (OSError, http.client.HTTPException) as error:
                trouble, readable = _brief(error), True
            if k + 1 < self.n_tries:
                time.sleep(min(pause, _LONGEST_PAUSE))
        kind = ConnectionError if readable else NoAnswer
        raise kind(f"{self.where}: no {wanted} after {self.n_tries} tries, the last: {trouble}")

    def each(self, jobs: Sequence[Job], do: Callable[[Job], Found]) -> Iterator[tuple[int, Found]]:
        """Yield (position, ``do(job)``) as they are done, at most ``in_flight`` at once.

        Raises
        ------
        ConnectionError
            From ``do``: no new jobs are begun, those in flight are waited for and yielded before it is raised.
        """
        if not jobs:
            return
        self.check()
        waiting = iter(range(len(jobs)))
        running: dict[Future[Found], int] = {}
        failure: ConnectionError | None = None
        with ThreadPoolExecutor(max_workers=self.in_flight) as pool:
            try:
                while True:
                    while failure is None and len(running) < self.in_flight and (i := next(waiting, None)) is not None:
                        running[pool.submit(do, jobs[i])] = i
                    if not running:
                        break
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        position = running.pop(done)
                        error = done.exception()
                        if error is None:
                            yield position, done.result()
                        elif isinstance(error, ConnectionError):
                            failure = failure or error  # no new questions; those in flight are waited for and kept
                        else:
                            raise error
            finally:
                pool.shutdown(cancel_futures=True)
        if failure is not None:
            self._healthy = False
            raise failure

    def _call(self, path: str, body: dict[str, Any] | None) -> bytes:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ValueError(f"{self.key_variable}: expected printable ASCII in this environment variable")
        if key and self._keep_key_home:
            raise ValueError(
                f"url: expected https for {self.url}: {self.key_variable} would cross the network readable for all; "
                "allow_http=True if that network is yours"
            )
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with self._opener.open(request, timeout=self.timeout) as reply:
            # read in parts, so that a server that drips cannot hold a call beyond its time
            deadline, parts, size = time.monotonic() + self.timeout, [], 0
            while part := reply.read1(65_536):
                parts.append(part)
                size += len(part)
                if size > self.most_bytes or time.monotonic() > deadline:
                    raise TimeoutError(f"reply of more than {self.most_bytes} bytes or {self.timeout:g} s")
            if reply.length:  # bytes that were announced and did not come
                raise http.client.IncompleteRead(b"".join(parts), reply.length)
            return b"".join(parts)

    def _refusal(self, code: int) -> str:
        hint = f"; is the environment variable {self.key_variable} set and right?" if code in (401, 403) else ""
        return f"the server said HTTP {code}{hint}"


def first_choice(data: bytes) -> dict[str, Any]:
    """Return the first choice of a chat completion, its text under ``["message"]["content"]``.

    Raises
    ------
    Malformed
        Anything else.

    Examples
    --------
    >>> first_choice(b'{"choices": [{"message": {"content": "yes"}}]}')["message"]["content"]
    'yes'
    """
    try:
        choice = json.loads(data)["choices"][0]
        choice["message"]["content"].strip()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Malformed("a reply that is not a chat completion") from None
    return choice


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def _brief(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return "timed out"
    if isinstance(reason, http.client.IncompleteRead):
        return "reply cut short"
    return f"{type(reason).__name__}: {str(reason)[:80]}"
