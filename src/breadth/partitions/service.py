"""One local process that tells answers apart for all who ask: HTTP on 127.0.0.1, batched over callers, with a cache."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from breadth.partitions.asking import Asker
from breadth.partitions.function import SOFT, Partition, class_diversity
from breadth.partitions.protocol import Pair

HOST = "127.0.0.1"
_SILENCE = 60.0  # seconds that a caller may take to send its request
_NAMES = ("127.0.0.1", "localhost")  # hosts that a request may name: a web page elsewhere cannot reach us by its own


class Refused(ValueError):
    """What a caller asked for cannot be done; ``status`` is the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Job:
    pairs: Sequence[Pair]  # scored together with those of others
    whole: Callable[[], Any] | None = None  # or something that is done on its own
    found: Future[Any] = field(default_factory=Future)


class _Judge:
    """The scores of a partition as a judge of pairs, so that a cache of pairs can stand before any backend."""

    def __init__(self, partition: Partition) -> None:
        self.partition, self.name, self.threshold = partition, partition.backend.name, partition.threshold

    def score_pairs(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, float]]:
        scores = self.partition.pair_scores(
            [pair.a for pair in pairs],
            [pair.b for pair in pairs],
            prompts=[pair.prompt for pair in pairs],
            calibrated=False,
        )
        yield from enumerate(scores.tolist())


class PartitionService:
    """Serves a partition until it is stopped; also a context manager.

    ``GET /v1/models`` says what is served and how it is (``/health`` is the same); ``POST /v1/pairs`` takes
    ``{"pairs": [{"prompt", "a", "b"}]}`` and gives ``{"scores": […]}``; ``POST /v1/partition`` takes
    ``{"texts", "group", "prompts"}`` (the last two optional) and gives ``{"kinds": […], "diversity": […]}``: kinds are null
    with the clustering ``soft``, diversities in a group of one. Errors are ``{"error": "…"}``: 400 for what cannot be read,
    413 for too much, 503 when too many wait, 502 where the backend fails.

    Parameters
    ----------
    partition : Partition
    port : int
        On 127.0.0.1; 0 = any that is free.
    linger : float
        Seconds that a batch waits for pairs of other callers.
    pairs_per_batch : int
        A batch is closed at this many.
    most_waiting : int
        Requests that wait at once; beyond it callers are told to come again.
    most_bytes : int
        Of a request.
    cache_size : int
        Scores kept, the longest unused forgotten first.

    Raises
    ------
    ValueError
        A value out of range.
    OSError
        The port is taken.
    """

    def __init__(
        self, partition: Partition, *, port: int = 0, linger: float = 0.005, pairs_per_batch: int = 1024,
        most_waiting: int = 1024, most_bytes: int = 64_000_000, cache_size: int = 1_000_000,
    ) -> None:  # fmt: skip
        for name, value in (
            ("pairs_per_batch", pairs_per_batch),
            ("most_waiting", most_waiting),
            ("most_bytes", most_bytes),
        ):
            if value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")
        if not 0 <= linger <= 10:
            raise ValueError(f"linger: expected 0 to 10 seconds, got {linger}")
        self.partition, self.linger, self.pairs_per_batch, self.most_bytes = (
            partition,
            linger,
            pairs_per_batch,
            most_bytes,
        )
        self._asker = Asker(_Judge(partition), threshold=partition.threshold, screen=None, cache_size=cache_size)
        self.n_requests = self.n_batches = 0
        self._jobs: queue.Queue[_Job | None] = queue.Queue(most_waiting)
        self._stopping = threading.Event()
        self._http = _Server((HOST, port), _Handler)
        self._http.service = self
        self.url = f"http://{HOST}:{self._http.server_address[1]}/v1"
        self._threads = [
            threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self._work, daemon=True),
        ]

    def start(self) -> PartitionService:
        """Begin to answer; returns itself."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Take no new requests, answer those that wait, and leave. May be called again."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if not self._threads[0].is_alive():  # never started
            self._http.server_close()
            return
        self._http.shutdown()  # no new connections
        self._http.server_close()  # waits for the requests that are being answered
        self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> PartitionService:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def about(self) -> dict[str, Any]:
        """Return what is served and what it has done so far."""
        return {
            "object": "breadth.partition", "status": "ok", "backend": self.partition.backend.name,
            "fingerprint": getattr(self.partition.backend, "fingerprint", None), "threshold": self.partition.threshold,
            "clustering": self.partition.clustering, "requests": self.n_requests, "batches": self.n_batches,
            "pairs_cached": self._asker.cost.n_cached, "pairs_scored": self._asker.cost.n_asked,
        }  # fmt: skip

    def answer(self, path: str, body: Any) -> dict[str, Any]:
        """Return the answer to a request; raises :class:`Refused` for one that cannot be read."""
        if path == "/v1/pairs":
            pairs = _pairs(body)
            return {"scores": self._wait(_Job(pairs))}
        texts, group, prompts = _groups(body)

        def whole() -> dict[str, Any]:
            if self.partition.clustering == SOFT:
                kinds, spread = None, self.partition.diversity(texts, group=group, prompts=prompts)
            else:
                found = self.partition(texts, group=group, prompts=prompts)
                kinds, spread = found.tolist(), class_diversity(found, group)
            return {"kinds": kinds, "diversity": [None if d != d else d for d in spread.tolist()]}

        return self._wait(_Job((), whole))

    def _wait(self, job: _Job) -> Any:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise Refused(503, "too many requests wait; come again") from None
        return job.found.result()

    def _work(self) -> None:
        """Answer what waits: pairs of many callers together, one batch after the other."""
        held: _Job | None = None
        while True:
            job = held or self._jobs.get()
            held = None
            if job is None:
                return
            if job.whole is not None:
                self._do([job], job.whole)
                continue
            batch, n_pairs, until = [job], len(job.pairs), time.monotonic() + self.linger
            while n_pairs < self.pairs_per_batch:
                try:
                    after = self._jobs.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                if after is None or after.whole is not None:
                    held = after
                    if after is None:
                        self._jobs.put(None)
                    break
                batch.append(after)
                n_pairs += len(after.pairs)
            together = [pair for one in batch for pair in one.pairs]
            self._do(batch, partial(self._asker.scores, together))

    def _do(self, batch: Sequence[_Job], work: Callable[[], Any]) -> None:
        self.n_batches += 1
        try:
            found = work()
        except Exception as error:  # noqa: BLE001 - whatever the backend raises is told to those who asked
            for job in batch:
                job.found.set_exception(error)
            return
        at = 0
        for job in batch:
            job.found.set_result(found if job.whole is not None else found[at : at + len(job.pairs)])
            at += len(job.pairs)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # those that are being answered are waited for
    block_on_close = True
    service: PartitionService


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENCE
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Nothing: answers are the caller's."""

    def do_GET(self) -> None:
        known = self.path in ("/health", "/v1/health", "/v1/models")
        self._reply(
            200 if known else 404, self.server.service.about() if known else {"error": f"nothing at {self.path}"}
        )

    def do_POST(self) -> None:
        service = self.server.service
        service.n_requests += 1
        try:
            self._reply(200, service.answer(self.path, self._body()))
        except Refused as refusal:
            self._reply(refusal.status, {"error": str(refusal)})
        except (ValueError, TypeError) as error:
            self._reply(400, {"error": str(error)})
        except Exception as error:  # noqa: BLE001 - the caller is told, the service goes on
            self._reply(502, {"error": f"{service.partition.backend.name}: {error}"})

    def _body(self) -> Any:
        if self.path not in ("/v1/pairs", "/v1/partition"):
            raise Refused(404, f"nothing at {self.path}; POST /v1/pairs or /v1/partition")
        if (self.headers.get("Host") or "").partition(":")[0] not in _NAMES:
            raise Refused(403, "the request names another host than 127.0.0.1")
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise Refused(411, "expected a Content-Length")
        if int(length) > self.server.service.most_bytes:
            raise Refused(413, f"expected at most {self.server.service.most_bytes} bytes, got {length}")
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise Refused(400, f"expected {length} bytes, got {len(data)}")
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"not JSON: {error}") from None

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body, allow_nan=False).encode()
        with contextlib.suppress(ConnectionError):  # the caller has gone
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 503:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(data)


