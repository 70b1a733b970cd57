"""``breadth partition serve``: one local process that tells answers apart for all who ask."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from breadth.commands.output import console
from breadth.commands.partition_options import (
    Backend,
    Calibrated,
    Clustering,
    Cut,
    DiskCache,
    Encoder,
    Key,
    Model,
    Url,
    build,
)


def serve(
    backend: Backend = "classifier",
    model: Model = None,
    encoder: Encoder = None,
    url: Url = None,
    key: Key = None,
    threshold: Cut = None,
    calibration: Calibrated = None,
    clustering: Clustering = "greedy",
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1; 0 = any that is free.")] = 8765,
    linger: Annotated[float, typer.Option(help="Seconds that a batch waits for pairs of other callers.")] = 0.005,
    cache_size: Annotated[int, typer.Option(min=0, help="Scores kept in memory.")] = 1_000_000,
    disk_cache: DiskCache = None,
) -> None:
    """Serve a partition on 127.0.0.1 until Ctrl-C or a request to end: batched over callers, with a cache.

    Callers: breadth.partition("remote", url="http://127.0.0.1:8765/v1"), --backend remote --url …, or any HTTP client. Requests
    that are being answered when it is stopped are answered.
    """
    from breadth.partitions.service import PartitionService

    tell = build(
        backend, model=model, encoder=encoder, url=url, key=key, threshold=threshold, calibration=calibration,
        clustering=clustering, disk_cache=disk_cache,
    )  # fmt: skip
    try:
        service = PartitionService(tell, port=port, linger=linger, cache_size=cache_size)
    except OSError as error:
        raise ValueError(
            f"serve: cannot listen on 127.0.0.1:{port} ({error.strerror}); choose another --port"
        ) from None
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    with service:
        console.print(
            f"serving {backend} ({clustering}, threshold {tell.threshold:.3f}) at {service.url}", highlight=False
        )
        console.print(f'breadth.partition("remote", url="{service.url}")   stop: Ctrl-C', highlight=False)
        while not asked.wait(0.2):
            pass
        console.print("stopping: requests that are being answered are answered", highlight=False)
    said = service.about()
    console.print(
        f"stopped after {said['requests']} requests, {said['pairs_scored']} pairs scored, {said['pairs_cached']} from the cache",
        highlight=False,
    )