def _pairs(body: Any) -> list[Pair]:
    rows = body.get("pairs") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise Refused(400, 'expected {"pairs": [{"prompt": …, "a": …, "b": …}]}')
    found = []
    for k, row in enumerate(rows):
        texts: list[Any] = (
            [row.get(name, "" if name == "prompt" else None) for name in ("prompt", "a", "b")]
            if isinstance(row, dict)
            else []
        )
        if len(texts) != 3 or not all(isinstance(text, str) for text in texts):
            raise Refused(400, f"pairs[{k}]: expected the texts a and b, and prompt if there is one")
        found.append(Pair(texts[0], *sorted(texts[1:])))
    return found


def _groups(body: Any) -> tuple[list[str], list[int] | None, list[str] | None]:
    texts, group, prompts = (
        body.get(name) if isinstance(body, dict) else None for name in ("texts", "group", "prompts")
    )
    if not isinstance(texts, list):
        raise Refused(400, 'expected {"texts": […]}, and group and prompts of the same length if there are any')
    for name, value in (("group", group), ("prompts", prompts)):
        if value is not None and not isinstance(value, list):
            raise Refused(400, f"{name}: expected a list, got {type(value).__name__}")
    if prompts is not None and not all(isinstance(prompt, str) for prompt in prompts):
        raise Refused(400, "prompts: expected texts")
    if group is not None and not all(isinstance(label, int | str) for label in group):
        raise Refused(400, "group: expected numbers or names")
    return texts, group, prompts
